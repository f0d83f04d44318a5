"use strict";
(function () {
  var root = document.documentElement;
  var query = window.matchMedia("(prefers-color-scheme: dark)");
  var cache = {};
  var drawn = {};

  function island(id) {
    if (!(id in cache)) cache[id] = JSON.parse(document.getElementById("data-" + id).textContent);
    return cache[id];
  }

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
    var place = document.getElementById(id + "-plot");
    var choice = chosen(id);
    var figure = themed(choice.figure);
    place.setAttribute("aria-label", choice.alt);
    document.querySelector('[data-figure="' + id + '"] [data-title]').textContent = show(choice.title);
    drawn[id] = true;
    return window.Plotly.react(place, figure.data, narrow(figure.layout, place.clientWidth), {
      responsive: true, displayModeBar: false, displaylogo: false, scrollZoom: false, doubleClick: false
    });
  }

  // Characters that cannot be seen are spelled out, as in the rest of the page.
  function show(text) {
    return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
      function (sign) { return "\u27e8U+" + sign.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0") + "\u27e9"; });
  }

  function drawAll() {
    var all = document.querySelectorAll("[data-figure]");
    return Promise.all(Array.prototype.map.call(all, function (node) {
      var id = node.getAttribute("data-figure");
      return drawn[id] || !node.offsetParent ? null : draw(id);
    }));
  }

  function redraw() {
    Object.keys(drawn).forEach(function (id) {
      if (document.getElementById(id).offsetParent) draw(id); else delete drawn[id];
    });
  }

  var watcher = new IntersectionObserver(function (entries) {
    entries.forEach(function (entry) {
      var id = entry.target.getAttribute("data-figure");
      if (entry.isIntersecting && !drawn[id]) draw(id);
    });
  }, { rootMargin: "500px 0px" });

  // This script stands before plotly, so that text and tables answer while plotly is being read.
  document.addEventListener("DOMContentLoaded", function () {
    document.querySelectorAll("[data-figure]").forEach(function (node) { watcher.observe(node); });
    performance.mark("figures");
  });

  document.addEventListener("change", function (event) {
    var id = event.target.getAttribute("data-choose");
    if (id) draw(id);
    if (event.target.hasAttribute("data-rows")) fold(event.target.closest(".tablebox").querySelector("table"));
  });

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
    var count = 0;
    Array.prototype.forEach.call(table.tBodies[0].rows, function (row) {
      var wanted = !menu || !menu.value || row.cells[Number(menu.getAttribute("data-rows"))].textContent.trim() === menu.value;
      if (wanted) count += 1;
      row.classList.toggle("rest", !wanted || count > limit);
    });
    if (!more) return;
    more.hidden = count <= Number(table.getAttribute("data-shown"));
    more.textContent = open ? "show fewer" : "show all " + count;
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
    var choice = chosen(id);
    var name = choice.title.toLowerCase().replace(/[^a-z0-9.]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 60) || id;
    if (format === "svg") return window.Plotly.downloadImage(document.getElementById(id + "-plot"), { format: "svg", filename: name });
    if (format === "csv") return save(csv(choice.frame), "text/csv", name + ".csv");
    return save(JSON.stringify({ title: choice.title, columns: choice.frame.columns, rows: choice.frame.rows }, null, 1),
      "application/json", name + ".json");
  }

  document.addEventListener("click", function (event) {
    var target = event.target;
    var head = target.closest(".sort");
    if (head) return sort(head.closest("th"));
    if (target.hasAttribute("data-more")) {
      target.setAttribute("aria-expanded", String(target.getAttribute("aria-expanded") !== "true"));
      return fold(target.closest(".tablebox").querySelector("table"));
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

  var before = null;
  window.addEventListener("beforeprint", function () {
    before = root.getAttribute("data-theme");
    root.setAttribute("data-theme", "light");
    redraw();
    document.querySelectorAll("details.card, details.words").forEach(function (node) { node.open = true; });
    drawAll();
  });

  window.addEventListener("afterprint", function () {
    if (before) root.setAttribute("data-theme", before); else root.removeAttribute("data-theme");
    redraw();
  });

  window.needlepoint = { drawAll: drawAll };
  performance.mark("interactive");
})();
