// New studies: what was pasted goes to the server, which works on it; here is how it stands.

import { ask, element, problem, spelled } from "./common.js";

const EVERY = 700;
const jobs = document.getElementById("jobs");
let timer = 0;

function card(job) {
  const share = job.total ? job.done / job.total : null;
  const bar = element("progress", { max: "1", "aria-label": `Progress of ${job.name}` });
  if (share !== null) bar.value = share;
  const words = job.kind === "probe" ? "Neurons" : "Heads";
  const parts = [element("p", { class: "facts-line" }, element("b", {}, `${words}: ${spelled(job.name)} `),
    element("span", { class: `chip ${{ done: "yes", failed: "failed", cancelled: "skipped" }[job.state] ?? ""}` }, job.state),
    element("span", { class: "muted" }, ` ${Math.round(job.seconds)} s`))];
  if (job.state === "running") {
    const cancel = element("button", { type: "button", "aria-label": `Cancel ${job.name}` }, "cancel");
    cancel.addEventListener("click", () => { cancel.disabled = true; act(`/api/studies/${job.id}/cancel`, {}); });
    parts.push(bar, element("p", { class: "muted small" }, spelled(job.step) + (job.total ? `: ${job.done} of ${job.total}` : "")), cancel);
  }
  if (job.message) parts.push(element("p", { class: "stopped failed" }, spelled(job.message)));
  if (job.run) {
    parts.push(element("p", { class: "row" }, element("a", { class: "button", href: `/runs/${job.run}/report` }, "open its report"),
      element("a", { class: "button plain-button", href: `/runs/${job.run}` }, "its run")));
  }
  return element("article", { class: "card job", "data-state": job.state }, ...parts);
}

async function refresh() {
  clearTimeout(timer);
  const list = await ask("/api/studies").catch(() => null);
  if (list?.length) {
    const focused = document.activeElement?.getAttribute?.("aria-label");
    jobs.replaceChildren(...list.map(card));
    if (focused) jobs.querySelector(`[aria-label="${CSS.escape(focused)}"]`)?.focus();
  }
  if (list?.some((job) => job.state === "running")) timer = setTimeout(refresh, EVERY);
}

async function act(path, body) {
  try {
    await ask(path, body);
    problem("");
  } catch (error) {
    problem(error.message);
  }
  await refresh();
}

// Who begins to fill a form in will start a study: what it needs is imported meanwhile.
let prepared = false;
function prepare() {
  if (prepared) return;
  prepared = true;
  ask("/api/studies/prepare", {}).catch(() => { prepared = false; });
}

for (const form of document.querySelectorAll("form[data-kind]")) {
  form.addEventListener("input", prepare);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const body = { kind: form.dataset.kind };
    for (const box of form.elements) {
      if (box.name) body[box.name] = box.type === "checkbox" ? box.checked : box.value;
    }
    act("/api/studies", body).then(() => jobs.scrollIntoView({ block: "nearest" }));
  });
}

if (jobs) refresh();
