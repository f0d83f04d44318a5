// Pins with their notes, kept in this browser; out as JSON, and in again.

import { element, pins, problem, samePin, savePins, spelled } from "./common.js";

const place = document.getElementById("pins");

function show() {
  const list = pins();
  const sites = [...new Set(list.map((pin) => pin.site))];
  const query = new URLSearchParams(sites.slice(0, 16).map((site) => ["site", site]));
  document.getElementById("look").href = `/live${sites.length ? `?${query}` : ""}`;
  document.getElementById("export").disabled = !list.length;
  if (!list.length) {
    place.replaceChildren(element("p", { class: "nothing" }, "Nothing is pinned yet. Heads and neurons in a run, a search or a comparison have a button for it."));
    return;
  }
  place.replaceChildren(...list.map((pin) => {
    const id = `note-${list.indexOf(pin)}`;
    const note = element("textarea", { id, rows: "2", maxlength: "5000" });
    note.value = pin.note ?? "";
    note.addEventListener("input", () => savePins(pins().map((one) => (samePin(one, pin) ? { ...one, note: note.value } : one))));
    const drop = element("button", { type: "button", "aria-label": `Unpin ${pin.site}` }, "unpin");
    drop.addEventListener("click", () => { savePins(pins().filter((one) => !samePin(one, pin))); show(); });
    return element("article", { class: "card pinned" },
      element("p", { class: "facts-line" }, element("b", { class: "code" }, pin.site), " ", element("bdi", {}, spelled(pin.subject ?? "")),
        element("span", { class: "muted" }, ` ${spelled(pin.found ?? "")}`)),
      element("p", { class: "muted small" }, spelled(pin.run ?? ""), pin.model ? `, ${spelled(pin.model)}` : "", `, pinned ${new Date(pin.pinned).toLocaleDateString()}`),
      element("label", { class: "field", for: id }, "Note"), note, drop);
  }));
}

document.getElementById("export").addEventListener("click", () => {
  const text = JSON.stringify({ format: "needlepoint pins", version: 1, pins: pins() }, null, 1);
  const link = element("a", { href: URL.createObjectURL(new Blob([text], { type: "application/json" })), download: "needlepoint-pins.json" });
  link.click();
  URL.revokeObjectURL(link.href);
});

document.getElementById("import").addEventListener("change", async (event) => {
  const file = event.target.files[0];
  try {
    const found = JSON.parse(await file.text());
    if (found.format !== "needlepoint pins" || !Array.isArray(found.pins)) throw new Error("format");
    const fresh = found.pins.filter((pin) => typeof pin?.site === "string" && /^L\d+\.[HN]\d+$/.test(pin.site))
      .map((pin) => Object.fromEntries(["site", "run", "subject", "found", "model", "note", "pinned"].map((key) => [key, String(pin[key] ?? "").slice(0, 5000)])));
    savePins([...pins().filter((one) => !fresh.some((pin) => samePin(pin, one))), ...fresh]);
    problem("");
  } catch {
    problem("This file holds no pins; choose one that was exported here.");
  }
  show();
});

show();
