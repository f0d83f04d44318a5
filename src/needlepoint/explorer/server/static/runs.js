// The list of runs: a filter, and two runs to compare.

const filter = document.getElementById("filter");
const button = document.getElementById("compare");

if (filter) {
  const cards = [...document.querySelectorAll(".run")];
  const shown = document.getElementById("shown");
  filter.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const card of cards) {
      card.hidden = !words.every((word) => card.dataset.text.includes(word));
      count += card.hidden ? 0 : 1;
    }
    shown.textContent = `${count} of ${cards.length} runs`;
  });
  const chosen = () => [...document.querySelectorAll('[name="pick"]:checked')].map((box) => box.value);
  document.addEventListener("change", () => {
    button.disabled = chosen().length !== 2;
    button.title = button.disabled ? "Tick two runs first" : "";
  });
  document.getElementById("pick").addEventListener("submit", (event) => {
    event.preventDefault();
    const [a, b] = chosen();
    if (b) location.href = `/compare?${new URLSearchParams({ a, b })}`;
  });
}
