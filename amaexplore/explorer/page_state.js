// Keeps the session in the address of the page, so that a reload, a bookmark or a shared link bring it back; in a notebook
// in the tab's own storage, so that it comes back when the kernel has been restarted and the cell is run again.

const KEY = "#session=";

function decoded(hash) {
  if (!hash.startsWith(KEY)) return null;
  try {
    const bytes = Uint8Array.from(atob(hash.slice(KEY.length).replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
    return new TextDecoder().decode(bytes);
  } catch {
    return null;
  }
}

function encoded(text) {
  const bytes = new TextEncoder().encode(text);
  return KEY + btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

// Some browsers refuse storage to pages they do not trust: then nothing is kept.
function kept(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key));
  } catch {
    return null;
  }
}

function keep(key, value) {
  try {
    sessionStorage.setItem(key, JSON.stringify(value));
  } catch {
    // as above
  }
}

// Keys pressed in the explorer are meant for it: in a notebook the arrow keys would fold headings, and "d" twice would
// delete the cell. The mark is the one by which Jupyter's own widgets keep its shortcuts away.
function keepKeys(el, patience = 100) {
  const app = el.closest(".ama-app");
  // on whatever has the focus itself: some shortcuts ask for the focused element and look no further
  const keep = (event) => event.target.setAttribute("data-lm-suppress-shortcuts", "true");
  if (app) app.addEventListener("focusin", keep);
  else if (patience > 0) requestAnimationFrame(() => keepKeys(el, patience - 1));
}

function render({ model, el }) {
  el.style.display = "none";
  keepKeys(el);
  const key = `amaexplore:${model.get("place")}`;
  const remember = () => {
    const text = model.get("document");
    if (!text) return;
    if (model.get("page")) history.replaceState(null, "", encoded(text));
    else keep(key, { process: model.get("process"), document: text });
  };
  model.on("change:document", remember);
  if (model.get("page")) model.send({ kind: "hello", document: decoded(location.hash) });
  else model.send({ kind: "hello", before: kept(key) });
  return () => model.off("change:document", remember);
}

export default { render };
