// The contact sheet: only the cards that are in view, and a few around them, are in the document.

const GAP = 6, LINE = 17, EDGE = 8, AROUND = 3; // pixels; rows of cards

class Sheet {
  constructor(list, open) {
    this.list = list;
    this.pairs = [];
    this.layers = [2];
    this.thumb = 128;
    this.active = 0;
    this.cards = new Map();
    addEventListener("scroll", () => this.soon(), { passive: true });
    new ResizeObserver(() => this.layout()).observe(list);
    list.addEventListener("keydown", (event) => this.key(event));
    list.addEventListener("focusin", (event) => this.activate(Number(event.target.closest("li").dataset.at)));
    list.addEventListener("click", (event) => {
      const card = event.target.closest("li");
      if (card) open(this.pairs[Number(card.dataset.at)]);
    });
  }

  show(pairs, layers, thumb) {
    Object.assign(this, { pairs, layers, thumb, active: 0, wide: 0 });
    this.layout();
  }

  clear() {
    for (const card of this.cards.values()) card.remove();
    this.cards.clear();
  }

  // How many cards are beside each other, how large each is, and how high all are together.
  layout() {
    const width = this.list.clientWidth, count = this.layers.length;
    let thumb = Math.min(this.thumb, width - EDGE);
    const across = Math.min(count, Math.max(1, Math.floor((width - EDGE + 2) / (thumb + 2))));
    const caption = count > 1 ? LINE : 0, lines = count > 1 ? 1 : 2;
    let wide = across * (thumb + 2) - 2 + EDGE;
    const columns = Math.max(1, Math.floor((width + GAP) / (wide + GAP)));
    if (this.pairs.length > columns) {
      wide = Math.floor((width + GAP) / columns) - GAP; // what is left over goes to the pictures
      thumb = Math.floor((wide - EDGE + 2) / across) - 2;
    }
    const high = Math.ceil(count / across) * (thumb + caption + 2) + lines * LINE + EDGE;
    const same = wide === this.wide && high === this.high && columns === this.columns;
    Object.assign(this, { wide, high, columns });
    this.list.style.setProperty("--thumb", `${thumb}px`);
    this.list.style.height = `${Math.ceil(this.pairs.length / columns) * (high + GAP)}px`;
    const focused = this.list.contains(document.activeElement);
    if (!same) this.clear();
    this.draw();
    if (focused && !same && this.pairs.length) this.card(this.active).firstChild.focus({ preventScroll: true });
  }

  soon() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      this.draw();
    });
  }

  draw() {
    const top = -this.list.getBoundingClientRect().top, step = this.high + GAP;
    const first = Math.max(0, Math.floor(top / step) - AROUND) * this.columns;
    const last = Math.min(this.pairs.length, (Math.ceil((top + innerHeight) / step) + AROUND) * this.columns);
    for (const [at, card] of this.cards) {
      if ((at < first || at >= last) && at !== this.active) {
        card.remove();
        this.cards.delete(at);
      }
    }
    for (let at = first; at < last; at++) this.card(at);
    if (this.active < this.pairs.length) this.card(this.active);
  }

  card(at) {
    let card = this.cards.get(at);
    if (card) return card;
    const pair = this.pairs[at], name = known.names[pair], several = this.layers.length > 1;
    const strip = make("span", { class: "strip" });
    for (const layer of this.layers) {
      const thumb = make("span", { class: "thumb" }, shown(pair, layer, "", true));
      if (several) thumb.append(make("span", { class: "line" }, layer < 2 ? original(pair, layer) : layers[layer]));
      strip.append(thumb);
    }
    const button = make("button", { class: "card", type: "button", title: name, tabindex: at === this.active ? "0" : "-1" }, strip);
    button.append(make("span", { class: several ? "line name" : "line name two" }, ...name.split(/(?<=__)/).flatMap((part) => [part, make("wbr")])));
    card = make("li", { "data-at": at, "aria-posinset": at + 1, "aria-setsize": this.pairs.length }, button);
    card.style.width = `${this.wide}px`;
    card.style.height = `${this.high}px`;
    card.style.transform = `translate(${(at % this.columns) * (this.wide + GAP)}px, ${Math.floor(at / this.columns) * (this.high + GAP)}px)`;
    const after = [...this.cards.keys()].filter((other) => other > at);
    this.list.insertBefore(card, after.length ? this.cards.get(Math.min(...after)) : null); // in the order of reading
    this.cards.set(at, card);
    return card;
  }

  activate(at) {
    this.cards.get(this.active)?.firstChild.setAttribute("tabindex", "-1");
    this.active = at;
    this.card(at).firstChild.setAttribute("tabindex", "0");
  }

  // Focus a card, wherever it is.
  go(at) {
    this.activate(Math.min(Math.max(at, 0), this.pairs.length - 1));
    const button = this.card(this.active).firstChild;
    button.focus({ preventScroll: true });
    button.scrollIntoView({ block: "nearest" });
  }

  key(event) {
    const page = this.columns * Math.max(1, Math.floor(innerHeight / (this.high + GAP)));
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns, ArrowUp: -this.columns, PageDown: page, PageUp: -page };
    const to = { Home: 0, End: this.pairs.length - 1 }[event.key] ?? this.active + steps[event.key];
    if (Number.isNaN(to) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.go(to);
  }
}
