// The truth behind simulated promoters: tssbook.simulator.rules and .rates, for CAGE on the + strand.

import { N } from "./core.js";
import { overwrite } from "./convolve.js";

const UNIT = 2048; // sums are whole numbers of 1 / UNIT, as in the library
const REACH = 300; // a motif acts on so many bases to either side
const TSS_REACH = 100; // the rate is the sum over so many bases to either side of the start site
const WIDEST = 16; // of the motifs
const BIT = 64; // units of a score per bit
const FULL = 64; // strength of a perfect match
const FAINT = 4; // and of one at the threshold
const NEVER = -(1 << 20); // score of an N
const RATE_UNIT = 2 ** 26; // rates are whole numbers of 1 / RATE_UNIT
const SCALE = 0.61357 * 400; // reads per unit of softplus
const BIAS = -13 * UNIT;

// Which bases a letter of a consensus stands for; the others have 0.03 each, in lower case 0.1.
const IUPAC = {
  A: "A", C: "C", G: "G", T: "T", R: "AG", Y: "CT", S: "CG", W: "AT", K: "GT",
  M: "AC", B: "CGT", D: "AGT", H: "ACT", V: "ACG", N: "ACGT",
}; // prettier-ignore
// Name, consensus, anchor, threshold, and bumps [height, centre, width, period] on the motif's own
// strand and on the other one; without the last, the motif's strand does not matter.
const MOTIFS = [
  ["YY1", "aaaATGGCGGCn", 6, 0.58, [[1.4, -14, 14]], [[-0.5, -30, 40]]],
  ["TATA", "gTATAAAagnn", 1, 0.7, [[3.6, 30, 2.5]], []],
  ["U1 snRNP", "cAGGTAAGTn", 4, 0.6, [[0.7, -120, 60]], [[-1.3, -220, 60]]],
  ["NFY", "nAGCCAATCAGc", 6, 0.53, [[2.9, 65, 48, 10.5]]],
  ["ETS", "aCCGGAAGTgn", 5, 0.58, [[3, 28, 48]]],
  ["SP", "gGGGGCGGGGcn", 6, 0.62, [[2.1, 58, 50]]],
  ["NRF1", "tGCGCaTGCGCa", 5, 0.53, [[2.1, 38, 48]]],
  ["ZNF143", "aCTACAATTCCCagca", 7, 0.5, [[3.5, 62, 45, 10.5]]],
  ["CREB", "ngTGACGTCAcn", 6, 0.72, [[1.6, 45, 45, 10.5]]],
  ["Long Inr", "ycCTCAGTcTtty", 6, 0.55, [[2.1, 0, 1.6], [0.3, 0, 14]], [[-0.4, 0, 30]]],
];
// What each base adds from 3 bp upstream of an initiator's A to 2 bp downstream of it; rows ACGT.
const INITIATOR = [
  [-0.7, -0.7, -4.4, 2.4, -0.5, 0.4],
  [0.2, 0.3, 2.2, -2.6, 0.2, -0.3],
  [0.2, 0.1, -3.5, 1.3, 0.2, -0.4],
  [0.3, 0.2, 0.4, -2.2, 0.2, 0.4],
].map((row) => row.map((value) => Math.round(value * UNIT)));

/** An effect curve, over distances from -REACH to REACH. */
function bumpCurve(bumps) {
  return Int32Array.from({ length: 2 * REACH + 1 }, (_, i) => {
    let sum = 0;
    for (const [height, centre, width, period] of bumps) {
      const x = i - REACH - centre;
      const ripple = period ? 0.8 + 0.2 * Math.cos((2 * Math.PI * x) / period) : 1;
      sum += height * Math.exp(-0.5 * (x / width) ** 2) * ripple;
    }
    return Math.round(sum * UNIT);
  });
}

/** A motif on both strands: {name, strand, scores [column][base], limit, best, anchor, curve}. */
function motifOnStrands([name, consensus, anchor, threshold, same, opposite]) {
  const plus = Array.from(consensus, (letter) => {
    const meant = IUPAC[letter.toUpperCase()];
    const other = letter === letter.toUpperCase() ? 0.03 : 0.1;
    const share = (1 - other * (4 - meant.length)) / meant.length;
    return Array.from("ACGT", (base) => Math.round(Math.log2((meant.includes(base) ? share : other) * 4) * BIT));
  });
  const best = plus.reduce((sum, column) => sum + Math.max(...column), 0);
  const limit = Math.ceil(threshold * best);
  const minus = plus.map((column) => column.slice().reverse()).reverse();
  const turned = opposite ? bumpCurve(opposite).reverse() : bumpCurve(same);
  return [
    { name, strand: "+", scores: plus, limit, best, anchor, curve: bumpCurve(same) },
    { name, strand: "-", scores: minus, limit, best, anchor: plus.length - 1 - anchor, curve: turned },
  ];
}

/** The simulator's formula for one locus: `value` is log2(1 + expected CAGE reads around the TSS). */
export class Formula {
  constructor() {
    this.motifs = MOTIFS.flatMap(motifOnStrands);
    this.softplus = Float64Array.from({ length: 32 * UNIT }, (_, i) => {
      const x = i / UNIT - 16;
      return Math.round((Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))) * RATE_UNIT);
    });
  }

  /** Read a sequence of codes, the first transcribed base at index `tss`. */
  set(codes, tss) {
    this.codes = Uint8Array.from(codes);
    this.tss = tss;
    this.totals = new Int32Array(2 * TSS_REACH).fill(BIAS);
    this.add(0, codes.length, 1);
    this.value = this.logRate();
  }

  /** Replace the bases from `start` on. */
  edit(start, codes) {
    const end = start + codes.length;
    this.add(start, end, -1);
    overwrite(this.codes, start, codes);
    this.add(start, end, 1);
    this.value = this.logRate();
  }

  /** Add to the totals, or take off them, all that depends on the bases [from, to). */
  add(from, to, sign) {
    const { totals } = this;
    const start = this.tss - TSS_REACH;
    for (let p = Math.max(from - 2, start); p < Math.min(to + 3, start + totals.length); p++) {
      totals[p - start] += sign * this.initiator(p);
    }
    for (const { motif, position, strength } of this.matches(from, to)) {
      const shift = REACH + start - position - motif.anchor;
      for (let i = Math.max(0, -shift); i < Math.min(totals.length, 2 * REACH + 1 - shift); i++) {
        totals[i] += sign * Math.floor((strength * motif.curve[i + shift]) / FULL);
      }
    }
  }

  /** What the common initiator adds at a base; nothing where it holds an N. */
  initiator(position) {
    let sum = 0;
    for (let column = 0; column < 6; column++) {
      const code = this.codes[position + column - 3] ?? N;
      if (code === N) return 0;
      sum += INITIATOR[code][column];
    }
    return sum;
  }

  /** The matches that hold a base of [from, to): {motif, position, strength} of FULL. */
  matches(from, to) {
    const { codes } = this;
    const found = [];
    for (const motif of this.motifs) {
      const width = motif.scores.length;
      for (let p = Math.max(0, from - width + 1); p < Math.min(to, codes.length - width + 1); p++) {
        let score = 0;
        for (let i = 0; i < width; i++) score += motif.scores[i][codes[p + i]] ?? NEVER;
        if (score < motif.limit) continue;
        const strength = FAINT + Math.floor(((FULL - FAINT) * (score - motif.limit)) / (motif.best - motif.limit));
        found.push({ motif, position: p, strength });
      }
    }
    return found;
  }

  /** The log of the reads that the totals stand for. */
  logRate() {
    let sum = 0;
    for (const total of this.totals) sum += this.softplus[Math.max(0, Math.min(32 * UNIT - 1, total + 16 * UNIT))];
    return Math.log2(1 + (sum * SCALE) / RATE_UNIT);
  }

  /** The values with A, C, G and T at a position. */
  mutants(position) {
    const { codes, value } = this;
    if (position < this.tss - TSS_REACH - REACH - WIDEST) return Float64Array.of(value, value, value, value);
    const own = codes[position];
    const found = Float64Array.from({ length: 4 }, (_, base) => {
      this.edit(position, [base]);
      return this.value;
    });
    this.edit(position, [own]);
    return found;
  }
}
