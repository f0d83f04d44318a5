// The scatter of a comparison, drawn by plotly in the colours of the page.

import { isDark, onTheme } from "./common.js";
import { DARK } from "./colours.js";

const place = document.getElementById("scatter");

function recoloured(value, coloured) {
  if (typeof value === "string") return coloured && DARK[value] ? DARK[value] : value;
  if (Array.isArray(value)) return value.map((item) => recoloured(item, coloured));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) =>
    [key, recoloured(item, coloured || /color/.test(key))]));
}

function draw() {
  const { figure } = JSON.parse(document.getElementById("data-scatter").textContent);
  const shown = isDark() ? recoloured(figure, false) : figure;
  if (place.clientWidth < 520) shown.layout.legend = { orientation: "h", y: -0.25, yanchor: "top" };
  window.Plotly.react(place, shown.data, shown.layout, { responsive: true, displayModeBar: false });
}

if (place) {
  draw();
  onTheme(draw);
}

// Another run has other questions, and a question of another kind needs one like it.
function agree(form, changed) {
  const drop = (...names) => names.forEach((name) => form.querySelector(`[name=${name}]`)?.remove());
  if (["a", "b"].includes(changed.name)) drop("cell", "other", "measure");
  const partner = { cell: form.elements.other, other: form.elements.cell }[changed.name];
  if (!partner) return;
  drop("measure");
  const kind = (name) => name.split(".")[0];
  if (kind(partner.value) === kind(changed.value)) return;
  const like = [...partner.options].find((option) => kind(option.value) === kind(changed.value));
  if (like) partner.value = like.value;
}

for (const menu of document.querySelectorAll("#choose select")) {
  menu.addEventListener("change", () => {
    const form = document.getElementById("choose");
    agree(form, menu);
    if (form.elements.a.value && form.elements.b.value) form.requestSubmit();
  });
}
