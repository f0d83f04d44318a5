// What every page shares: colours, requests, pins, and text whose hidden characters are spelled out.

const root = document.documentElement;
const media = window.matchMedia("(prefers-color-scheme: dark)");
const THEME = "needlepoint.theme";
const PINS = "needlepoint.pins";

// ---- small helpers ----------------------------------------------------------------------------

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufffd]/g;

// A token as a reader can see it: spaces and line ends marked, hidden characters spelled out.
export function visible(text) {
  return spelled(text).replace(/\n/g, "\u21b5").replace(/\t/g, "\u21e5");
}

export function spelled(text) {
  return text.replace(HIDDEN, (sign) =>
    sign === "\ufffd" ? sign : `\u27e8U+${sign.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}\u27e9`);
}

export function marked(text) {
  return visible(text).replace(/^ +| +$/g, (spaces) => "\u2423".repeat(spaces.length));
}

export function number(value, digits = 2, signed = false) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "not defined";
  const fixed = Math.abs(value).toFixed(digits);
  const negative = value < 0 && Number(fixed) !== 0;
  return (negative ? "\u2212" : signed && Number(fixed) !== 0 ? "+" : "") + fixed;
}

export function say(text) {
  const place = document.getElementById("status");
  if (place) place.textContent = text;
}

export function problem(text) {
  const place = document.getElementById("problem");
  place.hidden = !text;
  place.textContent = text ? spelled(text) : "";
}

// ---- requests ---------------------------------------------------------------------------------

export async function ask(path, body, signal) {
  const options = { signal, headers: { "x-needlepoint": "1" }, credentials: "same-origin" };
  if (body !== undefined) {
    options.method = "POST";
    options.headers["content-type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let answer;
  let found;
  try {
    answer = await fetch(path, options);
    found = await answer.json();
  } catch (error) {
    if (error.name === "AbortError") throw error; // a newer question took its place
    if (!answer) throw new Error("The explorer does not answer; is it still running?");
    if (answer.ok) throw new Error("The explorer's answer broke off; ask again.");
  }
  if (!answer.ok) throw new Error(found?.error || `The explorer answered with status ${answer.status}.`);
  return found;
}

// ---- light and dark ---------------------------------------------------------------------------

export function isDark() {
  const set = root.getAttribute("data-theme");
  return set ? set === "dark" : media.matches;
}

const listeners = [];
export function onTheme(listener) { listeners.push(listener); }

function setUpTheme() {
  const stored = read(THEME, null);
  if (stored === "dark" || stored === "light") root.setAttribute("data-theme", stored);
  const button = document.getElementById("theme");
  const label = () => {
    button.textContent = isDark() ? "light" : "dark";
    button.setAttribute("aria-label", `Switch to ${button.textContent} colours`);
    button.setAttribute("aria-pressed", String(isDark()));
    listeners.forEach((listener) => listener());
  };
  button.addEventListener("click", () => {
    root.setAttribute("data-theme", isDark() ? "light" : "dark");
    write(THEME, root.getAttribute("data-theme"));
    label();
  });
  media.addEventListener("change", label);
  label();
}

// ---- pins: in this browser alone --------------------------------------------------------------

function read(key, fallback) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? fallback;
  } catch {
    return fallback;
  }
}

function write(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    say("This browser keeps nothing; export the pins to save them.");
  }
}

export function pins() {
  const found = read(PINS, []);
  return Array.isArray(found) ? found.filter((pin) => pin && typeof pin.site === "string") : [];
}

export function savePins(list) {
  write(PINS, list);
  markPins();
}

export const samePin = (a, b) => a.site === b.site && a.run === b.run && a.subject === b.subject;

export function togglePin(pin) {
  const there = pins().some((one) => samePin(one, pin));
  savePins(there ? pins().filter((one) => !samePin(one, pin)) : [...pins(), { ...pin, note: "", pinned: new Date().toISOString() }]);
  say(there ? `${pin.site} is no longer pinned.` : `${pin.site} is pinned.`);
}

const pinOf = (button) => ({
  site: button.dataset.site, run: button.dataset.run, subject: button.dataset.subject,
  found: button.dataset.found, model: button.dataset.model,
});

export function markPins() {
  const list = pins();
  for (const button of document.querySelectorAll("[data-pin]")) {
    const on = list.some((pin) => samePin(pin, pinOf(button)));
    button.setAttribute("aria-pressed", String(on));
    button.textContent = on ? "pinned" : "pin";
  }
  const count = document.querySelector("[data-pin-count]");
  count.hidden = !list.length;
  count.textContent = String(list.length);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-pin]");
  if (button) togglePin(pinOf(button));
});

setUpTheme();
markPins();
