"use strict";
(function () {
  var root = document.documentElement;
  var query = window.matchMedia("(prefers-color-scheme: dark)");
  var cache = {};
  var drawn = {};
  var panels = {};

  function island(id) {
    if (!(id in cache)) cache[id] = JSON.parse(document.getElementById("data-" + id).textContent);
    return cache[id];
  }

  // What a large page holds is compressed until it is looked at.
  function unpack(node) {
    var bytes = Uint8Array.from(atob(node.textContent), function (sign) { return sign.charCodeAt(0); });
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  }

  var loading = {};
  function load(id) {
    var node = document.getElementById("data-" + id);
    if (!loading[id]) {
      loading[id] = node.type === "application/json" ? Promise.resolve(island(id))
        : unpack(node).then(function (text) { return cache[id] = JSON.parse(text); });
    }
    return loading[id];
  }

  document.addEventListener("toggle", function (event) {
    var inside = event.target.querySelector && event.target.querySelector(":scope > .inside > script[data-inside]");
    if (!inside) return;
    inside.removeAttribute("data-inside");
    unpack(inside).then(function (text) {
      inside.parentNode.innerHTML = text;
      event.target.querySelectorAll("[data-figure]").forEach(function (node) { watcher.observe(node); });
    });
  }, true);

  // ---- light and dark -------------------------------------------------------------------------
  function isDark() {
    var set = root.getAttribute("data-theme");
    return set ? set === "dark" : query.matches;
  }

  function recolour(value, table, coloured) {
    if (typeof value === "string") return coloured && table[value] ? table[value] : value;
    if (Array.isArray(value)) return value.map(function (item) { return recolour(item, table, coloured); });
    if (value === null || typeof value !== "object") return value;
    var copy = {};
    Object.keys(value).forEach(function (key) {
      copy[key] = key === "meta" ? value[key] : recolour(value[key], table, coloured || /color/.test(key));
    });
    return copy;
  }

  function themed(figure) {
    if (!isDark()) return JSON.parse(JSON.stringify(figure));
    var own = (figure.layout.meta || {}).dark || {};
    return recolour(figure, Object.assign({}, island("theme").dark, own), false);
  }

  // ---- figures --------------------------------------------------------------------------------
  function chosen(id) {
    var menu = document.querySelector('[data-choose="' + id + '"]');
    return island(id)[menu ? Number(menu.value) : 0];
  }

  function narrow(layout, width) {
    if (width >= 520) return layout;
    layout.font.size = 11;
    layout.margin.l = 4;
    layout.margin.r = 4;
    if (width < 420) (layout.annotations || []).forEach(function (note) { note.font.size = Math.min(note.font.size, 9); });
    if (layout.showlegend) {
      layout.legend.y = -0.2;
      layout.legend.yanchor = "top";
      layout.margin.t = 24;
      layout.height = (layout.height || 300) + 70;
    }
    return layout;
  }

  function draw(id) {
    drawn[id] = true;
    return load(id).then(function () { return paint(id); });
  }

  function paint(id) {
    var place = document.getElementById(id + "-plot");
    var choice = chosen(id);
    var figure = themed(choice.figure);
    place.setAttribute("aria-label", choice.alt);
    document.querySelector('[data-figure="' + id + '"] [data-title]').textContent = show(choice.title);
    document.querySelectorAll('[data-figure="' + id + '"] details.words dd').forEach(function (place, i) {
      place.textContent = show([choice.words.shows, choice.words.read, choice.words.limits][i]);
    });
    return window.Plotly.react(place, figure.data, narrow(figure.layout, place.clientWidth), {
      responsive: true, displayModeBar: false, displaylogo: false, scrollZoom: false, doubleClick: false
    }).then(function () { link(id, place); });
  }

  // Characters that cannot be seen are spelled out, as in the rest of the page.
  function show(text) {
    return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
      function (sign) { return "\u27e8U+" + sign.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0") + "\u27e9"; });
  }

  // ---- panels that a reader works with; their parts of the script stand before this one --------
  function plain(value, digits) {
    if (value === null || value === undefined) return "not defined";
    return value.toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", "\u2212");
  }

  function svg(name, attributes, parent) {
    var made = document.createElementNS("http://www.w3.org/2000/svg", name);
    Object.keys(attributes).forEach(function (key) { made.setAttribute(key, attributes[key]); });
    return parent ? parent.appendChild(made) : made;
  }

  // A colour between the stops of a scale, for a value from -1 to 1.
  function scale(stops, value) {
    var place = (Math.max(-1, Math.min(1, value)) + 1) / 2;
    var table = isDark() ? island("theme").dark : {};
    var next = stops.findIndex(function (stop) { return stop[0] >= place; });
    var two = stops[Math.max(next, 0)], one = stops[Math.max(next - 1, 0)];
    var share = two[0] === one[0] ? 0 : (place - one[0]) / (two[0] - one[0]);
    var parts = [one[1], two[1]].map(function (colour) { return (table[colour] || colour).match(/\w\w/g).map(function (hex) { return parseInt(hex, 16); }); });
    return "rgb(" + parts[0].map(function (from, rgb) { return Math.round(from + share * (parts[1][rgb] - from)); }).join(",") + ")";
  }

  // Heads are pointed at ("head") and opened ("look") across the pictures of one section.
  var hearers = [];
  function tell(what, id, site, go) {
    hearers.forEach(function (one) {
      if (one.what === what && one.section === id.split("-")[0] && one.id !== id) one.act(site);
    });
    if (go) {
      var target = document.querySelector("#" + id.split("-")[0] + '-looks [data-part="head"]');
      if (target) { target.closest("figure").scrollIntoView({ block: "start" }); target.focus({ preventScroll: true }); }
    }
  }

  function start(node) {
    var views = node.id.split("-")[0] + "-looks";
    var known = document.getElementById("data-" + views) ? load(views) : Promise.resolve([{ panel: { sites: [], codes: [] } }]);
    return Promise.all([load(node.id), known]).then(function (found) {
      if (!panels[node.id]) begin(node, found[0][0], found[1][0].panel);
    });
  }

  function begin(node, choice, looks) {
    var id = node.id;
    panels[id] = window.needlepointPanels[node.getAttribute("data-panel")](node, choice, {
      number: plain, svg: svg, scale: scale, show: show,
      parts: function (figure) {
        var found = {};
        figure.querySelectorAll("[data-part]").forEach(function (part) { found[part.getAttribute("data-part")] = part; });
        return found;
      },
      looked: function (site) { return looks.sites.indexOf(site) >= 0; },
      codes: function (site) { return looks.codes.filter(function (row) { return row[0] === site && row[4]; }); },
      tell: function (what, site, go) { tell(what, id, site, go); },
      hear: function (what, act) { hearers.push({ what: what, section: id.split("-")[0], id: id, act: act }); }
    });
    var width = node.clientWidth;
    new ResizeObserver(function () {
      if (Math.abs(node.clientWidth - width) < 8) return;
      width = node.clientWidth;
      panels[id].redraw();
    }).observe(node);
  }

  function picture(id) {
    var from = document.querySelector("#" + id + " svg.circuit");
    var copy = from.cloneNode(true);
    var before = from.querySelectorAll("*"), after = copy.querySelectorAll("*");
    before.forEach(function (node, place) {
      var style = getComputedStyle(node);
      ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-size", "font-family", "font-weight"].forEach(function (name) {
        after[place].style.setProperty(name, style.getPropertyValue(name));
      });
    });
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    return new XMLSerializer().serializeToString(copy);
  }

  // Heat maps of heads answer one another, and the graph.
  function link(id, place) {
    if (!place.on || !/-(map|scores)$/.test(id)) return;
    place.removeAllListeners("plotly_hover");
    place.on("plotly_hover", function (event) {
      if (place.told) return;
      tell("head", id, "L" + event.points[0].y + ".H" + event.points[0].x);
    });
    place.on("plotly_click", function (event) {
      tell("look", id, "L" + event.points[0].y + ".H" + event.points[0].x);
    });
    if (hearers.some(function (one) { return one.id === id; })) return;
    hearers.push({ what: "head", section: id.split("-")[0], id: id, act: function (site) {
      var found = /^L(\d+)\.H(\d+)$/.exec(site);
      if (!found || !drawn[id]) return;
      place.told = true;
      window.Plotly.Fx.hover(place, [{ xval: Number(found[2]), yval: Number(found[1]), curveNumber: 0 }]);
      place.told = false;
    } });
  }

  function drawAll() {
    var all = document.querySelectorAll("[data-figure], [data-panel]");
    return Promise.all(Array.prototype.map.call(all, function (node) {
      var id = node.getAttribute("data-figure");
      if (!id) return start(node);
      return drawn[id] || !node.offsetParent ? null : draw(id);
    }));
  }

  function redraw() {
    Object.keys(drawn).forEach(function (id) {
      if (document.getElementById(id).offsetParent) draw(id); else delete drawn[id];
    });
    Object.keys(panels).forEach(function (id) { panels[id].redraw(); });
  }

  var watcher = new IntersectionObserver(function (entries) {
    entries.forEach(function (entry) {
      var id = entry.target.getAttribute("data-figure");
      if (entry.isIntersecting && !id) start(entry.target);
      else if (entry.isIntersecting && !drawn[id] && window.Plotly) draw(id);
    });
  }, { rootMargin: "500px 0px" });

  document.querySelectorAll("[data-panel]").forEach(function (node) { watcher.observe(node); });

  // This script stands before plotly, so that text and tables answer while plotly is being read.
  document.addEventListener("DOMContentLoaded", function () {
    document.querySelectorAll("[data-figure]").forEach(function (node) { watcher.observe(node); });
    performance.mark("figures");
  });

  document.addEventListener("change", function (event) {
    var id = event.target.getAttribute("data-choose");
    if (id) draw(id);
    if (event.target.hasAttribute("data-rows")) refold(event.target);
  });

  document.addEventListener("input", function (event) {
    if (event.target.hasAttribute("data-find")) refold(event.target);
  });

  function refold(input) {
    var table = input.closest(".tablebox").querySelector("table");
    ask(table, function () { fold(table); });
  }

  // ---- theme button ---------------------------------------------------------------------------
  var button = document.getElementById("theme");
  function label() {
    button.textContent = isDark() ? "light" : "dark";
    button.setAttribute("aria-label", "Switch to " + button.textContent + " colours");
    button.setAttribute("aria-pressed", String(isDark()));
  }
  button.addEventListener("click", function () {
    root.setAttribute("data-theme", isDark() ? "light" : "dark");
    label();
    redraw();
  });
  query.addEventListener("change", function () { label(); redraw(); });
  label();

  // ---- tables ---------------------------------------------------------------------------------
  function fold(table) {
    var box = table.closest(".tablebox");
    var more = box.querySelector("[data-more]");
    var menu = box.querySelector("[data-rows]");
    var open = !more || more.getAttribute("aria-expanded") === "true";
    var limit = open ? Infinity : Number(table.getAttribute("data-shown"));
    var find = box.querySelector("[data-find]");
    var words = find ? find.value.trim().toLowerCase() : "";
    var count = 0;
    Array.prototype.forEach.call(table.tBodies[0].rows, function (row) {
      var wanted = !menu || !menu.value || row.cells[Number(menu.getAttribute("data-rows"))].textContent.trim() === menu.value;
      if (words && row.textContent.toLowerCase().indexOf(words) < 0) wanted = false;
      if (wanted) count += 1;
      row.classList.toggle("rest", !wanted || count > limit);
    });
    if (!more) return;
    more.hidden = count <= Number(table.getAttribute("data-shown"));
    more.textContent = open ? "show fewer" : "show all " + (words || menu && menu.value ? count : table.getAttribute("data-rows-all") || count);
  }

  // The rows of a long table that were left out until someone asks for them.
  function whole(table) {
    var rest = table.querySelector("script[data-rest]");
    if (!rest) return Promise.resolve();
    return unpack(rest).then(function (text) {
      if (rest.parentNode) rest.outerHTML = text;
    });
  }

  function ask(table, act) {
    if (!table.querySelector("script[data-rest]")) return act();
    whole(table).then(act);
  }

  function key(cell, numeric) {
    var value = cell.getAttribute("data-v");
    if (value === null) return null;
    return numeric || (value !== "" && !isNaN(value)) ? Number(value) : value;
  }

  function sort(head) {
    var table = head.closest("table");
    var column = head.cellIndex;
    var numeric = head.classList.contains("n");
    var before = head.getAttribute("aria-sort");
    var order = before === "none" ? (numeric ? "descending" : "ascending")
      : before === "ascending" ? "descending" : "ascending";
    var sign = order === "ascending" ? 1 : -1;
    table.querySelectorAll("th").forEach(function (other) { other.setAttribute("aria-sort", "none"); });
    head.setAttribute("aria-sort", order);
    Array.prototype.slice.call(table.tBodies[0].rows).map(function (row, place) {
      return { row: row, place: place, key: key(row.cells[column], numeric) };
    }).sort(function (one, two) {
      if (one.key === null || two.key === null) return (one.key === null) - (two.key === null) || one.place - two.place;
      var way = typeof one.key === "number" && typeof two.key === "number" ? one.key - two.key
        : String(one.key).localeCompare(String(two.key));
      return sign * way || one.place - two.place;
    }).forEach(function (entry) { table.tBodies[0].appendChild(entry.row); });
    fold(table);
  }

  document.querySelectorAll("table[data-shown]").forEach(fold);

  // The right edge of a table fades while there is more to its right.
  function edge(box) {
    box.classList.toggle("goes-on", box.scrollLeft + box.clientWidth < box.scrollWidth - 2);
  }
  var edges = new ResizeObserver(function (entries) { entries.forEach(function (entry) { edge(entry.target); }); });
  document.querySelectorAll(".scroll").forEach(function (box) {
    edges.observe(box);
    box.addEventListener("scroll", function () { edge(box); }, { passive: true });
  });

  // ---- downloads ------------------------------------------------------------------------------
  function csv(frame) {
    function cell(value) {
      if (value === null || value === undefined) return "";
      var text = typeof value === "object" ? JSON.stringify(value) : String(value);
      return /[",\r\n]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
    }
    return [frame.columns].concat(frame.rows).map(function (row) { return row.map(cell).join(","); }).join("\r\n") + "\r\n";
  }

  function save(text, type, name) {
    var link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: type + ";charset=utf-8" }));
    link.download = name;
    document.body.appendChild(link);
    link.click();
    link.remove();
    setTimeout(function () { URL.revokeObjectURL(link.href); }, 10000);
  }

  function download(id, format) {
    var panel = document.querySelector("#" + id + "[data-panel]");
    return Promise.all([load(id), panel ? start(panel) : null]).then(function () { give(id, format); });
  }

  function give(id, format) {
    var choice = chosen(id);
    var name = choice.title.toLowerCase().replace(/[^a-z0-9.]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 60) || id;
    var frame = choice.frame || panels[id].frame();
    if (format === "svg" && panels[id]) return save(picture(id), "image/svg+xml", name + ".svg");
    if (format === "svg") return window.Plotly.downloadImage(document.getElementById(id + "-plot"), { format: "svg", filename: name });
    if (format === "csv") return save(csv(frame), "text/csv", name + ".csv");
    return save(JSON.stringify({ title: choice.title, columns: frame.columns, rows: frame.rows }, null, 1),
      "application/json", name + ".json");
  }

  document.addEventListener("click", function (event) {
    var target = event.target;
    var head = target.closest(".sort");
    if (head) return ask(head.closest("table"), function () { sort(head.closest("th")); });
    if (target.hasAttribute("data-more")) {
      target.setAttribute("aria-expanded", String(target.getAttribute("aria-expanded") !== "true"));
      return refold(target);
    }
    if (target.hasAttribute("data-download")) {
      download(target.getAttribute("data-block"), target.getAttribute("data-download"));
    }
    document.querySelectorAll(".numbers[open]").forEach(function (menu) {
      if (!menu.contains(target) || target.hasAttribute("data-download")) menu.open = false;
    });
  });
  document.addEventListener("keydown", function (event) {
    if (event.key === "Escape") document.querySelectorAll(".numbers[open]").forEach(function (menu) { menu.open = false; });
  });

  // ---- shaded tokens --------------------------------------------------------------------------
  var tip = document.getElementById("tip");
  document.addEventListener("mouseover", function (event) {
    var token = event.target.closest ? event.target.closest(".t") : null;
    tip.hidden = !token;
    if (!token) return;
    tip.textContent = token.getAttribute("data-r");
    var box = token.getClientRects()[0];
    tip.style.left = Math.min(box.left, window.innerWidth - 80) + "px";
    tip.style.top = Math.max(box.top - 30, 4) + "px";
  });
  document.addEventListener("scroll", function () { tip.hidden = true; }, { passive: true });

  // ---- table of contents, narrow screens, print -----------------------------------------------
  var links = {};
  document.querySelectorAll(".toc a").forEach(function (link) { links[link.getAttribute("href").slice(1)] = link; });
  var spy = new IntersectionObserver(function (entries) {
    entries.forEach(function (entry) {
      if (!entry.isIntersecting) return;
      Object.keys(links).forEach(function (id) { links[id].removeAttribute("aria-current"); });
      links[entry.target.id].setAttribute("aria-current", "true");
    });
  }, { rootMargin: "-70px 0px -70% 0px" });
  Object.keys(links).forEach(function (id) {
    var target = document.getElementById(id);
    if (target) spy.observe(target);
  });
  if (window.innerWidth < 560) {
    document.querySelectorAll("details.words").forEach(function (node) { node.open = false; });
  }
  if (window.innerWidth < 1088) document.querySelector(".toc details").open = false;

  // ---- on paper -------------------------------------------------------------------------------
  // Printing waits for nothing, so the numbers of what a print shows are unpacked beforehand.
  var FEW_CARDS = 12;
  function unfolded(node) { return !node.closest("details:not([open])"); }
  function ready() {
    var waiting = Array.prototype.filter.call(document.querySelectorAll("[data-figure], [data-panel]"), unfolded);
    var later = window.requestIdleCallback || setTimeout;
    (function next() {
      var node = waiting.shift();
      if (node) later(function () { load(node.id).then(next); });
      else performance.mark("printable");
    })();
  }
  window.addEventListener("load", function () { setTimeout(ready, 1500); });

  var before = null, opened = [];
  window.addEventListener("beforeprint", function () {
    before = root.getAttribute("data-theme");
    root.setAttribute("data-theme", "light");
    redraw();
    var cards = document.querySelectorAll("details.card:not([open])");
    var open = cards.length > FEW_CARDS ? [] : Array.prototype.slice.call(cards);
    opened = open.concat(Array.prototype.slice.call(document.querySelectorAll("details.words:not([open]), details.source-of:not([open])")));
    opened.forEach(function (node) { node.open = true; });
    leave(open.length ? 0 : cards.length);
    drawAll();
  });

  // Says on paper how many cards it does not have.
  function leave(count) {
    document.querySelectorAll(".onpaper").forEach(function (node) { node.remove(); });
    var first = document.querySelector("details.card");
    if (!count || !first) return;
    var said = document.createElement("p");
    said.className = "nothing onpaper";
    said.textContent = count + " of " + document.querySelectorAll("details.card").length
      + " cards were left folded; open those that are wanted on paper, then print again.";
    first.parentNode.insertBefore(said, first);
  }

  window.addEventListener("afterprint", function () {
    if (before) root.setAttribute("data-theme", before); else root.removeAttribute("data-theme");
    opened.forEach(function (node) { node.open = false; });
    leave(0);
    redraw();
  });

  window.needlepoint = { drawAll: drawAll };
  performance.mark("interactive");
})();
