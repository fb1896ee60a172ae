// The network of Chapter 4: shape and size of initiation. See tssbook.models.procapnet.

import { Refused } from "./core.js";
import { Reader, Spread, overwrite } from "./convolve.js";

/**
 * A ProCapNet that predicts one sequence and follows its changes.
 *
 * `logits` are [strand][position] of the middle part, which begins at base `trim`; `count` is
 * ln(1 + counts of both strands).
 */
export class ProCapNet {
  constructor({ config, tensors }) {
    this.filters = config.n_filters;
    this.reader = new Reader(tensors["iconv.weight"], tensors["iconv.bias"].values);
    this.dilations = Array.from({ length: config.n_layers }, (_, i) => 2 ** (i + 1));
    const layers = this.dilations.map((_, i) => `rconvs.${i}`);
    this.biases = layers.map((name) => tensors[`${name}.bias`].values);
    this.spreads = layers.map((name, i) => new Spread(tensors[`${name}.weight`], this.dilations[i]));
    this.backs = layers.map((name, i) => new Spread(tensors[`${name}.weight`], this.dilations[i], true));
    const { shape, values } = tensors["fconv.weight"];
    this.width = shape[2];
    // The profile's kernels [strand][filter][width], turned round: what an input adds to outputs.
    this.last = values.map((_, i) => values[i - (i % this.width) + this.width - 1 - (i % this.width)]);
    this.lastBias = tensors["fconv.bias"].values;
    this.linear = tensors["linear.weight"].values;
    this.linearBias = tensors["linear.bias"].values[0];
    // Rows nearer to an end than this are not seen by any output, layer by layer.
    this.edges = [this.reader.half];
    for (const d of this.dilations) this.edges.push(this.edges.at(-1) + d);
    this.seen = this.edges.at(-1);
    this.trim = this.seen + (this.width >> 1);
    this.off = new Uint8Array(this.filters);
  }

  /** Read a sequence of codes. */
  set(codes) {
    if (codes.length <= 2 * this.trim) {
      throw new Refused(`That is ${codes.length} bases; this network needs at least ${2 * this.trim + 1}.`);
    }
    const { filters } = this;
    const { length } = codes;
    this.codes = Uint8Array.from(codes);
    const rows = () => new Float32Array(filters * length);
    this.change = rows(); // by how much the rows of one layer have just changed
    this.before = this.biases.map((bias) => {
      const sums = rows(); // of a layer before its ReLU
      for (let p = 0; p < length; p++) sums.set(bias, p * filters);
      return sums;
    });
    this.after = [rows(), ...this.biases.map(rows)]; // what each layer hands on
    this.lengthOut = length - 2 * this.trim;
    this.logits = new Float32Array(2 * this.lengthOut);
    this.lastBias.forEach((bias, s) => this.logits.fill(bias, s * this.lengthOut, (s + 1) * this.lengthOut));
    this.totals = new Float64Array(filters); // over the rows that the heads see
    this.update(0, length);
  }

  /** Replace the bases from `start` on. */
  edit(start, codes) {
    const [from, to] = overwrite(this.codes, start, codes);
    if (from < to) this.update(from - this.reader.half, to + this.reader.half);
  }

  /** Take a filter of the first layer out, or put it back. */
  knock(filter, on) {
    if (this.off[filter] === (on ? 0 : 1)) return;
    this.off[filter] = on ? 0 : 1;
    this.update(0, this.codes.length);
  }

  /** Compute the first layer at [from, to) anew, and what follows from what has changed. */
  update(from, to) {
    const { filters, after, change, off } = this;
    let [first, last] = this.within(from, to, 0);
    const old = after[0].slice(first * filters, last * filters);
    this.reader.read(this.codes, first, last, after[0]);
    for (let i = first * filters; i < last * filters; i++) {
      after[0][i] = off[i % filters] ? 0 : Math.max(0, after[0][i]);
      change[i] = after[0][i] - old[i - first * filters];
    }
    this.spreads.forEach((spread, i) => {
      const before = this.before[i];
      const [low, high] = this.within(first - spread.step, last + spread.step, i + 1);
      spread.add(change, first, last, low, high, before);
      for (let j = low * filters; j < high * filters; j++) {
        const value = after[i][j] + (before[j] > 0 ? before[j] : 0);
        change[j] = value - after[i + 1][j];
        after[i + 1][j] = value;
      }
      [first, last] = [low, high];
    });
    this.toHeads(first, last);
  }

  /** The rows of [from, to) that an output can see in a layer. */
  within(from, to, layer) {
    return [Math.max(from, this.edges[layer]), Math.min(to, this.codes.length - this.edges[layer])];
  }

  /** Add to both heads what has changed in the rows [from, to) of the last layer. */
  toHeads(from, to) {
    const { change, filters, last, lengthOut, logits, totals, width } = this;
    for (let q = from; q < to; q++) {
      const [low, high] = this.seers(q);
      for (let f = 0; f < filters; f++) {
        const value = change[q * filters + f];
        if (value === 0) continue;
        totals[f] += value;
        for (let s = 0; s < 2; s++) {
          const kernel = (s * filters + f) * width - q + this.seen + width - 1;
          for (let p = low; p < high; p++) logits[s * lengthOut + p] += value * last[kernel + p];
        }
      }
    }
    const rows = lengthOut + width - 1;
    this.count = this.linear.reduce((sum, weight, f) => sum + (weight * totals[f]) / rows, this.linearBias);
  }

  /** The range of outputs that see row `q` of the last layer. */
  seers(q) {
    const place = q - this.seen;
    return [Math.max(0, place - this.width + 1), Math.min(this.lengthOut, place + 1)];
  }

  /** The probabilities of all positions, [strand][position]: one softmax over both strands. */
  profile() {
    const largest = this.logits.reduce((a, b) => Math.max(a, b));
    const found = this.logits.map((logit) => Math.exp(logit - largest));
    const sum = found.reduce((a, b) => a + b, 0);
    return found.map((value) => value / sum);
  }

  /**
   * What each base adds to a head, to first order: the gradient times the base, centred over the
   * four bases. `head` is "count", or "profile": logits weighted as `ProfileHead` of
   * tssbook.interpret.heads weights them.
   */
  letters(head) {
    const { filters, after, before } = this;
    const { length } = this.codes;
    const gradients = head === "count" ? this.fromCount() : this.fromProfile();
    for (let i = this.spreads.length - 1; i >= 0; i--) {
      const gated = new Float32Array(gradients.length);
      const [first, last] = this.within(0, length, i + 1);
      for (let j = first * filters; j < last * filters; j++) gated[j] = before[i][j] > 0 ? gradients[j] : 0;
      this.backs[i].add(gated, first, last, ...this.within(0, length, i), gradients);
    }
    for (let j = 0; j < gradients.length; j++) if (!(after[0][j] > 0)) gradients[j] = 0;
    return this.reader.letters(this.codes, ...this.within(0, length, 0), gradients);
  }

  /** The gradients of the count at the rows of the last layer. */
  fromCount() {
    const gradients = new Float32Array(this.filters * this.codes.length);
    const rows = this.lengthOut + this.width - 1;
    for (let q = this.seen; q < this.seen + rows; q++) {
      gradients.set(this.linear.map((weight) => weight / rows), q * this.filters);
    }
    return gradients;
  }

  /** The gradients of the profile's weighted logits at the rows of the last layer. */
  fromProfile() {
    const { filters, last, lengthOut, seen, width } = this;
    const gradients = new Float32Array(filters * this.codes.length);
    const profile = this.profile();
    const weights = profile.map((probability) => probability - 1 / profile.length);
    for (let q = seen; q < seen + lengthOut + width - 1; q++) {
      const [low, high] = this.seers(q);
      for (let i = 0; i < 2 * filters; i++) {
        const strand = Math.floor(i / filters) * lengthOut;
        const kernel = i * width - q + seen + width - 1;
        let sum = 0;
        for (let p = low; p < high; p++) sum += weights[strand + p] * last[kernel + p];
        gradients[q * filters + (i % filters)] += sum;
      }
    }
    return gradients;
  }
}
