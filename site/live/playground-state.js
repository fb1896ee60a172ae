// What the playground remembers: which network and locus, edits, filters; undo; links.

import { Refused, decode, encode, readSequence } from "./core.js";
import { PLAY_FIRST, PLAY_FRAME, PLAY_MIDDLE, PLAY_SHOWN, playDifference, playFramed } from "./playground-model.js";

export const PLAY_LINK = "#play~"; // how the part of an address begins that asks for a state
const PLAY_STEPS = 300; // that can be undone
export const PLAY_LEAST = 20; // bases of a sequence of one's own

/** The letters of one's own sequence, from what was pasted. Throws `Refused`. */
export function playOwn(text) {
  return readSequence(text, { least: PLAY_LEAST, most: PLAY_FRAME, unknown: true });
}

/** One state of the playground, and those before and after it. */
export class PlayState {
  constructor(given) {
    this.given = given;
  }

  /** Begin with a network and a locus ("own" with its letters), as they are or with edits. */
  begin({ net, locus, own = null, codes = null, off = [] }) {
    this.net = net;
    this.locus = locus;
    this.own = own;
    this.start = playFramed(encode(own ?? this.given.loci[locus].letters));
    this.steps = [{ codes: codes ?? this.start, off }];
    this.at = 0;
  }

  get codes() {
    return this.steps[this.at].codes;
  }

  get off() {
    return this.steps[this.at].off;
  }

  get about() {
    return this.given.networks[this.net];
  }

  /** Go on to another state, which can be undone; nothing happens where it is the same. */
  change({ codes = this.codes, off = this.off }) {
    if (!playDifference(codes, this.codes) && `${off}` === `${this.off}`) return false;
    this.steps = [...this.steps.slice(0, this.at + 1), { codes, off }].slice(-PLAY_STEPS);
    this.at = this.steps.length - 1;
    return true;
  }

  /** Write letters from a position on; what would stick out of the shown part is left out. */
  write(position, codes) {
    const next = this.codes.slice();
    codes.forEach((code, i) => {
      const place = position + i;
      if (place >= PLAY_FIRST && place < PLAY_FIRST + PLAY_SHOWN) next[PLAY_MIDDLE + place] = code;
    });
    return this.change({ codes: next });
  }

  /** Take a filter out, or put it back. */
  knock(filter, on) {
    const others = this.off.filter((f) => f !== filter);
    return this.change({ off: on ? others : [...others, filter].sort((a, b) => a - b) });
  }

  get canUndo() {
    return this.at > 0;
  }

  get canRedo() {
    return this.at < this.steps.length - 1;
  }

  /** Go one step back; whether there was one. */
  undo() {
    if (!this.canUndo) return false;
    this.at--;
    return true;
  }

  /** Go one step forth again; whether there was one. */
  redo() {
    if (!this.canRedo) return false;
    this.at++;
    return true;
  }

  /** Take back all edits, and put all filters back. */
  reset() {
    return this.change({ codes: this.start, off: [] });
  }

  /** The part of an address that brings all this back. */
  link() {
    const fields = [this.net, this.locus, playWritten(this.start, this.codes), this.off.join(".")];
    if (this.own) fields.push(this.own);
    return PLAY_LINK + fields.join("~");
  }
}

/** The edits as text: a position and the letters from there on, "-31GC.12T". */
function playWritten(start, codes) {
  const runs = [];
  for (let i = 0; i < codes.length; i++) {
    if (codes[i] === start[i]) continue;
    let end = i;
    while (end < codes.length && codes[end] !== start[end]) end++;
    runs.push(`${i - PLAY_MIDDLE}${decode(codes.subarray(i, end))}`);
    i = end;
  }
  return runs.join(".");
}

/**
 * What a link asks for, as `PlayState.begin` takes it; null where the address is no link of the
 * playground. Throws `Refused` where something is not as `PlayState.link` writes it.
 */
export function playLinked(hash, given) {
  if (!hash.startsWith(PLAY_LINK)) return null;
  const damaged = new Refused("This link is not whole or was changed; the playground begins afresh.");
  if (hash.length > 3 * PLAY_FRAME) throw damaged;
  const [net, locus, edits, off, own = null, ...rest] = hash.slice(PLAY_LINK.length).split("~");
  const has = (things, name) => Object.hasOwn(things, name);
  if (rest.length || off === undefined || !has(given.networks, net)) throw damaged;
  const about = given.networks[net];
  if (locus === "own" ? !own : own !== null || !has(given.loci, locus) || given.loci[locus].world !== about.world) throw damaged;
  if (!/^[ACGTN]*$/.test(own ?? "")) throw damaged;
  const letters = own === null ? given.loci[locus].letters : playOwn(own);
  const filters = off ? off.split(".").map((text) => (/^\d{1,3}$/.test(text) ? Number(text) : -1)) : [];
  if (filters.some((f, i) => f < 0 || f >= about.letters.length || (i && f <= filters[i - 1]))) throw damaged;
  const codes = playFramed(encode(letters));
  for (const run of edits ? edits.split(".") : []) {
    const [, from, word] = /^(-?\d{1,3})([ACGTN]+)$/.exec(run) ?? [];
    const place = Number(from);
    if (!word || place < PLAY_FIRST || place + word.length > PLAY_FIRST + PLAY_SHOWN) throw damaged;
    codes.set(encode(word), PLAY_MIDDLE + place);
  }
  return { net, locus, own, codes, off: filters };
}
