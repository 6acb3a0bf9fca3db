// Draws named plots from float32 arrays: Python sends, the browser draws and answers while a slider is dragged.
//
// The model (gtfdeer/explorables/_canvas.py) holds `spec` (plots, sliders, label), `arrays` (name -> shape and bytes),
// `frames` (arrays prepared for other values of one slider), `texts` (one a row of a slider) and `values` (of the
// sliders). An item of a plot names the arrays that it draws; `row: "k"` takes the row that slider k points at; a slider
// without stops moves over these rows.

const DASHES = { data: [], model: [7, 2], forced: [7, 2, 1.5, 2], error: [], truth: [5, 4], ghost: [2, 3] };
const LIGHT = { data: "#000000", model: "#D55E00", forced: "#00795A", error: "#0072B2", truth: "#444444", ghost: "#8A8A8A" };
const DARK = { data: "#F2F2F2", model: "#FF9B45", forced: "#35D6A4", error: "#6CC3F5", truth: "#BBBBBB", ghost: "#8F8F8F" };
const WIDTHS = { data: 2.4, model: 1.5, forced: 1.5, error: 1.5, truth: 1, ghost: 1 };
const CIVIDIS = [[0, 34, 78], [65, 77, 107], [124, 123, 120], [188, 175, 111], [254, 232, 56]];
const NARROW = 620; // pixels below which plots stand one above the other
const STROKED = 1000; // points of an orbit up to which it is stroked; a long line that crosses itself is slow to fill
const STYLE = `
.gd-canvas { width: 100%; min-width: 0; box-sizing: border-box; font: 13px var(--jp-ui-font-family, sans-serif); color: var(--jp-ui-font-color1, inherit); background: var(--jp-layout-color0, transparent); }
.gd-canvas canvas { display: block; width: 100%; outline-offset: 2px; touch-action: pan-y; }
.gd-canvas canvas:focus-visible { outline: 2px solid var(--jp-brand-color1, #1976d2); }
.gd-canvas .gd-row { display: flex; flex-wrap: wrap; gap: 4px 20px; align-items: center; padding: 2px 4px; }
.gd-canvas .gd-slider { display: flex; align-items: center; gap: 8px; flex: 1 1 280px; min-width: 0; max-width: 620px; }
.gd-canvas .gd-slider span { flex: 0 1 8.5em; }
.gd-canvas input[type=range] { flex: 1 1 90px; min-width: 60px; accent-color: var(--jp-brand-color1, #1976d2); }
.gd-canvas input[type=number] { width: 5.6em; min-width: 3em; flex: 0 1 auto; background: var(--jp-layout-color1, #fff);
  color: var(--jp-ui-font-color1, #000); border: 1px solid var(--jp-border-color1, #bbb); font: inherit; }
.gd-canvas button { font: inherit; color: inherit; background: transparent; border: 1px solid var(--jp-border-color1, #bbb); border-radius: 2px; padding: 1px 8px; cursor: pointer; }
.gd-canvas .gd-dead { margin: 4px; padding: 4px 8px; border: 2px solid #d55e00; font-weight: bold; }
.gd-canvas .gd-text { margin: 4px; flex: 1 1 300px; }
.gd-canvas:fullscreen { padding: 16px; overflow: auto; background: var(--jp-layout-color0, #fff); }`;

// --- numbers and axes ---

const finite = Number.isFinite;

function format(v) {
  if (!finite(v)) return v === Infinity || v === -Infinity ? "overflow" : "none";
  const size = Math.abs(v);
  return v !== 0 && (size >= 1e5 || size < 1e-3) ? v.toExponential(1) : String(+v.toPrecision(4));
}

function power(exponent) {
  const signs = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
  if (exponent >= -3 && exponent <= 3) return String(+(10 ** exponent).toPrecision(1));
  return "10" + [...String(exponent)].map((c) => signs[c]).join("");
}

function forward(axis, v, low) {
  if (axis.kind === "log") return v > 0 ? Math.log10(v) : axis.zero && v === 0 ? Math.log10(low) - 0.5 : NaN;
  if (axis.kind === "symlog") return Math.sign(v) * Math.log10(1 + Math.abs(v));
  return v;
}

function linearTicks(low, high, most, whole = false) {
  const rough = (high - low) / Math.max(1, most);
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(whole ? 1 : 0, unit * [1, 2, 5, 10].find((m) => m * unit >= rough * 0.999));
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) ticks.push([k * step, String(+(k * step).toPrecision(6))]);
  return ticks;
}

function logTicks(low, high, most) {
  const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
  const every = Math.max(1, Math.ceil((last - first + 1) / Math.max(2, most)));
  const ticks = [];
  for (let e = first; e <= last; e += every) ticks.push([10 ** e, power(e)]);
  return ticks.length < 2 ? linearTicks(low, high, most).filter(([v]) => v > 0) : ticks;
}

function symlogTicks(low, high) {
  return [-1e4, -1e3, -100, -10, -1, 0, 1, 10, 100, 1e3, 1e4].filter((v) => v >= low && v <= high).map((v) => [v, String(v)]);
}

// A map from values to pixels: `at(v)`, its inverse `value(pixel)`, and ticks with words.
function scale(axis, range, from, to) {
  let [low, high] = range;
  const given = low; // zero of a logarithmic axis stands left of it
  if (axis.kind === "log") [low, high] = [Math.max(low, 1e-30), Math.max(high, 1e-29)];
  if (!(high > low)) [low, high] = axis.kind === "log" ? [low / 2, low * 2] : [low - 0.5, low + 0.5];
  const a = axis.kind === "log" && axis.zero ? Math.log10(low) - 0.6 : forward(axis, low, given);
  const b = forward(axis, high, given);
  const at = (v) => from + ((forward(axis, v, low) - a) / (b - a)) * (to - from);
  const most = Math.abs(to - from) / (from > to ? 34 : 62);
  const kinds = { log: logTicks, symlog: symlogTicks };
  const ticks = (kinds[axis.kind] ?? linearTicks)(low, high, most, axis.whole);
  if (axis.kind === "log" && axis.zero) ticks.unshift([0, "0"]);
  const value = (pixel) => {
    const t = a + ((pixel - from) / (to - from)) * (b - a);
    if (axis.kind === "log") return axis.zero && t < Math.log10(low) - 0.25 ? 0 : 10 ** t;
    return axis.kind === "symlog" ? Math.sign(t) * (10 ** Math.abs(t) - 1) : t;
  };
  return { at, value, ticks, low, high };
}

function extent(columns, kind, roomy = true) {
  let low = Infinity, high = -Infinity;
  for (const column of columns)
    for (const v of column) if (finite(v) && (kind !== "log" || v > 0)) { if (v < low) low = v; if (v > high) high = v; }
  if (low > high) return kind === "log" ? [0.1, 1] : [0, 1];
  if (kind === "log") return [low / 1.5, high * 1.5];
  const margin = roomy || high === low ? 0.06 * (high - low || Math.abs(high) || 1) : 0;
  return [low - margin, high + margin];
}

// --- arrays ---

const decoded = new WeakMap();

function decode(entry) {
  if (!decoded.has(entry.data)) {
    const view = entry.data; // a DataView that may begin anywhere in its message
    decoded.set(entry.data, new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength)));
  }
  return { shape: entry.shape, values: decoded.get(entry.data) };
}

// --- drawing ---

function marker(ctx, kind, x, y, size) {
  ctx.beginPath();
  if (kind === "s") ctx.rect(x - size, y - size, 2 * size, 2 * size);
  else if (kind === "D") for (const [i, j] of [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]]) ctx.lineTo(x + i * size, y + j * size);
  else if (kind === "x") { ctx.moveTo(x - size, y - size); ctx.lineTo(x + size, y + size); ctx.moveTo(x + size, y - size); ctx.lineTo(x - size, y + size); ctx.stroke(); return; }
  else ctx.arc(x, y, size, 0, 2 * Math.PI);
  ctx.fill();
}

function polyline(ctx, n, px, py) {
  ctx.beginPath();
  for (let i = 0, down = false; i < n; i++) {
    const x = px(i), y = py(i), shown = finite(x) && finite(y);
    if (shown) ctx[down ? "lineTo" : "moveTo"](x, y);
    down = shown;
  }
  ctx.stroke();
}

// A thin line through many points, pixel by pixel: along its longer direction each of its pixels is shared between two
// neighbours (X. Wu, An efficient antialiasing technique, SIGGRAPH 1991); where it crosses itself the stronger one stays.
function trace(image, n, px, py, rgb) {
  const { width, height } = image, pixels = new Uint32Array(image.data.buffer);
  const tint = (rgb[2] << 16) | (rgb[1] << 8) | rgb[0]; // little-endian, as the arrays are
  for (let i = 1; i < n; i++) {
    const dx = px[i] - px[i - 1], dy = py[i] - py[i - 1], steps = Math.ceil(Math.max(Math.abs(dx), Math.abs(dy)));
    if (!(steps < 1e4)) continue; // not finite, or far outside
    const flat = Math.abs(dx) > Math.abs(dy), [next, ux, uy] = [flat ? width : 1, dx / steps, dy / steps];
    for (let s = 0, x = px[i - 1], y = py[i - 1]; s < steps; s++, x += ux, y += uy) {
      const column = flat ? Math.round(x) : Math.floor(x), row = flat ? Math.floor(y) : Math.round(y);
      if (column < 0 || row < 0 || column >= width - 1 || row >= height - 1) continue;
      const second = (255 * (flat ? y - row : x - column)) | 0, at = row * width + column;
      if (pixels[at] >>> 24 < 255 - second) pixels[at] = ((255 - second) << 24) | tint;
      if (pixels[at + next] >>> 24 < second) pixels[at + next] = (second << 24) | tint;
    }
  }
}

function colour(share) {
  const x = Math.min(1, Math.max(0, share)) * (CIVIDIS.length - 1), i = Math.min(CIVIDIS.length - 2, Math.floor(x));
  return CIVIDIS[i].map((c, j) => Math.round(c + (x - i) * (CIVIDIS[i + 1][j] - c)));
}

function make(kind, name, words = "", more = {}) {
  return Object.assign(document.createElement(kind), { className: name, textContent: words, ...more });
}

class View {
  constructor(model, el) {
    this.model = model;
    this.local = { ...model.get("values") };
    Object.assign(this, { frame: null, pointer: null, angles: {}, places: [], heats: new Map(), pending: 0 });
    const root = (this.root = make("div", "gd-canvas"));
    root.setAttribute("data-lm-suppress-shortcuts", "true"); // JupyterLab's own shortcuts stay out
    const style = make("style", "", STYLE);
    this.sliders = make("div", "gd-row");
    this.canvas = make("canvas", "", "", { tabIndex: 0 });
    this.canvas.setAttribute("role", "img");
    const foot = make("div", "gd-row");
    this.text = make("p", "gd-text");
    this.text.setAttribute("aria-live", "polite");
    const buttons = { "Full screen": () => this.fullscreen(), "Save PNG": () => this.save() };
    foot.append(this.text, ...Object.entries(buttons).map(([words, onclick]) => make("button", "", words, { onclick })));
    const gone = "The kernel of this panel is gone (restarted?): run its cell again, and all cells above it.";
    this.dead = make("p", "gd-dead", gone, { hidden: true });
    this.dead.setAttribute("role", "alert");
    root.append(style, this.dead, this.sliders, this.canvas, foot);
    el.append(root);
    this.ctx = this.canvas.getContext("2d");
    this.buildSliders();
    this.listen();
    this.request();
  }

  listen() {
    const { model, canvas } = this;
    this.on = {
      "change:spec": () => { this.buildSliders(); this.request(); },
      "change:arrays": () => { this.frame = null; this.request(); },
      "change:frames": () => this.request(),
      "change:texts": () => this.request(),
      "comm_live_update": () => { this.dead.hidden = false; },
      "change:values": () => { if (!this.dragging) { this.local = { ...model.get("values") }; this.request(); } },
    };
    for (const [name, work] of Object.entries(this.on)) model.on(name, work);
    (this.resized = new ResizeObserver(() => this.request())).observe(this.root);
    (this.themed = new MutationObserver(() => this.request())).observe(document.body, { attributes: true });
    canvas.addEventListener("pointermove", (e) => this.move(e));
    canvas.addEventListener("pointerleave", () => { this.pointer = null; this.request(); });
    canvas.addEventListener("pointerdown", (e) => this.grab(e));
    canvas.addEventListener("pointerup", () => { this.held = null; this.request(); });
    canvas.addEventListener("keydown", (e) => this.key(e));
    document.addEventListener("fullscreenchange", (this.full = () => this.request()));
  }

  remove() {
    for (const [name, work] of Object.entries(this.on)) this.model.off(name, work);
    for (const observer of [this.resized, this.themed]) observer.disconnect();
    document.removeEventListener("fullscreenchange", this.full);
    cancelAnimationFrame(this.pending);
  }

  // --- sliders: drawn at once while dragged, told to Python when let go ---

  buildSliders() {
    const wanted = JSON.stringify(this.model.get("spec").sliders ?? []);
    if (wanted === this.built) return;
    this.built = wanted;
    this.inputs = {};
    this.sliders.replaceChildren();
    for (const slider of JSON.parse(wanted)) {
      slider.rows = !slider.stops;
      slider.stops ??= Array.from({ length: 200 }, (_, row) => row);
      const label = make("label", "gd-slider"), name = make("span", "", slider.label);
      const range = make("input", "", "", { type: "range", min: 0, max: slider.stops.length - 1, step: 1 });
      range.setAttribute("aria-label", slider.label);
      const ends = { min: slider.stops[0], max: slider.stops.at(-1) };
      const number = make("input", "", "", { type: "number", ...ends, step: "any" });
      number.setAttribute("aria-label", `${slider.label}, as a number`);
      range.addEventListener("input", (e) => {
        this.dragging = true;
        this.asked = e.timeStamp;
        this.turn(slider, slider.stops[+range.value]);
      });
      range.addEventListener("change", (e) => { this.asked = e.timeStamp; this.dragging = false; this.tell(); });
      for (const input of [range, number]) input.addEventListener("keydown", (e) => e.stopPropagation());
      number.addEventListener("change", () => {
        const value = Math.min(ends.max, Math.max(ends.min, +number.value || 0));
        this.turn(slider, slider.rows ? Math.round(value) : value);
        this.tell();
      });
      label.append(name, range, number);
      this.sliders.append(label);
      this.inputs[slider.name] = { slider, label, range, number };
    }
  }

  turn(slider, value) {
    this.local = { ...this.local, [slider.name]: value };
    const frames = this.model.get("frames");
    if (frames.by === slider.name && frames.at.length) {
      const distance = frames.at.map((v) => Math.abs(v - value));
      this.frame = distance.indexOf(Math.min(...distance));
    }
    this.request();
  }

  tell() {
    this.model.set("values", { ...this.local });
    this.model.save_changes();
  }

  showSliders() {
    for (const { slider, label, range, number } of Object.values(this.inputs)) {
      let value = this.local[slider.name] ?? slider.stops[0];
      if (slider.rows) {
        const item = this.model.get("spec").plots.flatMap((p) => p.items).find((i) => i.row === slider.name);
        const last = (this.array(item?.y ?? item?.z ?? item?.at.array)?.shape[0] ?? 1) - 1;
        range.max = number.max = last;
        value = Math.min(value, last);
        label.style.display = last < 1 ? "none" : "";
      }
      const distance = slider.stops.map((v) => Math.abs(v - value));
      range.value = distance.indexOf(Math.min(...distance));
      range.setAttribute("aria-valuetext", format(value));
      if (document.activeElement !== number) number.value = format(value);
    }
  }

  // --- what the model holds, for the sliders as they stand ---

  array(name) {
    const frame = this.frame === null ? {} : this.model.get("frames").arrays[this.frame];
    const entry = frame?.[name] ?? this.model.get("arrays")[name];
    return entry && decode(entry);
  }

  row = (slider) => Math.round(this.local[slider] ?? 0);

  vector(name, row) {
    const found = name && this.array(name);
    if (!found) return null;
    if (!row) return found.values;
    const [rows, ...rest] = found.shape, size = rest.reduce((a, b) => a * b, 1);
    const k = Math.min(this.row(row), rows - 1);
    return found.values.subarray(k * size, (k + 1) * size);
  }

  // of a mark: a number, the value of a slider, or an array's entry that a slider points at
  position(at) {
    if (typeof at === "number") return at;
    if (!at.array) return this.local[at.slider];
    const values = this.vector(at.array);
    return values?.[at.slider ? Math.min(this.row(at.slider), values.length - 1) : 0];
  }

  // --- one picture ---

  request() {
    if (!this.pending) this.pending = requestAnimationFrame(() => { this.pending = 0; this.paint(); });
  }

  theme() {
    const look = getComputedStyle(this.root), get = (name, other) => look.getPropertyValue(name).trim() || other;
    const paper = get("--jp-layout-color0", "#ffffff");
    this.ctx.fillStyle = "#ffffff";
    this.ctx.fillStyle = paper; // whatever the theme calls it, as #rrggbb; it stays white if that is no plain colour
    const hex = this.ctx.fillStyle.startsWith("#") ? this.ctx.fillStyle : "#ffffff";
    const [r, g, b] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
    const dark = 0.3 * r + 0.6 * g + 0.1 * b < 128;
    return { paper: hex, dark, font: look.fontFamily, roles: dark ? DARK : LIGHT, ink: dark ? "#D8D8D8" : "#333333", faint: dark ? "#3A3A3A" : "#E2E2E2" };
  }

  paint() {
    if (!this.held) this.arrange(); // while the mouse turns orbits, nothing else changes
    for (const place of this.places.filter(({ plot }) => !this.held || plot.kind === "orbit")) {
      this.ctx.save();
      this[place.plot.kind](place);
      this.ctx.restore();
    }
    if (!this.held) this.describe();
    const detail = { asked: this.asked, painted: performance.now(), arrays: this.frame === null };
    this.canvas.dispatchEvent(new CustomEvent("painted", { detail }));
  }

  arrange() {
    const spec = this.model.get("spec"), width = this.root.clientWidth;
    if (!spec.plots || width < 40) return;
    this.showSliders();
    const narrow = width < NARROW;
    const rows = narrow ? spec.plots.length : Math.max(...spec.plots.map((p) => p.row + (p.rows ?? 1)));
    const usual = rows === 1 ? 330 : rows < 4 ? 230 : 165;
    const unit = document.fullscreenElement === this.root ? Math.max(usual, (innerHeight - 140) / rows) : usual;
    const height = narrow ? spec.plots.reduce((sum, p) => sum + this.tall(p, unit, width), 0) : rows * unit;
    const ratio = devicePixelRatio || 1, { canvas, ctx } = this;
    const [across, down] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== across || canvas.height !== down)
      [canvas.width, canvas.height, canvas.style.height] = [across, down, `${height}px`];
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.look = this.theme();
    ctx.fillStyle = this.look.paper;
    ctx.fillRect(0, 0, width, height);
    const total = spec.columns.reduce((a, b) => a + b, 0), edges = [0];
    for (const share of spec.columns) edges.push(edges.at(-1) + (share / total) * width);
    let top = 0;
    this.places = spec.plots.map((plot, index) => {
      const x = narrow ? 0 : edges[plot.column], w = narrow ? width : edges[plot.column + (plot.columns ?? 1)] - x;
      const y = narrow ? top : plot.row * unit, h = narrow ? this.tall(plot, unit, width) : (plot.rows ?? 1) * unit;
      top += h;
      return { plot, index, box: { x, y, w, h } };
    });
  }

  describe() {
    const spec = this.model.get("spec");
    if (!spec.plots) return;
    this.hover();
    const texts = (this.frame === null ? null : this.model.get("frames").texts?.[this.frame]) ?? this.model.get("texts");
    const words = texts.length ? texts[Math.min(spec.text ? this.row(spec.text) : 0, texts.length - 1)] : "";
    if (this.text.textContent !== words) this.text.textContent = words;
    this.canvas.dataset.prepared = this.model.get("frames").at.length;
    this.canvas.setAttribute("aria-label", `${spec.label}. ${words}`);
  }

  tall = (plot, unit, width) => (plot.kind === "orbit" ? Math.min(width, 1.4 * unit) : unit);

  path(...points) {
    this.ctx.beginPath();
    points.forEach(([x, y], i) => (i ? this.ctx.lineTo(x, y) : this.ctx.moveTo(x, y)));
    this.ctx.stroke();
  }

  pen(item, points = 1) {
    const { ctx, look } = this;
    ctx.strokeStyle = ctx.fillStyle = look.roles[item.role] ?? look.ink;
    ctx.lineWidth = (WIDTHS[item.role] ?? 1.4) * Math.min(1, Math.max(0.3, Math.sqrt(900 / points)));
    ctx.setLineDash(DASHES[item.role] ?? []);
    ctx.lineJoin = "round";
  }

  words(text, x, y, { align = "center", base = "middle", size = 12, angle = 0, fill = null } = {}) {
    const { ctx } = this;
    ctx.save();
    ctx.translate(x, y);
    ctx.rotate(angle);
    Object.assign(ctx, { textAlign: align, textBaseline: base, fillStyle: fill ?? this.look.ink });
    ctx.font = `${size}px ${this.look.font}`;
    ctx.fillText(text, 0, 0);
    ctx.restore();
  }

  // the arrays of an item: x, y and the number of points
  points(item) {
    const ys = this.vector(item.y, item.row), xs = this.vector(item.x);
    if (!ys) return null;
    return { x: xs ? (i) => xs[i] : (i) => i, y: (i) => ys[i], n: Math.min(xs?.length ?? ys.length, ys.length), xs, ys };
  }

  range(plot, which) {
    const axis = plot[which];
    if (axis.range) return axis.range;
    const columns = [];
    for (const item of plot.items) {
      if (item.type === "heat") return [-0.5, (this.array(item.z)?.shape.at(-2) ?? 1) - 0.5];
      const p = item.type === "line" && this.points(item);
      if (p) columns.push(which === "y" ? p.ys : p.xs ?? [0, p.n - 1]);
    }
    return extent(columns, axis.kind, which === "y");
  }

  plot(place) {
    const { plot, box } = place, { ctx, look } = this;
    const heat = plot.items.find((item) => item.type === "heat");
    const inner = { l: box.x + 62, r: box.x + box.w - (heat ? 62 : 20), b: box.y + box.h - 42 };
    inner.t = this.legend(plot, inner.l, inner.r, box.y);
    if (inner.r - inner.l < 30 || inner.b - inner.t < 30) return;
    const x = scale(plot.x, this.range(plot, "x"), inner.l, inner.r);
    const y = scale(plot.y, this.range(plot, "y"), inner.b, inner.t);
    Object.assign(place, { inner, sx: x, sy: y });
    Object.assign(ctx, { strokeStyle: look.faint, lineWidth: 1 }).setLineDash([]);
    for (const [v, label] of x.ticks) {
      const at = x.at(v);
      if (at < inner.l - 1 || at > inner.r + 1) continue;
      if (!heat) this.path([at, inner.t], [at, inner.b]);
      this.words(label, at, inner.b + 11);
    }
    for (const [v, label] of y.ticks) {
      const at = y.at(v);
      if (at > inner.b + 1 || at < inner.t - 1) continue;
      if (!heat) this.path([inner.l, at], [inner.r, at]);
      this.words(label, inner.l - 6, at, { align: "right" });
    }
    ctx.strokeStyle = look.ink;
    this.path([inner.l, inner.t], [inner.l, inner.b], [inner.r, inner.b]);
    this.words(plot.x.label, (inner.l + inner.r) / 2, inner.b + 29);
    this.words(plot.y.label, box.x + 11, (inner.t + inner.b) / 2, { angle: -Math.PI / 2 });
    ctx.save();
    ctx.beginPath();
    ctx.rect(inner.l - 1, inner.t - 5, inner.r - inner.l + 6, inner.b - inner.t + 10);
    ctx.clip();
    for (const item of plot.items) this.item(item, x, y, inner);
    ctx.restore();
    if (heat) this.bar(heat, inner);
  }

  item(item, x, y, inner) {
    const { ctx } = this;
    if (item.type === "heat") return this.heat(item, x, y, inner);
    this.pen(item);
    if (item.type === "vline" || item.type === "hline") {
      const at = this.position(item.at), upright = item.type === "vline";
      if (at === undefined || at === null) return;
      const pixel = upright ? x.at(at) : y.at(at);
      ctx.lineWidth = item.strong ? 2.2 : 1.1;
      return this.path(...(upright ? [[pixel, inner.t], [pixel, inner.b]] : [[inner.l, pixel], [inner.r, pixel]]));
    }
    const p = this.points(item);
    if (!p) return;
    this.pen(item, item.marker ? 1 : p.n);
    // what lies beyond the axes is drawn a little beyond them: canvases do not draw to infinity
    const far = inner.b - inner.t, clip = (v) => Math.min(inner.b + far, Math.max(inner.t - far, v));
    const px = (i) => x.at(p.x(i)), py = (i) => clip(y.at(p.y(i)));
    if (item.line !== false) polyline(ctx, p.n, px, py);
    ctx.setLineDash([]);
    if (item.marker || p.n === 1)
      for (let i = 0; i < p.n; i++) if (finite(px(i)) && finite(py(i))) marker(ctx, item.marker ?? "o", px(i), py(i), item.size ?? 3.2);
    if (item.at) { // a mark at the row of a slider
      const i = Math.min(this.row(item.at.slider), p.n - 1);
      Object.assign(ctx, { strokeStyle: this.look.roles.model, lineWidth: 2 });
      ctx.strokeRect(px(i) - 6, py(i) - 6, 12, 12);
    }
  }

  heat(item, x, y, inner) {
    const found = this.array(item.z);
    if (!found) return;
    const [rows, columns] = found.shape.slice(-2), { ctx } = this, values = this.vector(item.z, item.row);
    if (this.heats.of !== found.values) this.heats = Object.assign(new Map(), { of: found.values });
    let image = this.heats.get(values.byteOffset);
    if (!image) {
      image = document.createElement("canvas");
      [image.width, image.height] = [columns, rows];
      const target = image.getContext("2d"), pixels = target.createImageData(columns, rows);
      const [low, high] = item.range.map(Math.log10);
      for (let k = 0; k < rows; k++)
        for (let t = 0; t < columns; t++) {
          const v = values[k * columns + t], at = 4 * ((rows - 1 - k) * columns + t);
          const [r, g, b] = finite(v) ? colour((Math.log10(Math.max(v, 1e-30)) - low) / (high - low)) : [128, 128, 128];
          pixels.data.set([r, g, b, finite(v) || (t + 2 * k) % 4 < 2 ? 255 : 120], at);
        }
      target.putImageData(pixels, 0, 0);
      this.heats.set(values.byteOffset, image);
    }
    ctx.imageSmoothingEnabled = false;
    ctx.drawImage(image, inner.l, y.at(rows - 0.5), inner.r - inner.l, y.at(-0.5) - y.at(rows - 0.5));
  }

  bar(item, inner) {
    const { ctx } = this, n = 60, x = inner.r + 8, h = inner.b - inner.t;
    for (let i = 0; i < n; i++) {
      ctx.fillStyle = `rgb(${colour(i / (n - 1)).join()})`;
      ctx.fillRect(x, inner.b - ((i + 1) / n) * h, 10, h / n + 1);
    }
    const axis = scale({ kind: "log" }, item.range, inner.b, inner.t);
    for (const [v, label] of axis.ticks) this.words(label, x + 14, axis.at(v), { align: "left", size: 11 });
    this.words(item.label, x + 24, inner.t - 12, { align: "right", size: 11 });
  }

  // the names of what is drawn, in as many rows as the width asks for; returns where they end
  legend(plot, l, r, top) {
    const { ctx } = this, named = plot.items.filter((item) => item.label && item.type !== "heat");
    let [x, y] = [l + 2, top + 13];
    ctx.font = `12px ${this.look.font}`;
    for (const item of named) {
      const wide = ctx.measureText(item.label).width + 40;
      if (x > l + 2 && x + wide > r + 26) [x, y] = [l + 2, y + 15];
      this.pen(item);
      if (item.line !== false) this.path([x, y], [x + 24, y]);
      ctx.setLineDash([]);
      if (item.marker) marker(ctx, item.marker, x + 12, y, 3);
      this.words(item.label, x + 28, y, { align: "left" });
      x += wide;
    }
    if (plot.note && ctx.measureText(plot.note).width + x < r + 10) this.words(plot.note, r, y, { align: "right" });
    return y + 13;
  }

  orbit(place) {
    const { plot, box, index } = place, { ctx, look } = this;
    const angles = (this.angles[index] ??= { ...plot.view });
    const radius = Math.min(box.w - 20, box.h - 50) / 2.75;
    const middle = { x: box.x + box.w / 2, y: box.y + 22 + (box.h - 30) / 2 };
    const limits = plot.range, [a, e] = [(angles.turn * Math.PI) / 180, (angles.tilt * Math.PI) / 180];
    const [ca, sa, ce, se] = [Math.cos(a), Math.sin(a), Math.cos(e), Math.sin(e)];
    const centre = limits.map(([l, h]) => (l + h) / 2), half = limits.map(([l, h]) => (h - l) / 2 || 1);
    const at = (x, y, z) => {
      const [u, v, w] = [(x - centre[0]) / half[0], (y - centre[1]) / half[1], (z - centre[2]) / half[2]];
      return [middle.x + radius * (-sa * u + ca * v), middle.y - radius * (ce * w - se * (ca * u + sa * v))];
    };
    place.angles = angles;
    ctx.save();
    ctx.beginPath();
    ctx.rect(box.x, box.y, box.w, box.h);
    ctx.clip();
    Object.assign(ctx, { strokeStyle: look.faint, fillStyle: look.paper, lineWidth: 1 });
    ctx.fillRect(box.x, box.y, box.w, box.h);
    const flat = plot.flat, corners = [0, 1].flatMap((i) => [0, 1].flatMap((j) => (flat ? [[i, j, 0]] : [0, 1].map((k) => [i, j, k]))));
    for (const c of corners)
      for (const d of flat ? [0, 1] : [0, 1, 2]) {
        if (c[d]) continue;
        this.path(...[c, c.map((v, i) => (i === d ? 1 : v))].map((p) => at(...p.map((v, i) => limits[i][v]))));
      }
    for (const item of plot.items) {
      const found = this.array(item.y);
      if (!found) continue;
      const values = this.vector(item.y, item.row), width = found.shape.at(-1);
      const n = values.length / width;
      this.pen(item, n);
      ctx.setLineDash([]);
      ctx.lineWidth = item.marker ? 1 : Math.max(0.6, Math.min(1.4, Math.sqrt(2000 / n)));
      const px = new Float32Array(n), py = new Float32Array(n), z0 = centre[2];
      // the projection is affine: its origin and the images of the three axes
      const o = at(0, 0, 0), [ex, ey, ez] = [at(1, 0, 0), at(0, 1, 0), at(0, 0, 1)].map((p) => [p[0] - o[0], p[1] - o[1]]);
      for (let i = 0, j = 0; i < n; i++, j += width) {
        const x = values[j], y = values[j + 1], z = width > 2 ? values[j + 2] : z0;
        px[i] = o[0] + ex[0] * x + ey[0] * y + ez[0] * z;
        py[i] = o[1] + ex[1] * x + ey[1] * y + ez[1] * z;
      }
      if (item.line !== false && n > STROKED) this.set(box, n, px, py);
      else if (item.line !== false) polyline(ctx, n, (i) => px[i], (i) => py[i]);
      if (item.marker && n) marker(ctx, item.marker, px[n - 1], py[n - 1], 5);
    }
    ["1", "2", "3"].slice(0, flat ? 2 : 3).forEach((name, d) => {
      const end = limits.map(([l], i) => (i === d ? centre[i] + 1.16 * half[i] : l));
      this.words(name, ...at(...end));
    });
    ctx.restore();
    this.legend(plot, box.x + 12, box.x + box.w - 12, box.y);
  }

  // a line of many points in the colour of the pen
  set(box, n, px, py) {
    const { ctx } = this, ratio = devicePixelRatio || 1, size = [Math.ceil(box.w * ratio), Math.ceil(box.h * ratio)];
    const sheet = (this.sheet ??= document.createElement("canvas").getContext("2d"));
    [sheet.canvas.width, sheet.canvas.height] = size;
    const image = sheet.createImageData(...size), hex = ctx.strokeStyle;
    const on = (p, from) => p.map((v) => (v - from) * ratio);
    trace(image, n, on(px, box.x), on(py, box.y), [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));
    sheet.putImageData(image, 0, 0);
    ctx.drawImage(sheet.canvas, box.x, box.y, size[0] / ratio, size[1] / ratio);
  }

  // --- pointer and keyboard ---

  find(event) {
    const rect = this.canvas.getBoundingClientRect(), x = event.clientX - rect.left, y = event.clientY - rect.top;
    const place = this.places.find(({ box }) => x >= box.x && x < box.x + box.w && y >= box.y && y < box.y + box.h);
    return { x, y, place };
  }

  grab(event) {
    const found = this.find(event);
    if (found.place?.plot.kind !== "orbit") return;
    this.held = { ...found, ...found.place.angles };
    this.canvas.setPointerCapture(event.pointerId);
  }

  move(event) {
    if (this.held) {
      const rect = this.canvas.getBoundingClientRect(), { angles } = this.held.place;
      angles.turn = this.held.turn - 0.5 * (event.clientX - rect.left - this.held.x);
      angles.tilt = Math.max(-90, Math.min(90, this.held.tilt + 0.5 * (event.clientY - rect.top - this.held.y)));
      for (const other of Object.values(this.angles)) Object.assign(other, angles); // all orbits turn together
      this.pointer = null;
    } else this.pointer = this.find(event);
    this.asked = event.timeStamp;
    this.request();
  }

  key(event) {
    const turns = { ArrowLeft: ["turn", 5], ArrowRight: ["turn", -5], ArrowUp: ["tilt", 5], ArrowDown: ["tilt", -5] }[event.key];
    event.stopPropagation();
    if (turns && Object.keys(this.angles).length) {
      for (const angles of Object.values(this.angles)) angles[turns[0]] += turns[1];
      event.preventDefault();
      this.request();
    } else if (event.key === "f") this.fullscreen();
    else if (event.key === "s") this.save();
  }

  hover() {
    const { pointer, ctx, look, canvas } = this;
    const place = pointer && this.places.find((p) => p.index === pointer.place?.index);
    if (!place?.inner) return;
    const { inner, sx, sy, plot } = place;
    if (pointer.x < inner.l || pointer.x > inner.r || pointer.y < inner.t || pointer.y > inner.b) return;
    const x = sx.value(pointer.x), lines = [];
    let at = x;
    for (const item of plot.items) {
      if (item.type === "heat") {
        const found = this.array(item.z), k = Math.round(sy.value(pointer.y)), t = Math.round(((x - sx.low) / (sx.high - sx.low)) * (found?.shape.at(-1) - 1));
        const v = this.vector(item.z, item.row)?.[k * found.shape.at(-1) + t];
        if (v !== undefined) lines.push(`iteration ${k}: ${format(v)}`);
      }
      const p = item.type === "line" && this.points(item);
      if (!p || !p.n) continue;
      let best = 0;
      for (let i = 1; i < p.n; i++) if (Math.abs(sx.at(p.x(i)) - pointer.x) < Math.abs(sx.at(p.x(best)) - pointer.x)) best = i;
      at = p.x(best);
      lines.push(`${item.label ?? plot.y.label}: ${format(p.y(best))}`);
    }
    if (!lines.length) return;
    lines.unshift(`${plot.x.label.replace(/ \(.*/, "")}: ${format(at)}`);
    ctx.font = `12px ${this.look.font}`;
    const w = Math.max(...lines.map((l) => ctx.measureText(l).width)) + 14, h = 17 * lines.length + 8;
    const left = Math.max(2, Math.min(canvas.clientWidth - w - 4, pointer.x + 14)), top = Math.max(2, Math.min(canvas.clientHeight - h - 4, pointer.y + 14));
    Object.assign(ctx, { strokeStyle: look.ink, lineWidth: 1 }).setLineDash([2, 2]);
    this.path([sx.at(at), inner.t], [sx.at(at), inner.b]);
    ctx.setLineDash([]);
    ctx.fillStyle = look.paper;
    ctx.fillRect(left, top, w, h);
    ctx.strokeRect(left, top, w, h);
    lines.forEach((line, i) => this.words(line, left + 7, top + 12 + 17 * i, { align: "left" }));
  }

  fullscreen() {
    document.fullscreenElement ? document.exitFullscreen() : this.root.requestFullscreen?.();
  }

  save() {
    const download = `${(this.model.get("spec").label || "panel").split(":")[0].replace(/\W+/g, "-")}.png`;
    make("a", "", "", { download, href: this.canvas.toDataURL("image/png") }).click();
  }
}

export default {
  render({ model, el }) {
    const view = new View(model, el);
    return () => view.remove();
  },
};
