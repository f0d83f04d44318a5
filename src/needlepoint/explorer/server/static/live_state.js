// What one look at a text is about, as an address and back: the same address, the same view.

const LONGEST = 6000;

export const KINDS = ["zero", "mean", "scale", "corrupt"];

export function fromAddress(search) {
  const query = new URLSearchParams(search);
  const at = query.get("at");
  return {
    text: query.get("text") ?? "",
    sites: query.getAll("site").map(siteOf).filter(Boolean),
    position: at !== null && /^\d+$/.test(at) ? Number(at) : null,
    corrupt: query.get("corrupt") ?? "",
    answer: query.get("answer") ?? "",
    wrong: query.get("wrong") ?? "",
    book: query.get("book") ?? "",
  };
}

export function toAddress(state) {
  const query = new URLSearchParams();
  for (const name of ["text", "corrupt", "answer", "wrong", "book"]) {
    if (state[name]) query.set(name, state[name]);
  }
  for (const one of state.sites) query.append("site", siteText(one));
  if (state.position !== null) query.set("at", String(state.position));
  const text = query.toString();
  return text.length > LONGEST ? null : text ? `?${text}` : "";
}

// `L3.H5`, `L3.H5:zero`, `L12.N345:scale:2`
export function siteOf(text) {
  const [site, kind = "", factor = ""] = text.trim().split(":");
  if (!/^L\d{1,4}\.[HN]\d{1,6}$/i.test(site)) return null;
  const value = Number.isFinite(Number(factor)) && factor !== "" ? Number(factor) : 0;
  return { site: site.toUpperCase(), kind: KINDS.includes(kind) ? kind : "", factor: value };
}

function siteText(one) {
  if (!one.kind) return one.site;
  return one.kind === "scale" ? `${one.site}:scale:${one.factor}` : `${one.site}:${one.kind}`;
}

export const words = (text) => text.replace(/\u2423/g, " ").split("|").filter((part) => part !== "");

// What the server is asked.
export function question(state) {
  const body = {
    text: state.text,
    sites: state.sites.map((one) => one.site),
    edits: state.sites.filter((one) => one.kind).map(({ site, kind, factor }) => ({ site, kind, factor })),
    codebook: state.book,
  };
  if (state.position !== null) body.position = state.position;
  if (state.corrupt && words(state.answer).length && words(state.wrong).length) {
    body.contrast = { corrupt: state.corrupt, answer: words(state.answer), wrong: words(state.wrong) };
  }
  return body;
}
