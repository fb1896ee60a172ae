// The network of Chapter 3: motifs, then what they do. See tssbook.models.puffin.

import { Refused } from "./core.js";
import { Fourier, Reader, overwrite } from "./convolve.js";

const BLOCK = 1024; // of a Fourier transform: 424 positions and the 601 of an effect

/**
 * Filters on both strands and the effects of what they find: motifs, or initiators.
 *
 * `curves` are effects [channel][track][half + distance], as `effect_curves` of
 * tssbook.models.puffin has them.
 */
class Pathway {
  constructor(weight, bias, curves, tracks) {
    this.reader = new Reader(weight, bias, true);
    this.channels = this.reader.channels;
    this.curves = curves;
    this.tracks = tracks;
    this.width = curves.length / this.channels / tracks;
    this.half = this.width >> 1;
    this.off = new Uint8Array(this.channels / 2); // the filters that are knocked out
    this.transform();
  }

  /** Transform the curves, two tracks in one: as real and as imaginary part. */
  transform() {
    const { channels, curves, tracks, width } = this;
    this.fourier = new Fourier(BLOCK);
    this.pairs = Math.ceil(tracks / 2);
    this.spectra = [];
    for (let c = 0; c < channels; c++) {
      for (let pair = 0; pair < this.pairs; pair++) {
        const parts = [new Float32Array(BLOCK), new Float32Array(BLOCK)];
        parts.forEach((part, i) => {
          const at = (c * tracks + 2 * pair + i) * width;
          if (2 * pair + i < tracks) for (let m = 0; m < width; m++) part[m] = curves[at + m] / BLOCK;
        });
        this.fourier.forth(...parts);
        this.spectra.push(parts);
      }
    }
  }

  /** Forget everything and read a sequence; add its effects to `sums`. */
  set(codes, sums) {
    this.length = codes.length;
    this.rows = new Float32Array(this.channels * codes.length); // before the gate
    this.activations = new Float32Array(this.channels * codes.length); // [channel][position]
    this.edit(codes, 0, codes.length, sums);
  }

  /** Read codes that have changed at [from, to) again; add the difference to `sums`. */
  edit(codes, from, to, sums) {
    const { channels, length, rows, activations } = this;
    const first = Math.max(0, from - this.reader.half);
    const last = Math.min(length, to + this.reader.half);
    this.reader.read(codes, first, last, rows);
    const changes = [];
    for (let c = 0; c < channels; c++) {
      const change = new Float32Array(last - first);
      for (let p = first; p < last; p++) {
        const y = rows[p * channels + c];
        const at = c * length + p;
        const old = activations[at];
        activations[at] = y / (1 + Math.exp(-y));
        change[p - first] = activations[at] - old;
      }
      changes.push(this.off[c % this.off.length] ? null : change);
    }
    this.add(changes, first, sums);
  }

  /** Take a filter out, or put it back. */
  knock(filter, on, sums) {
    if (this.off[filter] === (on ? 0 : 1)) return;
    this.off[filter] = on ? 0 : 1;
    const changes = Array(this.channels).fill(null);
    for (const c of [filter, filter + this.off.length]) {
      changes[c] = this.activations.slice(c * this.length, (c + 1) * this.length);
      if (!on) for (let i = 0; i < this.length; i++) changes[c][i] *= -1;
    }
    this.add(changes, 0, sums);
  }

  /** Add to `sums` [track][position] the effects of changes that begin at `start`; null is none. */
  add(changes, start, sums) {
    const size = changes.find((change) => change)?.length ?? 0;
    if (size * this.width < BLOCK) this.addEach(changes, start, sums);
    else for (let from = 0; from < size; from += BLOCK - this.width + 1) {
      this.addBlock(changes, from, start + from, sums);
    }
  }

  /** The effects of a piece of the changes by Fourier transforms. */
  addBlock(changes, from, start, sums) {
    const { pairs, fourier, spectra, half, length, tracks, width } = this;
    const found = Array.from({ length: 2 * pairs }, () => new Float64Array(BLOCK));
    const real = new Float64Array(BLOCK);
    const imaginary = new Float64Array(BLOCK);
    changes.forEach((change, c) => {
      if (!change) return;
      imaginary.fill(0);
      real.fill(0);
      real.set(change.subarray(from, from + BLOCK - width + 1));
      fourier.forth(real, imaginary);
      for (let pair = 0; pair < pairs; pair++) {
        addProduct(real, imaginary, ...spectra[c * pairs + pair], found[2 * pair], found[2 * pair + 1]);
      }
    });
    for (let pair = 0; pair < pairs; pair++) fourier.back(found[2 * pair], found[2 * pair + 1]);
    const first = Math.max(0, half - start);
    const last = Math.min(BLOCK, length + half - start);
    for (let t = 0; t < tracks; t++) {
      const at = t * length + start - half;
      for (let i = first; i < last; i++) sums[at + i] += found[t][i];
    }
  }

  /** The effects of changes one by one. */
  addEach(changes, start, sums) {
    const { curves, half, length, tracks, width } = this;
    changes.forEach((change, c) => {
      for (let i = 0; change && i < change.length; i++) {
        const first = start + i - half;
        for (let t = 0; t < tracks; t++) {
          const curve = (c * tracks + t) * width;
          for (let m = Math.max(0, -first); m < Math.min(width, length - first); m++) {
            sums[t * length + first + m] += change[i] * curves[curve + m];
          }
        }
      }
    });
  }

  /** What each channel adds to the sum of a track at a position. */
  contributions(track, position) {
    const { activations, channels, curves, half, length, tracks, width } = this;
    return Float32Array.from({ length: channels }, (_, c) => {
      if (this.off[c % this.off.length]) return 0;
      const curve = (c * tracks + track) * width;
      let sum = 0;
      for (let q = Math.max(0, position - half); q < Math.min(length, position + half + 1); q++) {
        sum += activations[c * length + q] * curves[curve + position - q + half];
      }
      return sum;
    });
  }

  /** What each base adds to the sums of tracks over positions [from, to), to first order. */
  letters(codes, tracks, from, to) {
    const { channels, half, length, rows } = this;
    const first = Math.max(0, from - half);
    const last = Math.min(length, to + half);
    const gradients = new Float32Array(channels * length);
    for (let c = 0; c < channels; c++) {
      if (this.off[c % this.off.length]) continue;
      const upTo = this.cumulated(c, tracks);
      for (let q = first; q < last; q++) {
        const at = q * channels + c;
        const effect = upTo[Math.min(this.width, to - q + half)] - upTo[Math.max(0, from - q + half)];
        const gate = 1 / (1 + Math.exp(-rows[at]));
        gradients[at] = effect * gate * (1 + rows[at] * (1 - gate));
      }
    }
    return this.reader.letters(codes, first, last, gradients);
  }

  /** The sums of a channel's curves, over tracks and over distances before each. */
  cumulated(channel, tracks) {
    const upTo = new Float64Array(this.width + 1);
    for (const t of tracks) {
      const curve = (channel * this.tracks + t) * this.width;
      for (let m = 0, sum = 0; m < this.width; m++) upTo[m + 1] += sum += this.curves[curve + m];
    }
    return upTo;
  }
}

/** Add the product of two spectra to a third one. */
function addProduct(a, b, c, d, real, imaginary) {
  for (let i = 0; i < BLOCK; i++) {
    real[i] += a[i] * c[i] - b[i] * d[i];
    imaginary[i] += a[i] * d[i] + b[i] * c[i];
  }
}

/** The effect curves of a convolution's weight {shape: [tracks, channels, width], values}. */
function effectCurves({ shape: [tracks, channels, width], values }) {
  const curves = new Float32Array(values.length);
  for (let t = 0; t < tracks; t++) {
    for (let c = 0; c < channels; c++) {
      const kernel = values.subarray((t * channels + c) * width, (t * channels + c + 1) * width);
      curves.set(kernel.slice().reverse(), (c * tracks + t) * width);
    }
  }
  return curves;
}

/**
 * A SimpleNet that predicts one sequence and follows its changes.
 *
 * Arrays are [channel or track][position]: `motifs` and `initiators` (2 C x L: all filters as they
 * are, then all on the other strand), `sums` (before the softplus) and `prediction`, ln(1 + count).
 */
export class SimpleNet {
  constructor({ tensors }) {
    const values = (name) => tensors[name].values;
    const tracks = values("deconv.bias").length;
    this.tracks = tracks;
    this.bias = values("deconv.bias").map((bias, t) => bias + values("deconv_inr.bias")[t]);
    this.paths = [
      new Pathway(tensors["conv.weight"], values("conv.bias"), effectCurves(tensors["deconv.weight"]), tracks),
      new Pathway(tensors["conv_inr.weight"], values("conv_inr.bias"), values("deconv_inr.weight"), tracks),
    ];
    this.margin = this.paths[0].reader.half + this.paths[0].half; // at either end context is lacking
  }

  /** Read a sequence of codes. */
  set(codes) {
    if (codes.length <= 2 * this.margin) {
      throw new Refused(`That is ${codes.length} bases; this network needs at least ${2 * this.margin + 1}.`);
    }
    this.codes = Uint8Array.from(codes);
    this.sums = new Float32Array(this.tracks * codes.length);
    this.prediction = new Float32Array(this.sums.length);
    this.bias.forEach((bias, t) => this.sums.fill(bias, t * codes.length, (t + 1) * codes.length));
    for (const path of this.paths) path.set(this.codes, this.sums);
    this.rectify(0, codes.length);
  }

  /** Replace the bases from `start` on; the prediction changes within the returned range [from, to). */
  edit(start, codes) {
    const [from, to] = overwrite(this.codes, start, codes);
    if (from === to) return [from, to];
    for (const path of this.paths) path.edit(this.codes, from, to, this.sums);
    return this.rectify(Math.max(0, from - this.margin), Math.min(this.codes.length, to + this.margin));
  }

  /** Softplus of the sums at [from, to). */
  rectify(from, to) {
    const { length } = this.codes;
    for (let t = 0; t < this.tracks; t++) {
      for (let i = t * length + from; i < t * length + to; i++) {
        this.prediction[i] = this.sums[i] > 20 ? this.sums[i] : Math.log1p(Math.exp(this.sums[i]));
      }
    }
    return [from, to];
  }

  get motifs() {
    return this.paths[0].activations;
  }

  get initiators() {
    return this.paths[1].activations;
  }

  /** Take a filter out of the effects, on both strands, or put it back; initiators follow motifs. */
  knock(filter, on) {
    const motifs = this.paths[0].off.length;
    if (filter < motifs) this.paths[0].knock(filter, on, this.sums);
    else this.paths[1].knock(filter - motifs, on, this.sums);
    this.rectify(0, this.codes.length);
  }

  /** What motifs, initiators and the bias of a track add to its sum at a position. */
  contributions(track, position) {
    const [motifs, initiators] = this.paths.map((path) => path.contributions(track, position));
    return { motifs, initiators, bias: this.bias[track] };
  }

  /**
   * What each base adds to the sums of tracks (their numbers) over positions [from, to): the
   * gradient times the base, centred over the four bases.
   */
  letters(tracks, from, to) {
    const [first, second] = this.paths.map((path) => path.letters(this.codes, tracks, from, to));
    return first.map((value, i) => value + second[i]);
  }
}
