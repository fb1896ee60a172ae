// The promoter of the figure "touch": what network and truth say of it, and of all its mutations.

import { LETTERS, decode, encode, write } from "./core.js";
import { Formula } from "./formula.js";
import { PromoterNet } from "./promoternet.js";

/** A number with its sign, two digits. */
export function signed(value) {
  const text = write(value);
  return text.startsWith("−") ? text : `+${text}`;
}

/** A promoter under the reader's hands. */
export class Bench {
  constructor(weights, length) {
    this.length = length; // bases that the network reads; the start site follows them
    this.network = new PromoterNet(weights);
    this.truth = new Formula();
  }

  /** Take a promoter: {sequence, after}, letters before the start site and from it on. */
  take({ sequence, after }) {
    this.original = encode(sequence);
    this.network.set(this.original);
    this.truth.set(encode(sequence + after), this.length);
    this.first = this.values();
    this.past = [];
    this.changes = { network: new Float32Array(4 * this.length), truth: new Float32Array(4 * this.length) };
    this.find();
  }

  get codes() {
    return this.network.codes;
  }

  /** What both say now, in log2. */
  values() {
    return { network: this.network.value, truth: this.truth.value };
  }

  /** Write codes at a place. */
  write(start, codes) {
    this.past.push([start, this.codes.slice(start, start + codes.length)]);
    this.change(start, codes);
  }

  /** Take the last change back; returns where it was. */
  undo() {
    const [start, codes] = this.past.pop();
    this.change(start, codes);
    return start;
  }

  /** Write the promoter as it was. */
  reset() {
    this.past = [];
    this.change(0, this.original);
  }

  change(start, codes) {
    this.network.edit(start, codes);
    this.truth.edit(start, codes);
    this.find();
  }

  /** Find the simulator's motifs, {name, from, to, strand}; one that reads the same on both strands counts once. */
  find() {
    const found = new Map();
    for (const { motif, position } of this.truth.matches(0, this.length)) {
      const key = `${motif.name} ${position}`;
      const strand = found.has(key) ? "both strands" : motif.strand;
      found.set(key, { name: motif.name, from: position, to: position + motif.scores.length, strand });
    }
    this.motifs = Array.from(found.values()).sort((a, b) => a.from - b.from);
  }

  /** Compute what mutations change, in a window, near the start site, then everywhere; yields positions. */
  *scan(window) {
    for (const [from, to] of [window, [this.length - 400, this.length], [0, this.length]]) {
      for (const { position, values } of this.network.scan(from, to)) {
        const true_ = this.truth.mutants(position);
        for (let base = 0; base < 4; base++) {
          this.changes.network[4 * position + base] = values[base] - this.network.value;
          this.changes.truth[4 * position + base] = true_[base] - this.truth.value;
        }
        yield position;
      }
    }
  }

  /** What the base at a position adds, compared with the mean of its three alternatives. */
  contribution(who, position) {
    let sum = 0;
    for (let base = 0; base < 4; base++) sum += this.changes[who][4 * position + base];
    return -sum / 3;
  }

  // --- in words -------------------------------------------------------------------------------------

  /** A position as the chapter counts it, from the start site. */
  place(position) {
    return write(position - this.length, 0);
  }

  /** A sentence on what both say now, and by how much that differs from `before`. */
  difference(before, what) {
    const now = this.values();
    const parts = Object.keys(now).map((who) => `${who} ${write(now[who])} (${signed(now[who] - before[who])})`);
    return `${what}: ${parts.join(", ")}.`;
  }

  /** What a letter at a position would change, or what the one that is there adds. */
  reading(position, base) {
    const own = this.codes[position];
    const values = Object.keys(this.changes).map((who) => {
      const value = base === own ? this.contribution(who, position) : this.changes[who][4 * position + base];
      return `${who} ${signed(value)}`;
    });
    const what = base === own ? `${LETTERS[base]} stands here and adds` : `${decode([own])} to ${LETTERS[base]} changes`;
    return `${this.place(position)}: ${what} ${values.join(", ")}.`;
  }
}
