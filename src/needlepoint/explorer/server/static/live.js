// The live page: a text, what chosen parts of the model do on it, and what changes without them.

import { ask, element, marked, number, onTheme, pins, problem, say } from "./common.js";
import { fromAddress, question, siteOf, toAddress } from "./live_state.js";
import { matrix } from "./pattern.js";
import { legend, select, shaded, strip, table } from "./tokens.js";

const EXAMPLE = "When Mary and John went to the store, John gave a drink to";
const WAIT = 350;
const find = (id) => document.getElementById(id);
const state = fromAddress(location.search);
let answer = null;
let model = null;
let running = null;
let timer = 0;

// ---- asking -----------------------------------------------------------------------------------

function remember() {
  const address = toAddress(state);
  if (address !== null) history.replaceState(null, "", location.pathname + address);
  say(address === null ? "The text is too long to be part of the address." : "");
}

function later() {
  clearTimeout(timer);
  timer = setTimeout(refresh, WAIT);
}

async function refresh() {
  clearTimeout(timer);
  remember();
  running?.abort();
  if (!state.text) {
    find("result").hidden = true;
    return problem("");
  }
  const mine = running = new AbortController();
  find("result").setAttribute("aria-busy", "true");
  try {
    answer = await ask("/api/read", question(state), mine.signal);
  } catch (error) {
    if (error.name !== "AbortError") problem(error.message);
    return;
  } finally {
    if (running === mine) find("result").removeAttribute("aria-busy");
  }
  problem("");
  show();
}

function choose(at) {
  state.position = at;
  select(find("tokens"), at);
  refresh();
}

// ---- showing ----------------------------------------------------------------------------------

function show() {
  find("result").hidden = false;
  const focused = document.activeElement?.closest?.("#tokens") !== null;
  strip(find("tokens"), answer.tokens, answer.position, choose);
  if (focused) find("tokens").children[answer.position].focus();
  find("time").textContent = `${answer.tokens.length} tokens, ${Math.round(answer.milliseconds)} ms`;
  showNext();
  showMetric();
  find("neurons").replaceChildren(...answer.neurons.map(neuronCard));
  find("heads").replaceChildren(...answer.heads.map(headCard));
  find("result").dataset.shown = String(Date.now());
}

function showNext() {
  const edited = answer.divergence !== null;
  find("next-title").textContent = `After token ${answer.position}, ${marked(answer.tokens[answer.position])}`;
  const heads = ["next token", "probability", ...(edited ? ["with the edits", "change"] : [])];
  const most = Math.max(...answer.likely.map((one) => Math.max(one.before, one.after ?? 0)));
  const bar = (value, kind) => {
    const box = element("span", { class: `bar-of ${kind}` });
    box.style.width = `${(100 * value / most).toFixed(1)}%`;
    return element("td", { class: "n barred" }, box, element("span", {}, number(100 * value, 1), " %"));
  };
  const rows = answer.likely.map((one) => element("tr", {},
    element("th", { scope: "row", class: "code" }, element("bdi", {}, marked(one.token))),
    bar(one.before, "plain-bar"),
    ...(edited ? [bar(one.after, "edited-bar"), element("td", { class: "n" }, number(100 * (one.after - one.before), 1, true))] : [])));
  find("next").replaceChildren(element("table", { class: "next" },
    element("thead", {}, element("tr", {}, ...heads.map((head, at) => element("th", { scope: "col", class: at ? "n" : "" }, head)))),
    element("tbody", {}, ...rows)));
}

function tile(name, value, note) {
  return element("div", { class: "tile" }, element("dt", {}, name), element("dd", {}, value, note ? element("span", {}, note) : null));
}

function showMetric() {
  const tiles = [];
  if (answer.divergence !== null) {
    tiles.push(tile("prediction moved by", `${number(answer.divergence, 3)} nats`, "KL divergence, after the chosen token"));
  }
  const found = answer.measured;
  if (found) {
    const note = found.unit;
    tiles.push(tile(`${found.name}, this text`, number(found.clean, 2, true), note), tile("corrupt prompt", number(found.corrupt, 2, true), note));
    if (found.after !== null) {
      tiles.push(tile("this text with the edits", number(found.after, 2, true), `${number(found.after - found.clean, 2, true)} ${found.unit}`));
    }
  }
  const none = element("p", { class: "nothing" }, "Nothing is edited. Choose zero, mean or scale beside a head or neuron; give a corrupt prompt with answers to see the behaviour's metric.");
  find("metric").replaceChildren(tiles.length ? element("dl", { class: "tiles" }, ...tiles) : none);
}

function neuronCard(one) {
  // what the model puts in front of the text is often far outside of what the text does
  const body = [one.activations, one.edited ?? []].flatMap((values) => values.slice(answer.prefix));
  const largest = Math.max(1e-9, ...body.map(Math.abs));
  const parts = [shaded(answer.tokens, one.activations, { largest, here: answer.position })];
  if (one.edited) parts.push(element("p", { class: "muted small" }, "with the edits"), shaded(answer.tokens, one.edited, { largest, here: answer.position }));
  const rows = answer.tokens.map((token, at) => [marked(token), number(one.activations[at], 3), ...(one.edited ? [number(one.edited[at], 3)] : [])]);
  const heads = ["token", "activation", ...(one.edited ? ["with the edits"] : [])];
  return element("section", { class: "figure unit", "data-unit": one.site, "aria-label": `Neuron ${one.site}` },
    element("h3", { class: "tight" }, one.site, element("span", { class: "count" }, `at token ${answer.position}: ${number(one.activations[answer.position], 3)}`)),
    legend(Math.min(...body), largest), ...parts, table(`Activations of ${one.site}`, heads, rows));
}

function headCard(one) {
  const query = answer.position;
  const row = one.pattern[query];
  const shared = model && model.n_kv_heads < model.n_heads ? ` It reads keys and values of head ${one.kv_head} of ${model.n_kv_heads}, which others share.` : "";
  const parts = [
    element("h3", { class: "tight" }, one.site, element("span", { class: "count" }, "attention")),
    element("p", { class: "muted small" }, `Shaded by where it looks from token ${query}, `, element("bdi", { class: "code" }, marked(answer.tokens[query])), `.${shared}`),
    shaded(answer.tokens, row, { largest: 1, here: query, digits: 3 }),
    matrix(one.site, answer.tokens, one.pattern, query, choose),
  ];
  if (one.codes) parts.push(codesOf(one));
  parts.push(table(`Where ${one.site} looks from token ${query}`, ["token", "weight"], row.map((weight, at) => [marked(answer.tokens[at]), number(weight, 3)])));
  return element("section", { class: "figure unit", "data-unit": one.site, "aria-label": `Head ${one.site}` }, ...parts);
}

function codesOf(one) {
  const clean = new Set(one.clean_codes);
  const cells = answer.tokens.map((token, at) => {
    const code = one.codes[at];
    const only = clean.has(code);
    return element("span", { class: `code-cell${only ? " only" : ""}` },
      element("bdi", {}, marked(token)), element("b", {}, code === null ? "silent" : String(code)), only ? element("i", {}, "clean") : null);
  });
  return element("div", { class: "codes-box" },
    element("p", { class: "muted small" }, `Code of its output at each token, by the dictionary fitted on ${state.book}. Those marked clean were said on clean prompts of that task and on no corrupt one.`),
    element("p", { class: "codes" }, ...cells));
}

// ---- what is asked ----------------------------------------------------------------------------

function showSites() {
  find("sites").replaceChildren(...state.sites.map((one, at) => {
    const menu = element("select", { "aria-label": `Edit ${one.site}` },
      ...[["", "as it is"], ["zero", "zero"], ["mean", "mean of this text"], ["scale", "scale by"], ["corrupt", "corrupt value"]].map(([value, words]) =>
        element("option", { value, selected: value === one.kind }, words)));
    const factor = element("input", { type: "number", step: "any", min: "-1000", max: "1000", value: String(one.factor), "aria-label": `Factor of ${one.site}`, class: "factor" });
    factor.hidden = one.kind !== "scale";
    menu.addEventListener("change", () => {
      one.kind = menu.value;
      if (one.kind === "scale" && !one.factor) factor.value = String(one.factor = 2);
      factor.hidden = one.kind !== "scale";
      refresh();
    });
    factor.addEventListener("input", () => { one.factor = Number(factor.value) || 0; later(); });
    return element("li", { "data-site": one.site, class: one.kind ? "edited" : "" }, element("span", { class: "code" }, one.site), menu, factor,
      element("button", { type: "button", class: "drop", "aria-label": `Remove ${one.site}`, onclick: () => { state.sites.splice(at, 1); showSites(); refresh(); } }, "\u00d7"));
  }));
}

function addSites() {
  const parts = find("site").value.split(/[\s,;]+/).filter(Boolean);
  const bad = parts.filter((part) => !siteOf(part));
  if (bad.length) return problem(`${bad[0]} is neither a head nor a neuron; write a head as L3.H5, a neuron as L12.N345.`);
  for (const one of parts.map(siteOf)) {
    if (!state.sites.some((other) => other.site === one.site)) state.sites.push(one);
  }
  find("site").value = "";
  showSites();
  refresh();
}

function bindText(id, name) {
  const box = find(id);
  box.value = state[name];
  box.addEventListener("input", () => {
    state[name] = box.value;
    if (name === "text") state.position = null;
    later();
  });
}

async function fill() {
  if (!find("task").value) return problem("Choose a task first.");
  const query = new URLSearchParams({ task: find("task").value, number: find("number").value || "0" });
  try {
    const pair = await ask(`/api/example?${query}`);
    Object.assign(state, { text: pair.text, corrupt: pair.corrupt, answer: pair.answer.join("|"), wrong: pair.wrong.join("|"), position: null });
  } catch (error) {
    return problem(error.message);
  }
  for (const id of ["text", "corrupt", "answer", "wrong"]) find(id).value = state[id];
  refresh();
}

async function fit() {
  const task = find("book").value;
  state.book = task;
  if (!task) return refresh();
  find("fit").disabled = true;
  find("fit").textContent = "fitting\u2026";
  try {
    const card = await ask("/api/codebook", { task });
    say(`Fitted on ${card.n_prompts} prompts in ${card.seconds} s.`);
    await refresh();
  } catch (error) {
    state.book = "";
    problem(error.message);
  } finally {
    find("fit").disabled = false;
    find("fit").textContent = "fit";
  }
}

async function start() {
  for (const [id, name] of [["text", "text"], ["corrupt", "corrupt"], ["answer", "answer"], ["wrong", "wrong"]]) bindText(id, name);
  find("pair").open = Boolean(state.corrupt);
  find("book-part").open = Boolean(state.book);
  find("known-sites").replaceChildren(...[...new Set(pins().map((pin) => pin.site))].map((site) => element("option", { value: site })));
  showSites();
  find("add").addEventListener("click", addSites);
  find("site").addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); addSites(); } });
  find("ask").addEventListener("submit", (event) => event.preventDefault());
  find("fill").addEventListener("click", fill);
  find("fit").addEventListener("click", fit);
  onTheme(() => { if (answer) find("heads").querySelectorAll(".pattern").forEach((one) => one.repaint()); });
  try {
    model = await ask("/api/model");
  } catch (error) {
    find("model-line").textContent = "The model could not be loaded.";
    return problem(error.message);
  }
  find("model-line").textContent = `${model.name}: ${model.n_layers} layers, ${model.n_heads} heads and ${model.d_mlp} neurons in each.`;
  for (const id of ["task", "book"]) find(id).append(...model.tasks.map((task) => element("option", { value: task }, task.replaceAll("_", " "))));
  if (!state.text && !location.search.includes("text=")) find("text").value = state.text = EXAMPLE;
  if (state.book) {
    find("book").value = state.book;
    return fit();
  }
  refresh();
}

if (find("ask")) start();
