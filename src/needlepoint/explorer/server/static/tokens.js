// A text as tokens: a strip to choose from, and strips shaded by numbers.

import { element, marked, number, visible } from "./common.js";

export function textOf(token) {
  return visible(token) + (token.includes("\n") ? "\n" : "");
}

// One token at a time is chosen; arrow keys move, Home and End jump.
export function strip(place, tokens, chosen, choose) {
  const options = tokens.map((token, at) => element("span", {
    role: "option", class: "tok", tabindex: at === chosen ? "0" : "-1", "data-at": at,
    "aria-selected": String(at === chosen), "aria-label": `token ${at}: ${marked(token)}`,
  }, textOf(token)));
  place.replaceChildren(...options);
  place.onclick = (event) => {
    const option = event.target.closest(".tok");
    if (option) choose(Number(option.dataset.at));
  };
  place.onkeydown = (event) => {
    const at = Number(event.target.dataset?.at);
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tokens.length - 1 }[event.key];
    if (next === undefined || Number.isNaN(at)) return;
    event.preventDefault();
    const to = Math.max(0, Math.min(tokens.length - 1, next));
    choose(to);
    place.querySelector(`[data-at="${to}"]`).focus();
  };
}

export function select(place, at) {
  for (const option of place.children) {
    const on = Number(option.dataset.at) === at;
    option.setAttribute("aria-selected", String(on));
    option.tabIndex = on ? 0 : -1;
  }
}

// Tokens shaded by one number each: blue above 0, orange below it.
export function shaded(tokens, values, options = {}) {
  const largest = options.largest ?? Math.max(1e-9, ...values.map((value) => Math.abs(value ?? 0)));
  const digits = options.digits ?? 2;
  const spans = tokens.map((token, at) => {
    const value = values[at] ?? 0;
    const shade = Math.min(1, Math.abs(value) / largest);
    const span = element("bdi", {
      class: `t${value < 0 ? " neg" : ""}${at === options.here ? " here" : ""}`,
      "data-at": at, title: `${marked(token)}: ${number(values[at] ?? null, digits)}`,
    }, textOf(token));
    span.style.setProperty("--a", shade.toFixed(3));
    return span;
  });
  return element("p", { class: "tokens", dir: "ltr" }, ...spans);
}

export function legend(least, most, digits = 2) {
  const both = least < 0;
  return element("p", { class: "legend" }, element("span", {}, number(both ? -most : 0, digits)),
    element("span", { class: `ramp${both ? " both" : ""}`, role: "img", "aria-label": "Shading from the lower to the higher number" }),
    element("span", {}, number(most, digits)));
}

// The numbers themselves, for readers who cannot see shades, and for copying.
export function table(caption, heads, rows) {
  return element("details", { class: "values" }, element("summary", {}, "numbers"),
    element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
      element("table", {}, element("caption", { class: "hidden" }, caption),
        element("thead", {}, element("tr", {}, ...heads.map((head, at) => element("th", { scope: "col", class: at ? "n" : "" }, head)))),
        element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell, at) =>
          at ? element("td", { class: "n" }, cell) : element("th", { scope: "row", class: "code" }, cell))))))));
}
