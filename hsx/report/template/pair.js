// One pair in large: two of its pictures under a slider or as their difference, or all beside each other.

class Pair {
  constructor(dialog) {
    this.dialog = dialog;
    this.part = Object.fromEntries([...dialog.querySelectorAll("[id]")].map((element) => [element.id, element]));
    this.stage = this.part.stage;
    this.view = "slider";
    this.pointers = new Map();
    this.whole();
    const on = (id, event, act) => this.part[id].addEventListener(event, act);
    on("close", "click", () => dialog.close());
    on("previous", "click", () => this.step(-1));
    on("next", "click", () => this.step(1));
    on("best", "click", () => this.extreme(true));
    on("worst", "click", () => this.extreme(false));
    for (const id of ["left", "right", "by", "gain"]) on(id, "change", () => this.draw());
    on("slider", "input", () => this.split(Number(this.part.slider.value)));
    on("smaller", "click", () => this.zoom(1 / 1.5));
    on("larger", "click", () => this.zoom(1.5));
    on("whole", "click", () => this.whole());
    for (const button of dialog.querySelectorAll("[data-view]")) button.addEventListener("click", () => this.look(button.dataset.view));
    on("stage", "wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)), this.at(event));
    });
    on("stage", "pointerdown", (event) => this.down(event));
    on("stage", "pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"]) on("stage", end, (event) => this.pointers.delete(event.pointerId));
    document.addEventListener("keydown", (event) => dialog.open && this.key(event));
    this.split(50);
  }

  // Once the data are there: which pictures there are, and which measures.
  learn() {
    for (const id of ["left", "right"]) this.part[id].append(...layers.map((name, k) => make("option", { value: k }, name)));
    this.part.left.value = layers.length === 4 ? 2 : 0;
    this.part.right.value = layers.length === 4 ? 3 : known.chosen;
    this.keys = keys();
    this.part.by.append(...this.keys.map((key, k) => make("option", { value: k }, key.name)));
    this.part.by.value = Math.max(0, this.keys.findIndex((key) => key.layer === known.chosen - 2)); // of the setting shown
    for (const id of ["best", "worst"]) this.part[id].hidden = !this.keys.length;
    this.part.by.parentElement.hidden = !this.keys.length;
  }

  // Open a pair of a list, in which next and previous go on.
  open(pair, list, by) {
    this.list = list;
    if (by !== undefined) this.part.by.value = by;
    this.to(list.indexOf(pair));
    if (!this.dialog.open) this.dialog.showModal();
    this.part.slider.focus();
  }

  to(at) {
    this.index = Math.min(Math.max(at, 0), this.list.length - 1);
    this.pair = this.list[this.index];
    this.draw();
  }

  step(by) {
    this.to((this.index + by + this.list.length) % this.list.length);
  }

  extreme(best) {
    const key = this.keys[this.part.by.value];
    if (!key) return;
    const valued = this.list.filter((pair) => key.value(pair) !== null);
    const order = ranked(valued, key);
    if (order.length) this.to(this.list.indexOf(order.at(best ? 0 : -1)));
  }

  look(view) {
    this.view = view;
    this.draw();
    if (document.activeElement === document.body) (view === "slider" ? this.part.slider : this.stage).focus(); // it was hidden
  }

  draw() {
    const { pair, part } = this, two = this.view !== "beside";
    for (const button of this.dialog.querySelectorAll("[data-view]")) button.setAttribute("aria-pressed", button.dataset.view === this.view);
    part.which.hidden = !two;
    part.gains.hidden = this.view !== "difference";
    part.split.hidden = this.view !== "slider";
    part.name.textContent = known.names[pair];
    part.place.textContent = `${this.index + 1} of ${this.list.length}`;
    const [left, right] = [Number(part.left.value), Number(part.right.value)];
    this.stage.replaceChildren(...(two ? [this.together(left, right)] : layers.map((_, layer) => this.alone(layer))));
    const room = two ? "min(100%, 74vh)" : layers.length > 3 ? "200px" : "min(30%, 74vh)";
    this.dialog.style.setProperty("--pane", innerWidth <= 600 ? (two ? "min(100%, 58vh)" : "44vw") : room);
    this.dialog.style.setProperty("--gain", part.gain.value);
    this.numbers();
    this.commands();
  }

  title(layer) {
    return layer < 2 ? `${layers[layer]}: ${original(this.pair, layer)}` : layers[layer];
  }

  image(layer) {
    const image = shown(this.pair, layer, this.title(layer), false);
    image.addEventListener("load", () => image.closest(".pane")?.classList.toggle("small", image.naturalWidth < 200));
    return image;
  }

  alone(layer) {
    return make("figure", {}, make("div", { class: "pane" }, this.image(layer)), make("figcaption", {}, this.title(layer)));
  }

  together(left, right) {
    const difference = this.view === "difference";
    const pane = make("div", { class: difference ? "pane difference" : "pane" });
    pane.append(make("div", { class: "half" }, this.image(left)), make("div", { class: "half over" }, this.image(right)));
    if (!difference) pane.append(make("div", { class: "bar" }));
    const words = difference ? [`difference of ${this.title(left)} and ${this.title(right)}`] : [this.title(left), this.title(right)];
    return make("figure", {}, pane, make("figcaption", {}, ...words.map((text) => make("span", {}, text))));
  }

  // A table of the measures of this pair: with its rank among all, or, in a sweep, setting by setting.
  numbers() {
    const cell = (text) => make("td", { class: "number" }, text);
    const broken = (name) => name.split(",").flatMap((part, k) => (k ? [",", make("wbr"), part] : [part])); // after its commas
    const row = (name, texts) => make("tr", {}, make("th", { scope: "row" }, ...broken(name)), ...texts.map(cell));
    const few = layers.length <= 4, measures = known.measures;
    const head = few ? ["measure", "of this pair", "rank"] : ["setting", ...measures.map(([name]) => name)];
    const rows = few
      ? this.keys.map((key) => row(key.name, [digits(key.value(this.pair)), this.rank(key)]))
      : known.layers.map(([name], k) => row(name, measures.map(([, , values]) => digits(values[k]?.[this.pair]))));
    const title = make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)));
    this.part.numbers.replaceChildren(make("table", {}, make("thead", {}, title), make("tbody", {}, ...rows)));
    this.part.numbers.hidden = !this.keys.length;
  }

  rank(key) {
    const mine = key.value(this.pair);
    if (mine === null || mine === undefined) return "–";
    const others = known.names.map((_, pair) => key.value(pair)).filter((value) => value !== null);
    const better = others.filter((value) => (key.better || 1) * (value - mine) > 0);
    return `${better.length + 1} of ${others.length}`;
  }

  // The commands that make this pair's pictures again, each with a button that copies it.
  commands() {
    const lines = [];
    for (let layer = 2; layer < layers.length; layer++) {
      const { url } = picture(this.pair, layer);
      if (!url || !known.layers[layer - 2][4] || (layers.length > 4 && ![this.part.left.value, this.part.right.value].includes(String(layer)))) continue;
      const command = `hsx remake ${word(url)}`, button = make("button", { type: "button" }, "Copy");
      button.setAttribute("aria-label", `Copy the command that makes ${layers[layer]} again`);
      button.addEventListener("click", async () => {
        button.textContent = (await copied(command)) ? "Copied" : "Select and copy it";
      });
      lines.push(button, make("code", {}, command));
    }
    this.part.again.replaceChildren(...lines);
  }

  split(percent) {
    const value = Math.min(Math.max(percent, 0), 100);
    this.part.slider.value = value;
    this.dialog.style.setProperty("--split", value);
  }

  whole() {
    this.z = 1;
    this.x = this.y = 0;
    this.place();
  }

  // Zoom by a factor around a place of the pane, in [0, 1] each way; all pictures show the same region.
  zoom(factor, [x, y] = [0.5, 0.5]) {
    const z = Math.min(Math.max(this.z * factor, 1), 32), by = z / this.z;
    this.x = x - (x - this.x) * by;
    this.y = y - (y - this.y) * by;
    this.z = z;
    this.place();
  }

  pan(x, y) {
    this.x += x;
    this.y += y;
    this.place();
  }

  place() {
    this.x = Math.min(Math.max(this.x, 1 - this.z), 0);
    this.y = Math.min(Math.max(this.y, 1 - this.z), 0);
    for (const name of ["x", "y", "z"]) this.dialog.style.setProperty(`--${name}`, this[name]);
    this.stage.style.touchAction = this.z > 1 ? "none" : "pan-y"; // a finger may scroll past what is not zoomed
    this.part.zoom.textContent = `${Math.round(this.z * 10) / 10}×`;
  }

  // Where an event is in the pane that it is over, in [0, 1] each way.
  at(event) {
    const box = (this.pane ?? event.target.closest(".pane") ?? this.stage.querySelector(".pane")).getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  down(event) {
    const pane = event.target.closest(".pane");
    if (!pane || event.button) return;
    this.pane = pane;
    this.stage.setPointerCapture(event.pointerId);
    const at = this.at(event), near = Math.abs(at[0] * 100 - this.part.slider.value) < 6;
    this.pointers.set(event.pointerId, at);
    this.sliding = this.view === "slider" && this.pointers.size === 1 && (this.z === 1 || near);
    if (!this.sliding) return;
    event.preventDefault(); // so that the slider has the focus
    this.part.slider.focus({ preventScroll: true });
    this.split(at[0] * 100);
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const at = this.at(event);
    if (this.pointers.size === 2) {
      const other = [...this.pointers].find(([id]) => id !== event.pointerId)[1];
      const apart = ([x, y]) => Math.hypot(x - other[0], y - other[1]);
      this.zoom(apart(at) / Math.max(apart(before), 0.01), [(at[0] + other[0]) / 2, (at[1] + other[1]) / 2]);
    } else if (this.sliding) this.split(at[0] * 100);
    else this.pan(at[0] - before[0], at[1] - before[1]);
    this.pointers.set(event.pointerId, at);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
    const { part } = this;
    const keep = (id, value) => {
      part[id].value = value;
      this.draw();
    };
    const acts = {
      n: () => this.step(1),
      p: () => this.step(-1),
      b: () => this.extreme(true),
      w: () => this.extreme(false),
      m: () => this.keys.length && keep("by", (Number(part.by.value) + 1) % this.keys.length),
      c: () => keep("left", 0),
      s: () => keep("left", 1),
      1: () => this.look("slider"),
      2: () => this.look("beside"),
      3: () => this.look("difference"),
      "+": () => this.zoom(1.5),
      "=": () => this.zoom(1.5),
      "-": () => this.zoom(1 / 1.5),
      0: () => this.whole(),
    };
    if (event.target === this.stage) {
      Object.assign(acts, { ArrowLeft: () => this.pan(0.1, 0), ArrowRight: () => this.pan(-0.1, 0), ArrowUp: () => this.pan(0, 0.1), ArrowDown: () => this.pan(0, -0.1) });
    }
    if (!(event.key in acts)) return;
    event.preventDefault();
    acts[event.key]();
  }
}

function digits(value) {
  return value === null || value === undefined ? "–" : String(Number(value.toPrecision(4)));
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
