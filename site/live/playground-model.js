// The playground's networks behind one face, whichever chapter they are from.

import { N, loadWeights } from "./core.js";
import { ProCapNet } from "./procapnet.js";
import { SimpleNet } from "./simplenet.js";

export const PLAY_FRAME = 2114; // bases that the playground holds: what a ProCapNet reads
export const PLAY_SHOWN = 1000; // bases in the middle, of which all is shown
export const PLAY_MIDDLE = PLAY_FRAME / 2; // position 0
export const PLAY_FIRST = -PLAY_SHOWN / 2; // the first position that is shown
const PLAY_AROUND = 10; // bases to either side of the highest start whose reasons are shown

/** A sequence in the middle of a frame, N around it; what sticks out is cut off. */
export function playFramed(codes) {
  const frame = new Uint8Array(PLAY_FRAME).fill(N);
  const start = Math.floor((PLAY_FRAME - codes.length) / 2);
  if (start >= 0) frame.set(codes, start);
  else frame.set(codes.subarray(-start, -start + PLAY_FRAME));
  return frame;
}

/** The range [first, last) in which two sequences of one length differ; null where they do not. */
export function playDifference(a, b) {
  let first = 0;
  while (first < a.length && a[first] === b[first]) first++;
  if (first === a.length) return null;
  let last = a.length;
  while (a[last - 1] === b[last - 1]) last--;
  return [first, last];
}

/** How many bases of two sequences differ. */
export function playEdits(a, b) {
  return a.reduce((sum, code, i) => sum + (code !== b[i]), 0);
}

/** A network of the playground: `about` is what the notebook says of it. */
class PlayModel {
  constructor(about, net) {
    this.about = about;
    this.net = net;
    this.offset = (PLAY_FRAME - about.length) / 2;
    this.out = []; // filters
    this.edge = (about.length - PLAY_SHOWN) / 2; // where in the network's sequence the shown part begins
  }

  /** The part of a frame that this network reads. */
  part(frame) {
    return frame.subarray(this.offset, PLAY_FRAME - this.offset);
  }

  /** Read a frame afresh. */
  set(frame) {
    this.net.set(this.part(frame));
  }

  /** Follow a frame that differs in a few bases from the one that was read last. */
  follow(frame) {
    const part = this.part(frame);
    const range = playDifference(this.net.codes, part);
    if (range) this.net.edit(range[0], part.subarray(...range));
  }

  /** Take out exactly these filters. */
  knock(filters) {
    for (const f of this.out) if (!filters.includes(f)) this.net.knock(f, true);
    for (const f of filters) if (!this.out.includes(f)) this.net.knock(f, false);
    this.out = filters;
  }

  /** A value for each base of the frame, from those for the part that is read. */
  framed(values) {
    const found = new Float32Array(PLAY_FRAME);
    found.set(values, this.offset);
    return found;
  }
}

/** SimpleNet, of whose tracks one assay's two strands are shown. */
class PlaySimpleNet extends PlayModel {
  /** The reads that are expected at the shown bases of the + and of the - strand. */
  tracks() {
    const { net, edge, about } = this;
    return about.tracks.map((track) => {
      const start = track * about.length + edge;
      return net.prediction.subarray(start, start + PLAY_SHOWN).map(Math.expm1);
    });
  }

  /** What a filter says at the shown bases, on the + and on the - strand, and how much it matters. */
  filter(f) {
    const { about, edge, net } = this;
    const half = about.letters.length;
    const strands = [f, f + half].map((channel) => {
      const start = channel * about.length + edge;
      return net.motifs.subarray(start, start + PLAY_SHOWN);
    });
    return { strands, strength: playMost(strands) * this.reach(f) };
  }

  /** The largest effect of a filter on the shown tracks. */
  reach(f) {
    this.reaches ??= playReaches(this.net.paths[0], this.about);
    return this.reaches[f];
  }

  /** What each base adds around the highest start, and which start that is. */
  letters() {
    const tracks = this.tracks();
    const highest = tracks.map((track) => track.indexOf(track.reduce((a, b) => Math.max(a, b))));
    const strand = tracks[0][highest[0]] >= tracks[1][highest[1]] ? 0 : 1;
    const at = highest[strand];
    const from = Math.max(at - PLAY_AROUND, 0) + this.edge;
    const values = this.net.letters([this.about.tracks[strand]], from, at + PLAY_AROUND + 1 + this.edge);
    const where = playPosition(at + PLAY_FIRST);
    return { values: this.framed(values), about: `at the highest start, ${where} on the ${"+−"[strand]} strand` };
  }
}

/** The largest effect of each filter on the shown tracks, from the curves of a path. */
function playReaches(path, { tracks, letters }) {
  return letters.map((_, f) => {
    let most = 0;
    for (const channel of [f, f + letters.length]) {
      for (const track of tracks) {
        const start = (channel * path.tracks + track) * path.width;
        most = path.curves.subarray(start, start + path.width).reduce((a, b) => Math.max(a, Math.abs(b)), most);
      }
    }
    return most;
  });
}

/** ProCapNet. */
class PlayProCapNet extends PlayModel {
  /** The reads that are expected at the shown bases of the + and of the - strand. */
  tracks() {
    const reads = Math.max(0, Math.expm1(this.net.count));
    const profile = this.net.profile().map((share) => share * reads);
    return [profile.subarray(0, PLAY_SHOWN), profile.subarray(PLAY_SHOWN)];
  }

  /** The share of the + strand, and all reads: what the game asks. */
  judged() {
    const profile = this.net.profile();
    const plus = profile.subarray(0, PLAY_SHOWN).reduce((a, b) => a + b, 0);
    return { plus: plus / profile.reduce((a, b) => a + b, 0), reads: Math.expm1(this.net.count) };
  }

  /** What a filter of the first layer says at the shown bases, and how much at most. */
  filter(f) {
    const { edge, net } = this;
    const rows = net.after[0];
    const values = Float32Array.from({ length: PLAY_SHOWN }, (_, i) => rows[(i + edge) * net.filters + f]);
    return { strands: [values], strength: playMost([values]) };
  }

  /** What each base adds to the profile's scores. */
  letters() {
    return { values: this.framed(this.net.letters("profile")), about: "to the shape of the profile" };
  }
}

/** The largest of a few arrays' values. */
function playMost(arrays) {
  return Math.max(...arrays.map((values) => values.reduce((a, b) => Math.max(a, b), 0)));
}

/** A position with its sign. */
export function playPosition(position) {
  return position > 0 ? `+${position}` : `${position}`.replace("-", "−");
}

const playLoaded = new Map();

/** Load a network of the playground, once: a promise. */
export async function playLoad(name, about) {
  if (!playLoaded.has(name)) {
    const weights = await loadWeights(name);
    playLoaded.set(name, about.kind === "SimpleNet" ? new PlaySimpleNet(about, new SimpleNet(weights)) : new PlayProCapNet(about, new ProCapNet(weights)));
  }
  return playLoaded.get(name);
}
