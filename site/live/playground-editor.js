// The sequence letter by letter: a grid of four letters for each base, where one is written.

import { LETTERS, decode, make } from "./core.js";
import { PLAY_CELL } from "./playground-tracks.js";
import { PLAY_FIRST, PLAY_MIDDLE, PLAY_SHOWN, playPosition } from "./playground-model.js";

const PLAY_LAST = PLAY_FIRST + PLAY_SHOWN - 1;

/** The grid. `on.write(position, codes)` is asked to write, `on.move()` is told that it has moved. */
export class PlayEditor {
  constructor(on) {
    this.on = on;
    this.from = -10; // the first base in the grid
    this.at = 0; // the base that is written next
    this.row = 0;
    this.count = 0;
    this.box = make("div", { role: "grid", class: "tss-bases", "aria-label": "Bases; in each column the letter that is written is marked" });
    this.box.addEventListener("keydown", (event) => this.key(event));
    this.box.addEventListener("click", (event) => this.click(event));
  }

  /** Show the letters of a frame, and where they differ from those at the start. */
  show(codes, start) {
    this.codes = codes;
    this.start = start;
    this.cells?.forEach((row, r) =>
      row.forEach((cell, i) => {
        const position = this.from + i;
        const code = codes[PLAY_MIDDLE + position];
        const written = code === r;
        cell.setAttribute("aria-selected", written);
        cell.tabIndex = position === this.at && r === this.row ? 0 : -1;
        cell.classList.toggle("tss-edited", written && code !== start[PLAY_MIDDLE + position]);
        cell.classList.toggle("tss-cursor", position === this.at);
        const was = written && code !== start[PLAY_MIDDLE + position] ? `, was ${decode([start[PLAY_MIDDLE + position]])}` : "";
        cell.setAttribute("aria-label", `${playPosition(position)}: ${written ? `${LETTERS[r]}, written${was}` : `write ${LETTERS[r]}`}`);
      })
    );
  }

  /** Make as many columns as there is room for. */
  fit(width) {
    const count = Math.max(6, Math.floor(width / PLAY_CELL));
    if (count === this.count) return;
    this.count = count;
    this.cells = Array.from(LETTERS, (letter, r) =>
      Array.from({ length: count }, (_, i) => make("button", { type: "button", role: "gridcell", class: `tss-base tss-letter-${letter.toLowerCase()}`, "data-row": r, "data-column": i }, letter))
    );
    this.box.replaceChildren(...this.cells.map((row) => make("div", { role: "row" }, ...row)));
    this.moveTo(this.from);
    if (this.codes) this.show(this.codes, this.start);
  }

  /** Move the grid, so that it begins at a base. */
  moveTo(from) {
    this.from = Math.max(PLAY_FIRST, Math.min(from, PLAY_LAST + 1 - this.count));
    this.at = Math.max(this.from, Math.min(this.at, this.from + this.count - 1));
  }

  /** Put a base into the middle of the grid, and the cursor on it. */
  centre(position) {
    this.at = position;
    this.moveTo(position - (this.count >> 1));
  }

  /** Put the cursor on a base, move the grid where it must, and tell. */
  go(position, focus = true) {
    this.at = Math.max(PLAY_FIRST, Math.min(position, PLAY_LAST));
    if (this.at < this.from || this.at >= this.from + this.count) this.moveTo(this.at - (this.at < this.from ? this.count - 1 : 0));
    this.on.move();
    if (focus) this.cells[this.row][this.at - this.from].focus();
  }

  /** Write one letter at the cursor. */
  write(code) {
    this.on.write(this.at, Uint8Array.of(code));
  }

  click({ target }) {
    const cell = target.closest("[data-row]");
    if (!cell) return;
    this.row = Number(cell.dataset.row);
    this.go(this.from + Number(cell.dataset.column));
    this.write(this.row);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -this.count, PageDown: this.count };
    const code = event.key.length === 1 ? LETTERS.indexOf(event.key.toUpperCase()) : -1;
    if (event.key in steps) this.go(this.at + steps[event.key]);
    else if (event.key === "Home") this.go(this.from);
    else if (event.key === "End") this.go(this.from + this.count - 1);
    else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      this.row = (this.row + (event.key === "ArrowUp" ? 3 : 1)) % 4;
      this.go(this.at);
    } else if (code >= 0) {
      this.write(code);
      this.row = code;
      this.go(this.at + 1);
    } else if (event.key === "Backspace" || event.key === "Delete") {
      this.on.write(this.at, this.start.slice(PLAY_MIDDLE + this.at, PLAY_MIDDLE + this.at + 1));
      if (event.key === "Backspace") this.go(this.at - 1);
    } else return;
    event.preventDefault();
  }

  /** The base under a place on the screen, or null. */
  under(x, y) {
    const box = this.box.getBoundingClientRect();
    if (y < box.top - 200 || y > box.bottom + 10 || x < box.left || x >= box.left + this.count * PLAY_CELL) return null;
    return this.from + Math.floor((x - box.left) / PLAY_CELL);
  }

  /** Mark where a word of this length would be written; null marks nothing. */
  mark(position, length) {
    this.cells.forEach((row) =>
      row.forEach((cell, i) => {
        const place = this.from + i - (position ?? NaN);
        cell.classList.toggle("tss-drop", place >= 0 && place < length);
      })
    );
  }
}
