// Chapter 2, section 8: touch a base of a promoter; the network answers, and beside it the truth.

import { LETTERS, Refused, decode, encode, figures, loadWeights, make, onWidth, readSequence, write } from "./core.js";
import { Bench } from "./touch-bench.js";
import { drawMaps, drawPromoter, drawTouch, layOutTouch, touchParts } from "./touch-view.js";

const SCAN_SLICE = 25; // milliseconds of mutagenesis before the page may draw

/** The figure on the page: what readers do with it. */
class Touch {
  constructor(box, bench, given) {
    Object.assign(this, { bench, given, parts: touchParts(given), from: 0, at: [0, 0] });
    layOutTouch(box, this.parts, given.limit);
    this.listen();
    this.resize(600);
    this.take(0);
    onWidth(box, (width) => {
      this.resize(width);
      drawTouch(this);
    });
  }

  /** How many positions the maps show: squares for fingers where there is little room. */
  resize(width) {
    this.width = width;
    this.left = 20;
    this.cell = width < 500 ? 24 : 12;
    this.columns = Math.floor((width - this.left) / this.cell);
    this.makeMaps();
    this.parts.window.max = this.bench.length - this.columns;
    this.goTo(this.from);
  }

  /** Make the squares of both maps and the letters above them. */
  makeMaps() {
    const { parts, columns } = this;
    const each = (attributes) => Array.from({ length: columns }, (_, column) => make("span", { ...attributes, "data-column": column }));
    this.letters = each({});
    parts.letters.replaceChildren(make("span"), ...this.letters);
    this.squares = { network: [], truth: [] };
    for (const who of ["network", "truth"]) {
      const grid = who === "network";
      const rows = Array.from(LETTERS, (letter, base) => {
        const squares = each(grid ? { role: "gridcell", tabindex: -1, "data-base": base } : {});
        this.squares[who].push(squares);
        return make("div", { class: "tss-touch-row", role: grid && "row" }, make("span", { role: grid && "rowheader" }, letter), ...squares);
      });
      parts[who].replaceChildren(...rows);
    }
    for (const row of [parts.letters, parts.network, parts.truth]) row.style.setProperty("--tss-touch-cell", `${this.cell}px`);
  }

  /** Show another promoter. */
  take(number) {
    const promoter = this.given.promoters[number];
    this.bench.take(promoter);
    this.from = this.bench.length + promoter.window;
    this.at = [this.from, 0];
    this.goTo(this.from);
    this.changed(`${promoter.name}: the network says ${write(this.bench.first.network)}, the truth is ${write(this.bench.first.truth)}.`);
  }

  /** Move the maps, as far as there is something to show. */
  goTo(from) {
    this.from = Math.max(0, Math.min(this.bench.length - this.columns, Math.round(from)));
    this.at[0] = Math.max(this.from, Math.min(this.from + this.columns - 1, this.at[0]));
    this.parts.window.value = this.from;
  }

  /** Say something to those who do not see the maps, too. */
  tell(text) {
    this.parts.told.textContent = text;
  }

  /** After a change: say it, draw, and compute all mutations anew. */
  changed(message) {
    this.tell(message);
    drawTouch(this);
    this.compute();
  }

  /** Compute mutations in pieces, what the maps show first; ends when it is called again. */
  compute() {
    const scan = this.bench.scan([this.from, this.from + this.columns]);
    this.scan = scan;
    const go = () => {
      if (this.scan !== scan) return;
      const end = performance.now() + SCAN_SLICE;
      let step = { done: false };
      let shown = false;
      while (!step.done && performance.now() < end) {
        step = scan.next();
        shown ||= step.value >= this.from && step.value < this.from + this.columns;
      }
      drawPromoter(this);
      if (shown) drawMaps(this);
      if (!step.done) setTimeout(go);
    };
    setTimeout(go);
  }

  /** Write letters at a place and tell what that changed. */
  write(start, codes) {
    const { bench } = this;
    const old = decode(bench.codes.slice(start, start + codes.length));
    if (old === decode(codes)) return this.tell(`${old} stands at ${bench.place(start)} already.`);
    const before = bench.values();
    bench.write(start, codes);
    this.changed(bench.difference(before, `${old} became ${decode(codes)} at ${bench.place(start)}`));
  }

  // --- what readers do -------------------------------------------------------------------------------

  listen() {
    const { parts, bench } = this;
    parts.promoter.addEventListener("change", () => this.take(Number(parts.promoter.value)));
    parts.undo.addEventListener("click", () => {
      const before = bench.values();
      const start = bench.undo();
      this.changed(bench.difference(before, `Taken back at ${bench.place(start)}`));
    });
    parts.reset.addEventListener("click", () => {
      const before = bench.values();
      bench.reset();
      this.changed(bench.difference(before, "As it was at first"));
    });
    parts.back.addEventListener("click", () => this.moveTo(this.motifBefore()));
    parts.onward.addEventListener("click", () => this.moveTo(this.motifAfter()));
    parts.window.addEventListener("input", () => this.move(Number(parts.window.value)));
    this.follow(parts.strip);
    parts.network.addEventListener("click", (event) => this.touch(event.target));
    parts.network.addEventListener("keydown", (event) => this.key(event));
    parts.network.addEventListener("focusin", ({ target }) => this.look(target));
    parts.put.form.addEventListener("submit", (event) => this.writeWord(event));
  }

  /** The last motif that ends before the maps begin. */
  motifBefore() {
    return this.bench.motifs.findLast((motif) => motif.to <= this.from);
  }

  /** The first motif that begins where the maps have ended. */
  motifAfter() {
    return this.bench.motifs.find((motif) => motif.from >= this.from + this.columns);
  }

  /** Bring a motif into the middle of the maps. */
  moveTo({ from, to }) {
    this.move((from + to - this.columns) / 2);
  }

  /** Move the maps, and what is selected to their first position; draw. */
  move(from) {
    this.goTo(from);
    this.at[0] = this.from;
    drawTouch(this);
    this.compute();
  }

  /** Let the frame on the strip follow a pointer. */
  follow(strip) {
    const move = (event) => {
      const share = (event.clientX - strip.getBoundingClientRect().left - this.left) / (this.width - this.left);
      this.move(share * this.bench.length - this.columns / 2);
    };
    strip.addEventListener("pointerdown", (event) => {
      strip.setPointerCapture(event.pointerId);
      move(event);
    });
    strip.addEventListener("pointermove", (event) => {
      if (strip.hasPointerCapture(event.pointerId)) move(event);
    });
  }

  /** A square was touched: write its letter. */
  touch(square) {
    if (!square.dataset.base) return;
    this.select(this.from + Number(square.dataset.column), Number(square.dataset.base));
    this.write(this.at[0], [this.at[1]]);
  }

  /** A square came into focus: say what it holds. */
  look(square) {
    const [position, base] = [this.from + Number(square.dataset.column), Number(square.dataset.base)];
    if (position !== this.at[0] || base !== this.at[1]) this.select(position, base);
    this.tell(this.bench.reading(position, base));
  }

  /** Arrow keys go from square to square, letters are written. */
  key(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const letter = LETTERS.indexOf(event.key.toUpperCase());
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (step) {
      this.select(this.at[0] + step[0], this.at[1] + step[1], true);
    } else if (event.key === "Enter" || event.key === " ") {
      this.write(this.at[0], [this.at[1]]);
    } else if (letter >= 0 && event.key.length === 1) {
      this.select(this.at[0], letter, true);
      this.write(this.at[0], [letter]);
    } else return;
    event.preventDefault();
  }

  /** Make a square the one that keys act on; the maps follow where it lies outside of them. */
  select(position, base, focus = false) {
    position = Math.max(0, Math.min(this.bench.length - 1, position));
    this.at = [position, Math.max(0, Math.min(3, base))];
    if (position < this.from) this.goTo(position);
    if (position >= this.from + this.columns) this.goTo(position - this.columns + 1);
    drawTouch(this);
    if (focus) this.square().focus();
  }

  /** The square that keys act on. */
  square() {
    return this.squares.network[this.at[1]][this.at[0] - this.from];
  }

  /** Write the reader's word from the selected position on. */
  writeWord(event) {
    event.preventDefault();
    const { parts, bench } = this;
    parts.alert.textContent = "";
    try {
      const word = readSequence(parts.word.value, { most: 40 });
      const room = bench.length - this.at[0];
      if (word.length > room) throw new Refused(`That is ${word.length} letters, and ${room} position${room === 1 ? " is" : "s are"} left up to the start site.`);
      this.write(this.at[0], encode(word));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      parts.alert.textContent = error.message;
    }
  }
}

figures.touch = async (box, given) => {
  const length = given.promoters[0].sequence.length;
  new Touch(box, new Bench(await loadWeights("promoter"), length), given);
};
