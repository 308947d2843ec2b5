// Atoms as shaded spheres, seen from the side one likes: WebGL 2 where the page has it, else an ordinary canvas.
// Parallel projection: lengths are the same near and far, so that the scale bar holds everywhere.

let leaving = false;
addEventListener("beforeunload", () => { leaving = true; });
addEventListener("pagehide", () => { leaving = true; });
addEventListener("pageshow", () => { leaving = false; });

const BRUSH = 16; // CSS pixels
const CLICK = 4; // less movement than this is no drag
const BATH_SIZE = 0.5; // of the bath's atoms, so that the nanoparticle is seen among them
const EASILY_HIT = 5; // pixels around a small atom

const VERTEX = `#version 300 es
in vec3 position; in float radius; in vec3 colour; in float chosen;
uniform mat3 turn; uniform vec2 size; uniform vec2 shift; uniform float scale; uniform float depth;
out vec3 tint; out float thickness; out float far; out float mine;
void main() {
  vec3 p = turn * position;
  gl_Position = vec4((p.xy * scale + shift) * 2.0 / size, -p.z / depth, 1.0);
  gl_PointSize = max(2.0, 2.0 * radius * scale * (chosen > 0.5 ? 1.0 : 0.5));
  tint = colour; thickness = radius / (2.0 * depth); far = 0.5 - 0.5 * p.z / depth; mine = chosen;
}`;
const FRAGMENT = `#version 300 es
precision highp float;
in vec3 tint; in float thickness; in float far; in float mine;
uniform vec3 paper;
out vec4 pixel;
void main() {
  vec2 q = gl_PointCoord * 2.0 - 1.0;
  float r2 = dot(q, q);
  if (r2 > 1.0) discard;
  float z = sqrt(1.0 - r2);
  float light = 0.45 + 0.55 * max(0.0, dot(vec3(q.x, -q.y, z), normalize(vec3(-0.4, 0.6, 0.8))));
  float mist = mine > 0.5 ? clamp((far - 0.4) * 0.8, 0.0, 0.3) : clamp(0.3 + (far - 0.3) * 0.9, 0.3, 0.85);
  float rim = mine > 0.5 ? smoothstep(0.98, 0.80, r2) : 1.0;
  pixel = vec4(mix(tint * light * mix(0.35, 1.0, rim), paper, mist), 1.0);
  gl_FragDepth = gl_FragCoord.z - z * thickness;
}`;

class GlPainter {
  constructor(canvas) {
    const gl = (this.gl = canvas.getContext("webgl2", { antialias: true, alpha: true }));
    if (!gl) throw new Error("no WebGL 2");
    const program = (this.program = gl.createProgram());
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    this.buffers = {};
    this.place = Object.fromEntries(["turn", "size", "shift", "scale", "depth", "paper"].map((name) => [name, gl.getUniformLocation(program, name)]));
  }

  upload(name, data, width) {
    const gl = this.gl;
    const buffer = (this.buffers[name] ??= gl.createBuffer());
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.DYNAMIC_DRAW);
    const place = gl.getAttribLocation(this.program, name);
    const bytes = data instanceof Uint8Array;
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, width, bytes ? gl.UNSIGNED_BYTE : gl.FLOAT, bytes, 0, 0);
  }

  take(atoms, what) {
    if (what === "scene") {
      this.upload("colour", atoms.colours, 3);
      this.upload("radius", atoms.radii, 1);
      this.upload("chosen", atoms.chosen.map((one) => one * 255), 1);
    }
    this.upload("position", atoms.positions, 3);
  }

  draw(atoms, camera, paper) {
    const gl = this.gl;
    const { width, height } = gl.canvas;
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    gl.useProgram(this.program);
    gl.uniformMatrix3fv(this.place.turn, true, camera.turn);
    gl.uniform2f(this.place.size, width, height);
    gl.uniform2f(this.place.shift, camera.shift[0] * camera.pixel, camera.shift[1] * camera.pixel);
    gl.uniform1f(this.place.scale, camera.scale * camera.pixel);
    gl.uniform1f(this.place.depth, camera.depth);
    gl.uniform3fv(this.place.paper, paper);
    gl.drawArrays(gl.POINTS, 0, atoms.n);
  }

  // Wait for the picture: only reading from it does.
  finish() {
    this.gl.readPixels(0, 0, 1, 1, this.gl.RGBA, this.gl.UNSIGNED_BYTE, new Uint8Array(4));
  }
}

class CanvasPainter {
  constructor(canvas) {
    this.context = canvas.getContext("2d");
  }

  take() {}

  finish() {}

  draw(atoms, camera, paper) {
    const context = this.context;
    const { width, height } = context.canvas;
    context.clearRect(0, 0, width, height);
    const { x, y, z } = projected(atoms, camera);
    const order = Uint32Array.from({ length: atoms.n }, (_, i) => i).sort((a, b) => z[a] - z[b]);
    const scale = camera.scale * camera.pixel;
    for (const i of order) {
      const px = x[i] * camera.pixel, py = y[i] * camera.pixel;
      const r = Math.max(1, atoms.radii[i] * scale * (atoms.chosen[i] ? 1 : BATH_SIZE));
      if (px < -r || py < -r || px > width + r || py > height + r) continue;
      const far = 0.5 - (0.5 * z[i]) / camera.depth;
      const mist = atoms.chosen[i] ? Math.min(Math.max((far - 0.4) * 0.8, 0), 0.3) : Math.min(Math.max(0.3 + (far - 0.3) * 0.9, 0.3), 0.85);
      const shade = (k) => Math.round(255 * (((atoms.colours[3 * i + k] / 255) * 0.92) * (1 - mist) + paper[k] * mist));
      context.fillStyle = `rgb(${shade(0)} ${shade(1)} ${shade(2)})`;
      if (r < 2.5) {
        context.fillRect(px - r, py - r, 2 * r, 2 * r);
        continue;
      }
      context.beginPath();
      context.arc(px, py, r, 0, 2 * Math.PI);
      context.fill();
      if (atoms.chosen[i]) {
        context.strokeStyle = "rgb(0 0 0 / 55%)";
        context.lineWidth = Math.max(1, 0.12 * r);
        context.stroke();
      }
    }
  }
}

// Where atoms are on the page: CSS pixels from the upper left corner, and nm towards the reader.
function projected(atoms, camera) {
  const { turn, scale, shift, width, height } = camera;
  const n = atoms.n, p = atoms.positions;
  const x = new Float32Array(n), y = new Float32Array(n), z = new Float32Array(n);
  for (let i = 0; i < n; i++) {
    const a = p[3 * i], b = p[3 * i + 1], c = p[3 * i + 2];
    x[i] = width / 2 + shift[0] + scale * (turn[0] * a + turn[1] * b + turn[2] * c);
    y[i] = height / 2 - shift[1] - scale * (turn[3] * a + turn[4] * b + turn[5] * c);
    z[i] = turn[6] * a + turn[7] * b + turn[8] * c;
  }
  return { x, y, z };
}

function atomAt(atoms, camera, px, py) {
  const { x, y, z } = projected(atoms, camera);
  let best = -1, nearest = -Infinity;
  for (let i = 0; i < atoms.n; i++) {
    const r = Math.max(EASILY_HIT, atoms.radii[i] * camera.scale * (atoms.chosen[i] ? 1 : BATH_SIZE));
    const d2 = (x[i] - px) ** 2 + (y[i] - py) ** 2;
    if (d2 > r * r) continue;
    const surface = z[i] + Math.sqrt(r * r - d2) / camera.scale;
    if (surface > nearest) { nearest = surface; best = i; }
  }
  return best;
}

function atomsUnder(atoms, camera, path) {
  const { x, y } = projected(atoms, camera);
  const found = [];
  for (let i = 0; i < atoms.n; i++) {
    if (path.some(([px, py]) => (x[i] - px) ** 2 + (y[i] - py) ** 2 <= BRUSH * BRUSH)) found.push(i);
  }
  return found;
}

function turned(turn, dx, dy) {
  const [a, b] = [Math.cos(dx), Math.sin(dx)], [c, d] = [Math.cos(dy), Math.sin(dy)];
  const by = [a, 0, b, b * d, c, -a * d, -b * c, d, a * c];
  return [0, 1, 2].flatMap((i) => [0, 1, 2].map((j) => by[3 * i] * turn[j] + by[3 * i + 1] * turn[3 + j] + by[3 * i + 2] * turn[6 + j]));
}

function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function render({ model, el }) {
  el.classList.add("ama-atoms");
  const view = Math.random().toString(36).slice(2);
  const tell = (message) => { if (!leaving) model.send({ view, ...message }); };
  const canvas = make("canvas", { tabIndex: 0 });
  canvas.setAttribute("role", "application");
  const brush = make("div", { className: "ama-brush" });
  const scaleBar = make("div", { className: "ama-atoms-scale" });
  const caption = make("div", { className: "ama-atoms-caption" });
  const problem = make("div", { className: "ama-atoms-problem" });

  const whole = make("select", { title: "What a click or the brush takes" });
  for (const [value, text] of [["atom", "atoms"], ["residue", "residues"], ["molecule", "molecules"]]) whole.append(make("option", { value, textContent: text }));
  const bath = make("select", { title: "The host medium" });
  for (const [value, text] of [["shown", "bath"], ["thinned", "some bath"], ["hidden", "no bath"]]) bath.append(make("option", { value, textContent: text }));
  const add = make("button", { textContent: "+", title: "Paint over atoms to add them to the nanoparticle" });
  const remove = make("button", { textContent: "−", title: "Paint over atoms to take them out of the nanoparticle" });
  const home = make("button", { textContent: "⌂", title: "Back to the first view (key 0)" });
  const large = make("button", { textContent: "⤢", title: "Large, or small again" });
  const bar = make("div", { className: "ama-atoms-bar" }, whole, add, remove, bath, home, large);
  const play = make("button", { textContent: "▶", title: "Play the trajectory (space bar)" });
  const slider = make("input", { type: "range", min: 0, max: 0, step: 1, value: 0, title: "Time of the atoms" });
  const clock = make("output", {});
  const timeBar = make("div", { className: "ama-atoms-time" }, play, slider, clock);
  el.append(canvas, brush, scaleBar, caption, bar, timeBar, problem);

  let painter;
  try {
    painter = new GlPainter(canvas);
  } catch {
    // a canvas that was asked for one kind of context gives no other
    const plain = canvas.cloneNode();
    canvas.replaceWith(plain);
    return start(plain, new CanvasPainter(plain));
  }
  return start(canvas, painter);

  function start(canvas, painter) {
    const atoms = { n: 0, positions: new Float32Array(), colours: new Uint8Array(), radii: new Float32Array(), chosen: new Uint8Array() };
    const camera = { turn: [1, 0, 0, 0, 1, 0, 0, 0, 1], scale: 0, shift: [0, 0], depth: 5, width: 1, height: 1, pixel: 1 };
    let due = false, tool = "turn", inFlight = false, wanted = null, playing = false, reach = 1;

    const redraw = (finished = false) => {
      due = false;
      if (!atoms.n || !canvas.isConnected) return;
      const box = canvas.getBoundingClientRect();
      if (box.width < 2 || box.height < 2) return;
      camera.pixel = devicePixelRatio || 1;
      camera.width = box.width;
      camera.height = box.height;
      const width = Math.round(box.width * camera.pixel), height = Math.round(box.height * camera.pixel);
      if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
      if (!camera.scale) camera.scale = (0.62 * Math.min(box.width, box.height)) / reach;
      camera.depth = 1.2 * reach;
      painter.draw(atoms, camera, paperColour());
      if (finished) painter.finish();
      drawScale();
    };
    const soon = () => { if (!due) { due = true; requestAnimationFrame(() => redraw()); } };

    function paperColour() {
      const text = getComputedStyle(el).getPropertyValue("--ama-paper").trim() || "#ffffff";
      return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16) / 255);
    }

    function drawScale() {
      const lengths = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50];
      const length = lengths.find((one) => one * camera.scale > 34) ?? 50;
      scaleBar.style.width = `${length * camera.scale}px`;
      scaleBar.textContent = `${length} nm`;
    }

    function takeScene(content, buffers) {
      const array = (Kind, at) => new Kind(buffers[at].buffer.slice(buffers[at].byteOffset, buffers[at].byteOffset + buffers[at].byteLength));
      if (content.kind === "scene") {
        atoms.colours = array(Uint8Array, 0);
        atoms.radii = array(Float32Array, 1);
        atoms.chosen = array(Uint8Array, 2);
        atoms.positions = array(Float32Array, 3);
        atoms.n = atoms.radii.length;
        reach = 0.2;
        for (let i = 0; i < atoms.n; i++) reach = Math.max(reach, Math.hypot(atoms.positions[3 * i], atoms.positions[3 * i + 1], atoms.positions[3 * i + 2]));
      } else if (buffers[0].byteLength === 12 * atoms.n) {
        atoms.positions = array(Float32Array, 0);
      }
      painter.take(atoms, content.kind);
      slider.max = Math.max(0, model.get("n_frames") - 1);
      if (document.activeElement !== slider || playing) slider.value = content.frame;
      clock.textContent = `t = ${content.time}`;
      inFlight = false;
      soon();
    }

    const onMessage = (content, buffers) => {
      if (content.kind !== "scene" && content.kind !== "frame") return;
      try {
        takeScene(content, buffers);
      } catch (error) {
        tell({ kind: "failed", message: String(error) });
      }
      // a hidden page draws no frames, and must not hold up the others
      const done = () => { if (done.told) return; done.told = true; tell({ kind: "drawn", serial: content.serial }); advance(); };
      requestAnimationFrame(done);
      setTimeout(done, 250);
    };

    // -- time --
    // one question at a time; of those that come up meanwhile the newest
    const ask = (frame) => {
      wanted = inFlight ? frame : null;
      if (inFlight) return;
      inFlight = true;
      tell({ kind: "frame", frame });
    };
    const advance = () => {
      if (inFlight) return;
      if (wanted !== null) { ask(wanted); return; }
      if (!playing) return;
      const last = Number(slider.max);
      const next = Number(slider.value) >= last ? 0 : Math.min(last, Number(slider.value) + Math.max(1, Math.round(last / 600)));
      slider.value = next;
      ask(next);
    };
    slider.oninput = () => { playing = false; play.textContent = "▶"; ask(Number(slider.value)); };
    play.onclick = () => { playing = !playing; play.textContent = playing ? "❚❚" : "▶"; advance(); };

    // -- tools --
    const choose = (wanted) => {
      tool = tool === wanted ? "turn" : wanted;
      add.setAttribute("aria-pressed", tool === "add");
      remove.setAttribute("aria-pressed", tool === "remove");
      canvas.classList.toggle("brushing", tool !== "turn");
      brush.classList.toggle("removing", tool === "remove");
      if (tool === "turn") brush.style.display = "none";
    };
    add.onclick = () => choose("add");
    remove.onclick = () => choose("remove");
    home.onclick = () => { Object.assign(camera, { turn: [1, 0, 0, 0, 1, 0, 0, 0, 1], scale: 0, shift: [0, 0] }); soon(); };
    large.onclick = () => {
      const grown = el.closest(".ama-plot")?.classList.toggle("ama-large") ?? false;
      large.setAttribute("aria-pressed", grown);
      camera.scale = 0;
      soon();
    };
    whole.onchange = () => { model.set("whole", whole.value); model.save_changes(); };
    bath.onchange = () => { model.set("bath", bath.value); model.save_changes(); };

    let drag = null;
    const place = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
    const showBrush = ([x, y]) => { Object.assign(brush.style, { display: "block", left: `${x - BRUSH}px`, top: `${y - BRUSH}px`, width: `${2 * BRUSH}px`, height: `${2 * BRUSH}px` }); };
    canvas.onpointerdown = (event) => {
      canvas.setPointerCapture(event.pointerId);
      const at = place(event);
      drag = { at, start: at, moved: 0, path: [at], pan: event.shiftKey || event.button === 1 };
    };
    canvas.onpointermove = (event) => {
      const at = place(event);
      if (tool !== "turn") showBrush(at);
      if (!drag) return;
      const dx = at[0] - drag.at[0], dy = at[1] - drag.at[1];
      drag.moved += Math.abs(dx) + Math.abs(dy);
      drag.at = at;
      if (tool !== "turn") drag.path.push(at);
      else if (drag.pan) { camera.shift[0] += dx; camera.shift[1] -= dy; soon(); }
      else if (drag.moved > CLICK) { camera.turn = turned(camera.turn, dx * 0.01, dy * 0.01); soon(); }
    };
    canvas.onpointerup = () => {
      if (!drag) return;
      const { moved, path, at } = drag;
      drag = null;
      if (tool !== "turn") {
        const found = atomsUnder(atoms, camera, path);
        if (found.length) tell({ kind: "pick", mode: tool, atoms: found });
      } else if (moved <= CLICK) {
        const found = atomAt(atoms, camera, at[0], at[1]);
        if (found >= 0) tell({ kind: "pick", mode: "toggle", atoms: [found] });
      }
    };
    canvas.onpointercancel = () => { drag = null; };
    canvas.onpointerleave = () => { if (!drag) brush.style.display = "none"; };
    const zoom = (factor) => { camera.scale = Math.min(Math.max(camera.scale * factor, 2), 4000); soon(); };
    canvas.addEventListener("wheel", (event) => { event.preventDefault(); zoom(Math.exp(-event.deltaY * 0.0015)); }, { passive: false });
    canvas.onkeydown = (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (step && event.shiftKey) { camera.shift[0] += 12 * step[0]; camera.shift[1] -= 12 * step[1]; soon(); }
      else if (step) { camera.turn = turned(camera.turn, 0.12 * step[0], 0.12 * step[1]); soon(); }
      else if (event.key === "+" || event.key === "=") zoom(1.15);
      else if (event.key === "-") zoom(1 / 1.15);
      else if (event.key === "0") home.onclick();
      else if (event.key === " ") play.onclick();
      else return;
      event.preventDefault();
      event.stopPropagation();
    };

    // -- following the kernel --
    const words = () => {
      canvas.setAttribute("aria-label", `${model.get("label")}. Arrow keys turn, plus and minus zoom, a click picks.`);
      caption.textContent = model.get("caption");
      problem.textContent = model.get("problem");
      problem.style.display = model.get("problem") ? "grid" : "none";
      for (const one of [bar, timeBar, canvas, scaleBar, caption]) one.style.visibility = model.get("problem") ? "hidden" : "";
      whole.value = model.get("whole");
      bath.value = model.get("bath");
      slider.max = Math.max(0, model.get("n_frames") - 1);
    };
    const sizes = new ResizeObserver(soon);
    sizes.observe(el);
    const themes = new MutationObserver(soon);
    const app = el.closest(".ama-app");
    if (app) themes.observe(app, { attributes: true, attributeFilter: ["class"] });
    model.on("msg:custom", onMessage);
    const names = ["label", "caption", "problem", "whole", "bath", "n_frames"];
    for (const name of names) model.on(`change:${name}`, words);
    words();
    // for tests and for the curious
    el.atoms = { atoms, camera, painter: painter.constructor.name, redraw, take: () => painter.take(atoms, "scene"), where: (i) => { const { x, y } = projected(atoms, camera); return [x[i], y[i]]; } };
    tell({ kind: "hello" });
    return () => {
      el.closest(".ama-plot")?.classList.remove("ama-large");
      sizes.disconnect();
      themes.disconnect();
      model.off("msg:custom", onMessage);
      for (const name of names) model.off(`change:${name}`, words);
      tell({ kind: "bye" });
    };
  }
}

export default { render };
