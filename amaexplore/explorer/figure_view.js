// Draws one Bokeh document inside a widget. BokehJS comes from the kernel (the `runtime` model), so that nothing
// is fetched from a network and no version on the page is disturbed. Patches are acknowledged once they are drawn.

async function loadBokeh(model) {
  const id = model.get("runtime").replace("IPY_MODEL_", "");
  const runtime = await model.widget_manager.get_model(id);
  const version = runtime.get("version");
  const loaded = (globalThis.__amaexplore_bokeh ??= {});
  if (!loaded[version]) {
    const holder = {};
    // the library hangs itself on `this`: give it an object of its own
    new Function(runtime.get("source")).call(holder);
    loaded[version] = holder.Bokeh;
  }
  return loaded[version];
}

function buffersOf(ids, buffers) {
  const copy = (view) => view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
  return new Map(ids.map((id, index) => [id, copy(buffers[index])]));
}

function save(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// A small menu in the corner: the figure as a picture, made here without a server, and as a table, asked of the kernel.
function saveMenu(model, view, exported) {
  const menu = document.createElement("details");
  menu.className = "amaexplore-save";
  const title = document.createElement("summary");
  title.textContent = "⤓";
  title.title = "Save this plot";
  const list = document.createElement("div");
  menu.append(title, list);
  for (const kind of ["png", "svg", "csv"]) {
    const button = document.createElement("button");
    button.textContent = kind.toUpperCase();
    button.onclick = async () => {
      menu.open = false;
      if (kind === "csv") tell(model, { kind: "table", view });
      else save(`${exported.name()}.${kind}`, await exported.blob(kind));
    };
    list.append(button);
  }
  return menu;
}

// A page that is being left has given up its kernel: what is drawn in its last moments has nobody to tell.
let leaving = false;
addEventListener("beforeunload", () => { leaving = true; });
addEventListener("pagehide", () => { leaving = true; });
addEventListener("pageshow", () => { leaving = false; });
const tell = (model, message) => { if (!leaving) model.send(message); };

const plain = (value) => value === null || ["number", "string", "boolean"].includes(typeof value);

// a large screen is looked at from further away
const enlarged = () => (window.innerWidth >= 3200 ? 1.8 : window.innerWidth >= 2200 ? 1.28 : 1);
const FONT_SIZE = /("\w*font_size":(?:\{"type":"value","value":)?")([\d.]+)px"/g;
const withLetters = (text, factor) => (factor === 1 ? text : text.replace(FONT_SIZE, (_, key, size) => `${key}${(size * factor).toFixed(1)}px"`));

async function render({ model, el }) {
  el.classList.add("amaexplore-figure");
  const view = Math.random().toString(36).slice(2);
  let bokeh = null;
  let doc = null;
  let roots = null;
  let drawing = Promise.resolve();
  let outgoing = new Map();
  let sending = false;
  let letters = enlarged();

  // what the reader moves by hand (a dragged window, a chosen point) goes back to the kernel, newest value only
  const send = () => {
    sending = false;
    const changes = [...outgoing.values()];
    outgoing = new Map();
    tell(model, { kind: "change", view, changes });
  };
  const onChange = (event) => {
    const { model: changed, attr, value } = event;
    if (!event.sync || !changed?.tags?.includes("live") || !plain(value)) return;
    outgoing.set(`${changed.id}.${attr}`, { id: changed.id, attr, value });
    if (!sending) {
      sending = true;
      requestAnimationFrame(send);
    }
  };

  async function show(content, buffers) {
    roots?.clear?.();
    el.replaceChildren();
    doc = bokeh.require("document/document").Document.from_json(JSON.parse(withLetters(content.text, letters)), undefined, buffersOf(content.buffers, buffers));
    doc.on_change(onChange);
    roots = await bokeh.embed.add_document_standalone(doc, el);
    // the same document, for tests and for the curious
    el.bokehDocument = doc;
    el.append(saveMenu(model, view, exported));
  }

  function patch(content, buffers) {
    if (doc === null) return;
    doc.apply_json_patch(JSON.parse(content.text), buffersOf(content.buffers, buffers));
  }

  const exported = {
    name: () => (model.get("label") || "figure").toLowerCase().replace(/[^a-z0-9]+/g, "-"),
    blob: (kind) => doc.views_manager.get(doc.roots()[0]).export(kind).to_blob(),
  };
  el.exportPlot = exported.blob;

  const onMessage = (content, buffers) => {
    if (content.view && content.view !== view) return;
    if (content.kind === "table") {
      save(`${exported.name()}.csv`, new Blob([content.text], { type: "text/csv" }));
      return;
    }
    drawing = drawing
      .then(() => (content.kind === "show" ? show(content, buffers) : patch(content, buffers)))
      .then(() => new Promise((done) => {
        // a hidden page draws no frames, and must not hold up the others
        requestAnimationFrame(done);
        setTimeout(done, 250);
      }))
      .catch((error) => {
        console.error("amaexplore figure:", error);
        tell(model, { kind: "failed", view, message: String(error) });
      })
      .then(() => tell(model, { kind: "drawn", view, serial: content.serial }));
  };
  model.on("msg:custom", onMessage);

  const onResize = () => {
    if (bokeh === null || letters === enlarged()) return;
    letters = enlarged();
    tell(model, { kind: "hello", view });
  };
  window.addEventListener("resize", onResize);

  try {
    bokeh = await loadBokeh(model);
    tell(model, { kind: "hello", view });
  } catch (error) {
    el.textContent = `This figure cannot be drawn: ${error}`;
    console.error(error);
  }
  return () => {
    window.removeEventListener("resize", onResize);
    model.off("msg:custom", onMessage);
    tell(model, { kind: "bye", view });
    roots?.clear?.();
  };
}

export default { render };
