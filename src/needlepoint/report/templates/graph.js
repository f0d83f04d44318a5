"use strict";
// The circuit as a layered graph: a threshold says how many parts are kept.
(window.needlepointPanels = window.needlepointPanels || {}).graph = function (figure, choice, tools) {
  var data = choice.panel;
  var part = tools.parts(figure);
  var text = tools.number;
  var el = tools.svg;
  var NAME = 0, KIND = 1, LAYER = 2, INDEX = 3, EFFECT = 4, LOW = 5, HIGH = 6, MATTERS = 7;
  var state = { ranking: 0, size: 1, focus: null, pinned: null };
  var most = Math.max.apply(null, data.nodes.map(function (node) { return Math.abs(node[EFFECT] || 0); })) || 1;
  var ranks = {};
  var marks = {};

  data.rankings.forEach(function (ranking, place) {
    var option = document.createElement("option");
    option.value = place;
    option.textContent = tools.show(ranking.label) + " (" + ranking.unit + ")";
    part.ranking.appendChild(option);
  });

  function ranking() { return data.rankings[state.ranking]; }

  // ---- what is kept ---------------------------------------------------------------------------
  function kept() {
    var first = ranking().added.slice(0, state.size);
    var nodes = {};
    if (ranking().unit === "heads") first.forEach(function (node) { nodes[node] = true; });
    else first.forEach(function (edge) {
      nodes[edge[0]] = true;
      edge[2].forEach(function (node) { nodes[node] = true; });
    });
    return nodes;
  }

  function edges(nodes) {
    if (ranking().unit === "edges") {
      return ranking().added.slice(0, state.size).map(function (edge, place) {
        return { from: edge[0], reader: edge[1], to: edge[2], score: ranking().values[place], known: known(edge[0], edge[1]) };
      });
    }
    return data.edges.filter(function (edge) {
      return stays(edge[0], nodes) && edge[2].some(function (node) { return stays(node, nodes); });
    }).map(function (edge) { return { from: edge[0], reader: edge[1], to: edge[2], score: edge[3], known: edge }; });
  }

  function known(writer, reader) {
    return data.edges.filter(function (edge) { return edge[0] === writer && edge[1] === reader; })[0];
  }

  // Where heads are kept or cut, everything else goes on computing.
  function stays(node, nodes) { return nodes[node] || data.nodes[node][KIND] !== "head"; }

  // ---- the numbers beside the threshold -------------------------------------------------------
  function span(low, middle, high) {
    return text(middle, 2) + (low === null || high === null ? "" : " (" + text(low, 2) + " to " + text(high, 2) + ")");
  }

  function at(points, size) {
    return points.filter(function (point) { return point[0] === size; })[0];
  }

  function randomly() {
    var own = at(data.random.bars, state.size), few = at(data.random.band, state.size);
    if (ranking().unit === "edges") return "not measured for edges";
    if (own) return span(own[1], own[2], own[3]) + ", " + data.random.bars_hold;
    if (few) return span(few[1], few[2], few[3]) + ", " + data.random.band_holds;
    var middles = (data.random.band.length ? data.random.band : data.random.bars)
      .map(function (one) { return [one[0], one[2]]; });
    return middles.length ? around(middles, state.size) : "not measured";
  }

  function around(points, size) {
    var below = points.filter(function (point) { return point[0] < size && point[1] !== null; }).pop();
    var above = points.filter(function (point) { return point[0] > size && point[1] !== null; })[0];
    var near = [below, above].filter(Boolean).map(function (point) { return text(point[1], 2) + " with " + point[0]; });
    return near.length ? "not measured here; " + near.join(", ")
      : "not measured" + (ranking().unit === "edges" ? "; --curve-pairs 24 measures it" : "");
  }

  function readout() {
    var unit = ranking().unit;
    var point = at(ranking().curve, state.size);
    var precision = ranking().precision[state.size - 1];
    part.count.textContent = state.size + " of " + ranking().added.length;
    part.name.textContent = unit + " kept";
    part.faith.textContent = point && point[1] !== null ? span(point[2], point[1], point[3]) : around(ranking().curve, state.size);
    part.meaning.textContent = "precision: of the heads " + (unit === "edges" ? "that write along them" : "kept") + ", those that matter";
    part.random.textContent = randomly();
    part.precision.textContent = precision === null || precision === undefined ? "not defined" : text(precision, 2);
  }

  // ---- the graph ------------------------------------------------------------------------------
  function layout() {
    var width = part.graph.clientWidth || 600;
    var column = Math.max(11, Math.min(46, (width - 54) / (data.heads + 1.7)));
    var row = Math.max(14, Math.min(34, 620 / (data.layers + 2)));
    var left = 38 + Math.max(0, (width - 54 - column * (data.heads + 1.7)) / 2);
    var height = row * (data.layers + 2) + 26;
    return {
      width: width, height: height, column: column, row: row, radius: Math.min(column, row) * 0.42,
      place: function (node) {
        var top = height - 22 - row * 0.5;
        if (node[NAME] === "embed") return [left + column * data.heads / 2, top];
        if (node[NAME] === "logits") return [left + column * data.heads / 2, top - row * (data.layers + 1)];
        var x = node[KIND] === "mlp" ? data.heads + 0.9 : node[INDEX] + 0.5;
        return [left + column * x, top - row * (node[LAYER] + 1)];
      }
    };
  }

  function draw() {
    var nodes = kept();
    var grid = layout();
    part.graph.textContent = "";
    marks = {};
    var svg = el("svg", { width: grid.width, height: grid.height, role: "group", "aria-label": summary(nodes), class: "circuit" }, part.graph);
    axes(svg, grid);
    var lines = el("g", { class: "lines" }, svg);
    edges(nodes).forEach(function (edge) { line(lines, grid, edge, nodes); });
    data.nodes.forEach(function (node, place) { if (!nodes[place]) mark(svg, grid, node, place, false); });
    order(nodes).forEach(function (place) { mark(svg, grid, data.nodes[place], place, true); });
    var first = marks[state.focus] ? state.focus : order(nodes)[0];
    if (marks[first]) marks[first].setAttribute("tabindex", "0");
    readout();
    curves();
    detail(state.focus !== null ? state.focus : order(nodes)[0]);
  }

  function summary(nodes) {
    var names = order(nodes).slice(0, 12).map(function (place) { return data.nodes[place][NAME]; });
    return "Layered graph, " + state.size + " " + ranking().unit + " kept by " + ranking().label + ": " + names.join(", ")
      + ". Arrow keys go from part to part.";
  }

  // Kept parts in the order in which the ranking adds them.
  function order(nodes) {
    var found = [];
    ranking().added.slice(0, state.size).forEach(function (one) {
      (ranking().unit === "heads" ? [one] : [one[0]].concat(one[2])).forEach(function (place) {
        if (nodes[place] && found.indexOf(place) < 0) found.push(place);
      });
    });
    return found;
  }

  function axes(svg, grid) {
    var step = data.layers > 24 ? 5 : data.layers > 12 ? 2 : 1;
    for (var layer = 0; layer < data.layers; layer += step) {
      var y = grid.place([0, "head", layer, 0])[1];
      el("text", { x: 30, y: y + 4, "text-anchor": "end", class: "axis" }, svg).textContent = layer;
    }
    var label = el("text", { x: 9, y: grid.height / 2, class: "axis", "text-anchor": "middle", transform: "rotate(-90 9 " + grid.height / 2 + ")" }, svg);
    label.textContent = "layer";
    var skip = grid.column < 16 ? 4 : 1;
    for (var head = 0; head < data.heads; head += skip) {
      el("text", { x: grid.place([0, "head", 0, head])[0], y: grid.height - 6, "text-anchor": "middle", class: "axis" }, svg).textContent = head;
    }
    el("text", { x: grid.place([0, "mlp", 0, 0])[0], y: grid.height - 6, "text-anchor": "middle", class: "axis" }, svg).textContent = "MLP";
  }

  function mark(svg, grid, node, place, big) {
    var at = grid.place(node);
    var end = node[KIND] === "end";
    var group = el("g", { class: "node" + (big ? " kept" : "") + (end ? " end" : ""), "data-node": place }, svg);
    if (big) {
      group.setAttribute("role", "button");
      group.setAttribute("tabindex", "-1");
      group.setAttribute("aria-label", node[NAME] + ", " + said(node));
      marks[place] = group;
    }
    el("rect", { x: at[0] - grid.column / 2, y: at[1] - grid.row / 2, width: grid.column, height: grid.row, class: "reach" }, group);
    if (end) {
      el("text", { x: at[0], y: at[1] + 4, "text-anchor": "middle" }, group).textContent = node[NAME];
      return;
    }
    var size = big ? grid.radius : node[KIND] === "mlp" ? grid.radius * 0.62 : grid.radius * 0.42;
    var fill = node[EFFECT] === null ? "var(--soft)" : tools.scale(data.scale, node[EFFECT] / most);
    var shape = node[KIND] === "mlp"
      ? el("rect", { x: at[0] - size, y: at[1] - size, width: 2 * size, height: 2 * size, rx: 1.5 }, group)
      : el("circle", { cx: at[0], cy: at[1], r: size }, group);
    shape.setAttribute("class", "mark");
    shape.style.fill = fill;
    if (big && node[MATTERS]) shape.setAttribute("class", "mark matters");
  }

  function line(lines, grid, edge, nodes) {
    var start = grid.place(data.nodes[edge.from]);
    var kind = /\.q$/.test(edge.reader) ? "q" : /\.K\d+$/.test(edge.reader) ? "k" : /\.V\d+$/.test(edge.reader) ? "v" : "o";
    var shift = { q: -0.22, k: 0, v: 0.22, o: 0 }[kind] * grid.column;
    var targets = edge.to.filter(function (node) { return stays(node, nodes); });
    var size = strength(edge);
    targets.forEach(function (target) {
      var end = grid.place(data.nodes[target]);
      var bend = (start[1] - end[1]) * 0.45;
      var path = el("path", {
        d: "M" + start[0] + " " + (start[1] - grid.radius) + "C" + start[0] + " " + (start[1] - bend) + " " + (end[0] + shift) + " " + (end[1] + bend)
          + " " + (end[0] + shift) + " " + (end[1] + grid.radius),
        class: "edge " + kind + (edge.known && edge.known[7] === true ? " sure" : ""),
        "stroke-width": (0.8 + 2.6 * size).toFixed(2), "data-ends": edge.from + "," + target
      }, lines);
      el("title", {}, path).textContent = edgeWords(edge);
    });
  }

  // By what the edge was measured to do, or else by its score, beside the largest of the same.
  function strength(edge) {
    var patched = ranking().unit === "heads" && data.edges.some(function (one) { return one[4] !== null; });
    var all = ranking().unit === "edges" ? ranking().values : data.edges.map(function (one) { return patched ? one[4] : one[3]; });
    var own = patched ? edge.known[4] : edge.score;
    return Math.abs(own || 0) / Math.max.apply(null, all.map(function (value) { return Math.abs(value || 0); }).concat([1e-12]));
  }

  function edgeWords(edge) {
    var words = data.nodes[edge.from][NAME] + " \u2192 " + edge.reader + ", score " + text(edge.score, 3);
    if (edge.known && edge.known[4] !== null) {
      words += ", effect " + span(edge.known[5], edge.known[4], edge.known[6]) + (edge.known[7] ? ", confirmed" : ", not told from zero");
    }
    return words;
  }

  // ---- one part -------------------------------------------------------------------------------
  function said(node) {
    if (node[EFFECT] === null || node[EFFECT] === undefined) return "effect not measured";
    return "effect " + span(node[LOW], node[EFFECT], node[HIGH]) + " " + data.unit + (node[MATTERS] === true ? ", matters" : "");
  }

  function rank(label, place) {
    if (!ranks[label]) {
      var values = data.scores[label];
      ranks[label] = Object.keys(values).filter(function (one) { return values[one] !== null; })
        .sort(function (one, two) { return values[two] - values[one]; });
    }
    return ranks[label].indexOf(String(place)) + 1;
  }

  function detail(place) {
    part.detail.textContent = "";
    if (place === null || place === undefined) return;
    var node = data.nodes[place];
    var add = function (name, words, parent) {
      var made = document.createElement(name);
      made.textContent = words;
      return (parent || part.detail).appendChild(made);
    };
    add("h5", node[NAME]);
    add("p", said(node).replace(/^./, function (letter) { return letter.toUpperCase(); }) + ".");
    if (node[KIND] === "head") scores(place, add);
    var near = edges(kept()).filter(function (edge) { return edge.from === place || edge.to.indexOf(place) >= 0; });
    if (near.length) {
      var list = document.createElement("ul");
      add("p", near.length + " edge" + (near.length > 1 ? "s" : "") + " shown:");
      near.slice(0, 6).forEach(function (edge) { add("li", edgeWords(edge), list); });
      if (near.length > 6) add("li", "and " + (near.length - 6) + " more", list);
      part.detail.appendChild(list);
    }
    tools.codes(node[NAME]).slice(0, 3).forEach(function (row) {
      var where = row[5].map(function (token) { return "\u2018" + token + "\u2019"; }).slice(0, 4).join(", ");
      add("p", "Code " + row[1] + ": on " + row[2] + " clean prompt" + (row[2] > 1 ? "s" : "") + ", on no corrupt one" + (where ? ", at " + where : "") + ".");
    });
    if (tools.looked(node[NAME])) {
      var link = add("button", "see what it looks at");
      link.type = "button";
      link.className = "more";
      link.addEventListener("click", function () { tools.tell("look", node[NAME], true); });
    }
  }

  function scores(place, add) {
    var labels = Object.keys(data.scores);
    if (!labels.length) return;
    var table = document.createElement("table");
    var head = add("tr", "", add("thead", "", table));
    ["method", "score", "rank"].forEach(function (word, column) {
      var cell = add("th", word, head);
      cell.scope = "col";
      if (column) cell.className = "n";
    });
    var body = add("tbody", "", table);
    labels.forEach(function (label) {
      var value = data.scores[label][place];
      var row = add("tr", "", body);
      add("td", tools.show(label), row);
      add("td", value === null || value === undefined ? "not defined" : text(value, 3), row).className = "n";
      add("td", value === null || value === undefined ? "" : String(rank(label, place)), row).className = "n";
    });
    part.detail.appendChild(table);
  }

  function highlight(place) {
    part.graph.querySelectorAll(".node.here").forEach(function (node) { node.classList.remove("here"); });
    part.graph.querySelectorAll(".edge").forEach(function (edge) {
      var ends = edge.getAttribute("data-ends").split(",");
      edge.classList.toggle("near", place !== null && ends.indexOf(String(place)) >= 0);
    });
    if (place === null) return;
    var node = part.graph.querySelector('[data-node="' + place + '"]');
    if (node) node.classList.add("here");
  }

  function look(place, told) {
    state.focus = place;
    highlight(place);
    detail(place);
    if (!told && data.nodes[place][KIND] === "head") tools.tell("head", data.nodes[place][NAME]);
  }

  // ---- the curves under the graph -------------------------------------------------------------
  function curves() {
    var points = ranking().curve.filter(function (point) { return point[1] !== null; });
    var none = { band: [], bars: [] };
    var heads = ranking().unit === "heads";
    if (points.length) chart(part.curve, "faithfulness", points, heads ? data.random : none, true);
    else blank(part.curve, heads ? data.unmeasured
      : "Faithfulness was not measured for circuits of these edges: run the study again with --curve-pairs 24, and the curve stands here.");
    var steps = ranking().precision.map(function (value, place) { return [place + 1, value]; })
      .filter(function (point) { return point[1] !== null; });
    if (steps.length) chart(part.steps, "precision", steps, none, false);
    else blank(part.steps, "Precision is not known: which heads matter is told by ablating them, with --ablate-pairs 60.");
  }

  // Where there is nothing to draw: why, and what to do.
  function blank(box, words) {
    box.textContent = "";
    var said = box.appendChild(document.createElement("p"));
    said.className = "nothing";
    said.textContent = words;
  }

  function chart(box, title, points, random, dots) {
    box.textContent = "";
    var width = box.clientWidth || 300, height = 150, left = 34, right = 10, top = 22, foot = 30;
    var last = ranking().added.length;
    var values = points.reduce(function (all, point) { return all.concat(point.slice(1)); }, [0, 1])
      .concat(random.band.concat(random.bars).reduce(function (all, one) { return all.concat(one.slice(1)); }, []))
      .filter(function (value) { return value !== null && value !== undefined; });
    var low = Math.max(Math.min.apply(null, values), -1), high = Math.min(Math.max.apply(null, values), 2);
    var x = function (size) { return left + (width - left - right) * (last > 1 ? (size - 1) / (last - 1) : 0.5); };
    var y = function (value) { return top + (height - top - foot) * (high - Math.max(low, Math.min(high, value))) / (high - low); };
    var svg = el("svg", { width: width, height: height, role: "img", class: "curve", "aria-label": title + " by " + ranking().unit + " kept: "
      + points.slice(0, 12).map(function (point) { return point[0] + ": " + text(point[1], 2); }).join(", ") }, box);
    el("text", { x: 4, y: 13, class: "name" }, svg).textContent = title;
    [0, 1].forEach(function (value) {
      el("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), class: "rule" }, svg);
      el("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end", class: "axis" }, svg).textContent = value;
    });
    [1, last].forEach(function (size) {
      el("text", { x: x(size), y: height - 12, "text-anchor": size === 1 ? "start" : "end", class: "axis" }, svg).textContent = size;
    });
    el("text", { x: (left + width) / 2, y: height - 12, "text-anchor": "middle", class: "axis" }, svg).textContent = ranking().unit + " kept";
    var area = random.band.filter(function (one) { return one[0] <= last; });
    if (area.length) {
      var edge = area.map(function (one) { return x(one[0]) + "," + y(one[3]); })
        .concat(area.slice().reverse().map(function (one) { return x(one[0]) + "," + y(one[1]); }));
      el("title", {}, el("polygon", { points: edge.join(" "), class: "area" }, svg)).textContent = "random heads: " + random.band_holds;
      el("polyline", { points: area.map(function (one) { return x(one[0]) + "," + y(one[2]); }).join(" "), class: "median" }, svg);
    }
    random.bars.forEach(function (one) {
      if (one[0] > last) return;
      el("line", { x1: x(one[0]), x2: x(one[0]), y1: y(one[1]), y2: y(one[3]), class: "band" }, svg);
      el("circle", { cx: x(one[0]), cy: y(one[2]), r: 3, class: "middle" }, svg);
    });
    el("polyline", { points: points.map(function (point) { return x(point[0]) + "," + y(point[1]); }).join(" "), class: "line" }, svg);
    if (dots) points.forEach(function (point) {
      if (point[2] !== null && point[3] !== null) el("line", { x1: x(point[0]), x2: x(point[0]), y1: y(point[2]), y2: y(point[3]), class: "bar" }, svg);
      el("circle", { cx: x(point[0]), cy: y(point[1]), r: 3, class: "dot" }, svg);
    });
    el("line", { x1: x(state.size), x2: x(state.size), y1: top - 4, y2: height - foot, class: "cursor" }, svg);
  }

  // ---- what the reader does -------------------------------------------------------------------
  function choose(place) {
    state.ranking = place;
    part.size.max = ranking().added.length;
    var first = ranking().unit === "heads" ? data.chosen || 8 : 30;
    resize(Math.min(first, ranking().added.length));
  }

  function resize(size) {
    state.size = size;
    part.size.value = size;
    part.size.setAttribute("aria-valuetext", size + " " + ranking().unit + " kept");
    draw();
  }

  part.ranking.addEventListener("change", function () { choose(Number(part.ranking.value)); });
  part.size.addEventListener("input", function () { resize(Number(part.size.value)); });
  part.graph.addEventListener("mouseover", function (event) {
    var node = event.target.closest("[data-node]");
    if (node) look(Number(node.getAttribute("data-node")));
  });
  part.graph.addEventListener("focusin", function (event) {
    var node = event.target.closest("[data-node]");
    if (node) look(Number(node.getAttribute("data-node")));
  });
  part.graph.addEventListener("keydown", function (event) {
    var step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    var node = event.target.closest("[data-node]");
    if (!node) return;
    var all = order(kept());
    var here = all.indexOf(Number(node.getAttribute("data-node")));
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      tools.tell("look", data.nodes[all[here]][NAME], true);
    }
    if (!step) return;
    event.preventDefault();
    var next = marks[all[(here + step + all.length) % all.length]];
    Object.keys(marks).forEach(function (place) { marks[place].setAttribute("tabindex", "-1"); });
    next.setAttribute("tabindex", "0");
    next.focus();
  });
  part.graph.addEventListener("click", function (event) {
    var node = event.target.closest("[data-node]");
    if (node) tools.tell("look", data.nodes[Number(node.getAttribute("data-node"))][NAME], false);
  });
  tools.hear("head", function (name) {
    data.nodes.forEach(function (node, place) { if (node[NAME] === name && state.focus !== place) look(place, true); });
  });

  choose(0);
  return { redraw: draw };
};
