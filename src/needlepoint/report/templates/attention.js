"use strict";
// What one head looks at on one prompt, and the codes that it says.
(window.needlepointPanels = window.needlepointPanels || {}).attention = function (figure, choice, tools) {
  var data = choice.panel;
  var part = tools.parts(figure);
  var state = { site: data.sites[0], prompt: 0, query: null };

  function options(select, words) {
    words.forEach(function (word, place) {
      var option = document.createElement("option");
      option.value = place;
      option.textContent = word;
      select.appendChild(option);
    });
  }
  var pairs = data.prompts.map(function (one) { return one.pair; }).filter(function (pair, place, all) { return all.indexOf(pair) === place; });
  options(part.head, data.sites);
  options(part.prompt, data.prompts.map(function (one) { return "prompt " + (pairs.indexOf(one.pair) + 1) + ", " + one.side; }));

  // ---- patterns: one byte for each weight -----------------------------------------------------
  function unpack(pattern, n) {
    var bytes = atob(pattern.weights);
    var whole = bytes.length === n * n && n > 1;
    return function (query, key) {
      if (!whole && key > query) return 0;
      return bytes.charCodeAt(whole ? query * n + key : query * (query + 1) / 2 + key) / 255;
    };
  }

  function pattern(site, prompt) {
    return data.patterns.filter(function (one) {
      return one.site === site && one.pair === prompt.pair && one.side === prompt.side;
    })[0];
  }

  function now() {
    var prompt = data.prompts[state.prompt];
    var found = pattern(state.site, prompt);
    var n = prompt.tokens.length;
    return { prompt: prompt, n: n, at: unpack(found, n), codes: found.codes };
  }

  // ---- tokens ---------------------------------------------------------------------------------
  function draw() {
    var view = now();
    if (state.query === null || state.query >= view.n) state.query = view.n - 1;
    part.head.value = data.sites.indexOf(state.site);
    part.prompt.value = state.prompt;
    part.tokens.textContent = "";
    view.prompt.shown.forEach(function (token, place) {
      var made = document.createElement("bdi");
      made.className = "t look";
      made.setAttribute("role", "button");
      made.setAttribute("data-place", place);
      made.textContent = token.replace(/\n/g, "\u21b5\n");
      part.tokens.appendChild(made);
    });
    shade(view);
    codes();
  }

  function shade(view) {
    var weights = [];
    part.tokens.querySelectorAll(".t").forEach(function (node, place) {
      var weight = view.at(state.query, place);
      weights.push([weight, place]);
      node.style.setProperty("--a", Math.pow(weight, 0.6).toFixed(3));
      node.setAttribute("data-r", tools.number(weight, 2));
      node.classList.toggle("from", place === state.query);
      node.setAttribute("aria-pressed", String(place === state.query));
      node.setAttribute("tabindex", place === state.query ? "0" : "-1");
    });
    weights.sort(function (one, two) { return two[0] - one[0] || one[1] - two[1]; });
    part.said.textContent = words(view, weights.slice(0, 3).filter(function (one) { return one[0] >= 0.05; }));
    square(view);
  }

  function words(view, top) {
    var name = function (place) { return "\u2018" + view.prompt.shown[place] + "\u2019"; };
    var said = "From " + name(state.query) + " (token " + state.query + ") " + state.site + " looks at "
      + top.map(function (one) { return name(one[1]) + " " + tools.number(one[0], 2); }).join(", ") + ".";
    if (!view.codes) return said;
    var code = view.codes[state.query];
    return said + (code < 0 ? " It says no code here." : " It says code " + code + " here" + (unique(code) ? ", which over whole prompts is said on clean ones only." : "."));
  }

  function unique(code) {
    return data.codes.some(function (row) { return row[0] === state.site && row[1] === code && row[4]; });
  }

  // ---- the whole pattern ----------------------------------------------------------------------
  function square(view) {
    var canvas = part.square;
    var side = Math.min(part.box.clientWidth || 300, 22 * view.n, 420);
    var ratio = window.devicePixelRatio || 1;
    canvas.width = canvas.height = Math.round(side * ratio);
    canvas.style.width = canvas.style.height = side + "px";
    canvas.setAttribute("aria-label", "Attention pattern of " + state.site + ", " + view.n + " by " + view.n + " tokens; "
      + "rows look at columns. The sentence above says what the chosen row looks at.");
    var pen = canvas.getContext("2d");
    var cell = canvas.width / view.n;
    var style = getComputedStyle(document.documentElement);
    var ink = style.getPropertyValue("--pos");
    pen.fillStyle = style.getPropertyValue("--soft");
    pen.fillRect(0, 0, canvas.width, canvas.height);
    for (var query = 0; query < view.n; query += 1) {
      for (var key = 0; key < view.n; key += 1) {
        var weight = view.at(query, key);
        if (weight < 0.004) continue;
        pen.fillStyle = "rgba(" + ink + "," + Math.pow(weight, 0.6).toFixed(3) + ")";
        pen.fillRect(key * cell, query * cell, cell, cell);
      }
    }
    pen.strokeStyle = style.getPropertyValue("--accent");
    pen.lineWidth = 1.5 * ratio;
    pen.strokeRect(0.75 * ratio, state.query * cell, canvas.width - 1.5 * ratio, cell);
  }

  // ---- codes ----------------------------------------------------------------------------------
  function codes() {
    part.codes.textContent = "";
    var rows = data.codes.filter(function (row) { return row[0] === state.site; });
    part.codes.parentNode.hidden = !rows.length;
    rows.forEach(function (row) {
      var line = document.createElement("tr");
      var tokens = row[5].map(function (token, place) { return "\u2018" + token + "\u2019" + (row[6][place] > 1 ? " \u00d7" + row[6][place] : ""); });
      [row[1] < 0 ? "no code" : String(row[1]), String(row[2]), String(row[3]), row[4] ? "yes" : "no",
        tokens.join(", ") || "at no single token"].forEach(function (word, column) {
        var cell = document.createElement("td");
        if (column === 1 || column === 2) cell.className = "n";
        if (column === 3 && row[4]) cell.innerHTML = '<span class="chip yes">yes</span>';
        else cell.textContent = word;
        line.appendChild(cell);
      });
      part.codes.appendChild(line);
    });
  }

  // ---- what the reader does -------------------------------------------------------------------
  function from(place, focus) {
    var view = now();
    state.query = Math.max(0, Math.min(view.n - 1, place));
    shade(view);
    if (focus) part.tokens.children[state.query].focus();
  }

  function place(event) {
    var node = event.target.closest("[data-place]");
    return node ? Number(node.getAttribute("data-place")) : null;
  }

  part.head.addEventListener("change", function () {
    state.site = data.sites[Number(part.head.value)];
    draw();
    tools.tell("head", state.site);
  });
  part.prompt.addEventListener("change", function () {
    state.prompt = Number(part.prompt.value);
    draw();
  });
  part.tokens.addEventListener("click", function (event) { if (place(event) !== null) from(place(event), true); });
  part.tokens.addEventListener("keydown", function (event) {
    var step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    from(state.query + step, true);
  });
  part.square.addEventListener("mousemove", function (event) {
    var box = part.square.getBoundingClientRect();
    from(Math.floor((event.clientY - box.top) / box.height * now().n), false);
  });
  tools.hear("look", function (name) {
    if (data.sites.indexOf(name) < 0) return;
    state.site = name;
    draw();
  });

  draw();
  return {
    redraw: draw,
    sites: data.sites,
    frame: function () {
      var rows = [];
      data.patterns.forEach(function (one) {
        var prompt = data.prompts.filter(function (other) { return other.pair === one.pair && other.side === one.side; })[0];
        var n = prompt.tokens.length, at = unpack(one, n), whole = atob(one.weights).length === n * n && n > 1;
        for (var query = 0; query < n; query += 1) {
          for (var key = 0; key < (whole ? n : query + 1); key += 1) {
            rows.push([one.site, one.pair, one.side, query, key, prompt.tokens[query], prompt.tokens[key], Math.round(at(query, key) * 1000) / 1000]);
          }
        }
      });
      return { columns: ["site", "pair", "side", "query", "key", "from", "to", "weight"], rows: rows };
    }
  };
};
