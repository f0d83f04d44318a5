// An attention pattern: a matrix of queries by keys on a canvas, with a cursor for mouse and keys.

import { element, marked, number } from "./common.js";

const MOST = 420;

export function matrix(site, tokens, pattern, query, choose) {
  const n = tokens.length;
  const cell = Math.max(3, Math.min(22, Math.floor(MOST / n)));
  const size = cell * n;
  const canvas = element("canvas", {
    width: size, height: size, tabindex: "0", role: "img", class: "matrix",
    "aria-label": `Attention pattern of ${site}: ${n} queries by ${n} keys. Arrow keys read it.`,
  });
  const reading = element("p", { class: "reading", "aria-live": "polite" }, hint(tokens, pattern, query));
  let at = [query, strongest(pattern[query])];

  const move = (row, column) => {
    at = [clamp(row, n), clamp(column, n)];
    reading.replaceChildren(...sentence(tokens, pattern, at));
    paint(canvas, pattern, cell, query, at);
  };
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientY - box.top) * n / box.height, (event.clientX - box.left) * n / box.width].map(Math.floor);
  };
  canvas.addEventListener("mousemove", (event) => move(...place(event)));
  canvas.addEventListener("mouseleave", () => {
    reading.replaceChildren(hint(tokens, pattern, query));
    paint(canvas, pattern, cell, query, null);
  });
  canvas.addEventListener("click", (event) => choose(clamp(place(event)[0], n)));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    if (event.key === "Enter") choose(at[0]);
    if (!step) return;
    event.preventDefault();
    move(at[0] + step[0], at[1] + step[1]);
  });
  const made = element("div", { class: "pattern" },
    element("p", { class: "axis muted small" }, "rows: from which token; columns: to which token, the first at top left"),
    canvas, reading);
  made.repaint = () => paint(canvas, pattern, cell, query, null);
  requestAnimationFrame(made.repaint);
  return made;
}

export function strongest(row) {
  return row.indexOf(Math.max(...row));
}

function hint(tokens, pattern, query) {
  const key = strongest(pattern[query]);
  return `From ${marked(tokens[query])} most to ${marked(tokens[key])}: ${number(pattern[query][key])}`;
}

function sentence(tokens, pattern, [query, key]) {
  const weight = pattern[query][key];
  return [
    "from ", element("b", {}, element("bdi", {}, marked(tokens[query]))), ` (${query}) to `,
    element("b", {}, element("bdi", {}, marked(tokens[key]))), ` (${key}): `,
    weight === undefined ? "comes later, so it cannot be seen" : number(weight, 3),
  ];
}

function paint(canvas, pattern, cell, query, at) {
  const style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue("--ink").trim();
  const blue = style.getPropertyValue("--pos").trim();
  const draw = canvas.getContext("2d");
  draw.clearRect(0, 0, canvas.width, canvas.height);
  pattern.forEach((row, from) => row.forEach((weight, to) => {
    if (weight < 0.004) return;
    draw.fillStyle = `rgba(${blue},${Math.min(1, weight ** 0.6)})`;
    draw.fillRect(to * cell, from * cell, cell, cell);
  }));
  draw.strokeStyle = style.getPropertyValue("--muted").trim();
  draw.strokeRect(0.5, query * cell + 0.5, canvas.width - 1, cell - 1);
  if (!at) return;
  draw.strokeStyle = ink;
  draw.lineWidth = 2;
  draw.strokeRect(at[1] * cell, at[0] * cell, cell, cell);
  draw.lineWidth = 1;
}

const clamp = (value, n) => Math.max(0, Math.min(n - 1, value));
