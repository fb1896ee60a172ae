// Words to put in: chosen and written at the cursor, or dragged to their place.

import { decode, encode, make, reverseComplement } from "./core.js";
import { playPosition } from "./playground-model.js";

/** The palette. `editor` is where words go, `write(position, codes, name, turned)` writes one. */
export class PlayWords {
  constructor(editor, write) {
    this.editor = editor;
    this.write = write;
    this.list = make("div", { class: "tss-row tss-words", role: "group", "aria-label": "Words" });
    this.turn = make("input", { type: "checkbox", onchange: () => this.letter() });
    this.put = make("button", { type: "button", onclick: () => this.place(this.editor.at) });
    this.box = make(
      "div",
      {},
      this.list,
      make("div", { class: "tss-row" }, make("label", { class: "tss-field" }, this.turn, "turned round (for the other strand)"), this.put)
    );
  }

  /** Offer these words, [name, letters]. */
  offer(words) {
    this.words = words;
    this.chosen = 0;
    this.chips = words.map(([name], i) => {
      const chip = make("button", { type: "button", onclick: () => this.choose(i) }, make("span", { class: "tss-grip", "aria-hidden": "true" }, "⠿"), make("span", {}, name), make("code", {}));
      chip.addEventListener("pointerdown", (event) => this.drag(event, i));
      return chip;
    });
    this.list.replaceChildren(...this.chips);
    this.letter();
  }

  /** The codes of a word, as they would be written. */
  codes(i) {
    const codes = encode(this.words[i][1]);
    return this.turn.checked ? reverseComplement(codes) : codes;
  }

  choose(i) {
    this.chosen = i;
    this.letter();
  }

  /** Show letters and choice. */
  letter() {
    this.chips.forEach((chip, i) => {
      chip.lastChild.textContent = decode(this.codes(i));
      chip.setAttribute("aria-pressed", i === this.chosen);
    });
    this.show();
  }

  /** Say what the button will do. */
  show() {
    if (this.words) this.put.textContent = `Write ${this.words[this.chosen][0]} at ${playPosition(this.editor.at)}`;
  }

  place(position) {
    this.write(position, this.codes(this.chosen), this.words[this.chosen][0], this.turn.checked);
  }

  /** Follow a finger or the mouse from a word to the grid. */
  drag(event, i) {
    // A finger drags by the grip alone: elsewhere it scrolls the page.
    if (event.button || (event.pointerType === "touch" && !event.target.matches(".tss-grip"))) return;
    const chip = this.chips[i];
    const codes = this.codes(i);
    let ghost = null;
    const move = ({ clientX: x, clientY: y }) => {
      if (!ghost && Math.hypot(x - event.clientX, y - event.clientY) < 6) return;
      ghost ??= document.body.appendChild(make("div", { class: "tss-ghost", "aria-hidden": "true" }, decode(codes)));
      ghost.style.left = `${x}px`;
      ghost.style.top = `${y}px`;
      this.editor.mark(this.editor.under(x, y), codes.length);
    };
    const end = ({ type, clientX: x, clientY: y }) => {
      for (const name of ["pointermove", "pointerup", "pointercancel"]) chip.removeEventListener(name, name === "pointermove" ? move : end);
      this.editor.mark(null, 0);
      const position = ghost && type === "pointerup" ? this.editor.under(x, y) : null;
      ghost?.remove();
      if (position === null) return;
      this.choose(i);
      this.place(position);
    };
    chip.setPointerCapture(event.pointerId);
    chip.addEventListener("pointermove", move);
    chip.addEventListener("pointerup", end);
    chip.addEventListener("pointercancel", end);
  }
}
