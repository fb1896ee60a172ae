// The filters that answer most: where in the sequence, each with a box to take it out.

import { make } from "./core.js";
import { PLAY_FIRST, PLAY_SHOWN } from "./playground-model.js";
import { playAcross, playSized } from "./playground-tracks.js";

const PLAY_ROWS = 6;
const PLAY_ROW = 26; // pixels
const PLAY_LEAST_ACTIVE = 0.05; // of the row's largest activation is drawn

/** The list of filters. `knock(filter, on)` takes one out or puts it back. */
export class PlayFilters {
  constructor(knock) {
    this.knock = knock;
    this.rows = new Map();
    this.box = make("ul", { class: "tss-filters" });
  }

  /** Begin anew, for another network or locus. */
  clear() {
    this.rows.clear();
    this.box.replaceChildren();
  }

  /** Show the strongest filters of a network, and all that are taken out; rows keep their places. */
  show(model, off, width, colours) {
    const found = model.about.letters.map((_, f) => ({ f, ...model.filter(f) }));
    const best = [...found].sort((a, b) => b.strength - a.strength).slice(0, PLAY_ROWS);
    const wanted = new Set([...best.map(({ f }) => f), ...off]);
    for (const [f, row] of this.rows) {
      if (wanted.has(f)) continue;
      row.item.remove();
      this.rows.delete(f);
    }
    for (const f of wanted) {
      if (!this.rows.has(f)) this.rows.set(f, this.row(model.about, f));
      const { input, canvas, item } = this.rows.get(f);
      const out = off.includes(f);
      input.checked = !out;
      item.classList.toggle("tss-out", out);
      const { strands } = found[f];
      playTicks(playSized(canvas, width, PLAY_ROW), width, strands, colours);
    }
  }

  /** Make the row of a filter. */
  row({ names, letters }, f) {
    const input = make("input", { type: "checkbox", onchange: () => this.knock(f, input.checked) });
    const canvas = make("canvas", { "aria-hidden": "true" });
    const name = names[f] ? `${names[f]} (filter ${f})` : `filter ${f}`;
    const item = make("li", {}, make("label", { class: "tss-field" }, input, make("span", {}, name), make("code", {}, letters[f])), canvas);
    this.box.append(item);
    return { input, canvas, item };
  }
}

/** Draw where a filter answers: the + strand up, the − strand (if it reads both) down. */
function playTicks(pen, width, strands, { ink, line }) {
  const most = Math.max(...strands.map((values) => values.reduce((a, b) => Math.max(a, b), 1e-9)));
  const zero = strands.length > 1 ? PLAY_ROW / 2 : PLAY_ROW - 2;
  pen.fillStyle = line;
  pen.fillRect(playAcross(PLAY_FIRST, width), zero, playAcross(PLAY_FIRST + PLAY_SHOWN, width) - playAcross(PLAY_FIRST, width), 0.7);
  pen.fillStyle = ink;
  strands.forEach((values, strand) => {
    values.forEach((value, i) => {
      if (value < PLAY_LEAST_ACTIVE * most) return;
      const high = (value / most) * (strands.length > 1 ? PLAY_ROW / 2 - 2 : PLAY_ROW - 4);
      pen.fillRect(playAcross(i + PLAY_FIRST, width), strand ? zero : zero - high, 1.5, high);
    });
  });
}
