// A menu of things to take away: shown as text to copy, or saved as a file.

function save(name, type, content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function render({ model, el }) {
  el.classList.add("ama-take");
  const menu = document.createElement("details");
  menu.className = "ama-menu";
  const title = document.createElement("summary");
  title.textContent = "Take away";
  title.title = "Python, methods, BibTeX, JSON, CSV, HDF5, report, session";
  const list = document.createElement("div");
  menu.append(title, list);
  for (const [key, label, hint] of model.get("items")) {
    const button = document.createElement("button");
    button.textContent = label;
    button.title = hint;
    button.onclick = () => {
      menu.open = false;
      title.textContent = "preparing …";
      model.send({ kind: "wanted", key });
    };
    list.append(button);
  }
  const dialog = document.createElement("dialog");
  dialog.className = "ama-dialog";
  const heading = document.createElement("b");
  const code = document.createElement("pre");
  const bar = document.createElement("div");
  const copy = document.createElement("button");
  copy.textContent = "Copy";
  copy.onclick = () => navigator.clipboard?.writeText(code.textContent).then(() => { copy.textContent = "Copied"; });
  const close = document.createElement("button");
  close.textContent = "Close";
  close.onclick = () => dialog.close();
  bar.append(copy, close);
  dialog.append(heading, code, bar);
  el.append(menu, dialog);

  const onMessage = (content, buffers) => {
    title.textContent = "Take away";
    if (content.kind === "file") save(content.name, content.type, content.text ?? buffers[0]);
    if (content.kind === "text") {
      heading.textContent = content.name;
      code.textContent = content.text;
      copy.textContent = "Copy";
      dialog.showModal();
    }
  };
  model.on("msg:custom", onMessage);
  const outside = (event) => { if (!event.composedPath().includes(menu)) menu.open = false; };
  document.addEventListener("click", outside);
  return () => {
    model.off("msg:custom", onMessage);
    document.removeEventListener("click", outside);
  };
}

export default { render };
