// A search that names one neuron or head: what the loaded model says of it, found by a run or not.

import { ask, element, spelled } from "./common.js";

const place = document.getElementById("named");

function offer(card) {
  const what = card.kind === "neuron" ? "a neuron" : "an attention head";
  const parts = [element("p", { class: "row" }, element("span", {}, element("b", { class: "code" }, card.site), `: ${what} of `, element("bdi", {}, spelled(card.model)), "."),
    element("a", { class: "button", href: `/live?${new URLSearchParams({ site: card.site })}` }, "look at it live"))];
  if (card.command) {
    parts.push(element("p", { class: "muted small" }, "Its dossier, with what excites it, what it writes and what it is used for, is made by ", element("code", {}, spelled(card.command))));
  }
  return parts;
}

async function start() {
  try {
    place.replaceChildren(...offer(await ask(`/api/site?${new URLSearchParams({ name: place.dataset.site })}`)));
  } catch (error) {
    // a run may be of another model: then it is no mistake to search for it
    const kind = place.dataset.found ? { class: "muted", role: "status" } : { class: "stopped failed", role: "alert" };
    place.replaceChildren(element("p", kind, place.dataset.found ? "Not to be looked at live: " : "", spelled(error.message)));
  }
}

if (place) start();
