// The network of Chapter 2: one number for a promoter. See tssbook.models.promoter.

import { Refused } from "./core.js";
import { Reader, Spread, overwrite } from "./convolve.js";

/** A convolution's weight and bias, {weight: {shape, values}, bias}, with its batch norm in them. */
function folded(tensors, layer) {
  const of = (name) => tensors[name].values;
  const { shape, values } = tensors[`conv${layer}.weight`];
  const [scale, shift, mean, variance] = ["weight", "bias", "running_mean", "running_var"].map((name) => of(`bn${layer}.${name}`));
  const factors = scale.map((s, o) => s / Math.sqrt(variance[o] + 1e-5));
  const each = shape[1] * shape[2];
  return {
    weight: { shape, values: values.map((w, i) => w * factors[Math.floor(i / each)]) },
    bias: of(`conv${layer}.bias`).map((b, o) => (b - mean[o]) * factors[o] + shift[o]),
  };
}

/** A PromoterNet, in evaluation mode, that predicts one sequence and follows its changes. */
export class PromoterNet {
  constructor({ config, tensors }) {
    const [first, second, third] = [1, 2, 3].map((layer) => folded(tensors, layer));
    this.channels = config.n_filters;
    this.pool = config.pool;
    this.reader = new Reader(first.weight, first.bias);
    this.spreads = [new Spread(second.weight), new Spread(third.weight)];
    this.biases = [second.bias, third.bias];
    this.head1 = ["weight", "bias"].map((name) => tensors[`linear1.${name}`].values);
    this.head2 = ["weight", "bias"].map((name) => tensors[`linear2.${name}`].values);
    const [wide, middle, narrow] = config.widths;
    // How far apart two bases may be that one place of the last layer sees.
    this.reach = wide - 1 + (this.pool - 1) + (middle - 1 + this.pool - 1) * this.pool + (narrow - 1) * this.pool ** 2;
    this.kept = null; // what a trial has overwritten
  }

  /** Read a sequence of codes. */
  set(codes) {
    const { length } = codes;
    if (length < this.pool ** 2) throw new Refused(`That is ${length} bases; this network needs at least ${this.pool ** 2}.`);
    this.codes = Uint8Array.from(codes);
    const lengths = [length, Math.floor(length / this.pool)];
    lengths.push(Math.floor(lengths[1] / this.pool));
    this.lengths = lengths;
    const rows = (positions, channels) => new Float32Array(positions * channels);
    const [first, second, third] = this.channels;
    this.before = [rows(lengths[0], first), rows(lengths[1], second), rows(lengths[2], third)];
    this.biases.forEach((bias, i) => {
      for (let p = 0; p < lengths[i + 1]; p++) this.before[i + 1].set(bias, p * bias.length);
    });
    this.pooled = [rows(lengths[1], first), rows(lengths[2], second)];
    this.changes = this.pooled.map((array) => new Float32Array(array.length));
    this.effects = new Float32Array(4 * length * third); // of each base at each position, on the features
    this.known = new Uint8Array(length); // whether they are up to date
    this.update(0, length);
  }

  /** Replace the bases from `start` on. */
  edit(start, codes) {
    const [from, to] = overwrite(this.codes, start, codes);
    if (from === to) return;
    this.known.fill(0, Math.max(0, from - this.reach), to + this.reach);
    this.update(from, to);
  }

  /** Compute anew what depends on the codes [from, to). */
  update(from, to) {
    let first = Math.max(0, from - this.reader.half);
    let last = Math.min(this.lengths[0], to + this.reader.half);
    this.keep(this.before[0], first, last, this.channels[0]);
    this.reader.read(this.codes, first, last, this.before[0]);
    this.spreads.forEach((spread, i) => {
      [first, last] = this.takeLargest(i, first, last);
      const around = spread.width >> 1;
      const low = Math.max(0, first - around);
      const high = Math.min(this.lengths[i + 1], last + around);
      this.keep(this.before[i + 1], low, high, spread.outputs);
      spread.add(this.changes[i], first, last, low, high, this.before[i + 1]);
      [first, last] = [low, high];
    });
    this.features = this.average();
    this.value = this.head(this.features, 0);
  }

  /** Pool layer `i` where its rows [from, to) have changed, ReLU; return the rows that it made. */
  takeLargest(i, from, to) {
    const { pool } = this;
    const [rows, pooled, changes, channels] = [this.before[i], this.pooled[i], this.changes[i], this.channels[i]];
    const first = Math.floor(from / pool);
    const last = Math.min(Math.ceil(to / pool), this.lengths[i + 1]);
    this.keep(pooled, first, last, channels);
    for (let p = first; p < last; p++) {
      for (let c = 0; c < channels; c++) {
        let largest = 0;
        for (let at = p * pool * channels + c, k = 0; k < pool; k++, at += channels) {
          if (rows[at] > largest) largest = rows[at];
        }
        changes[p * channels + c] = largest - pooled[p * channels + c];
        pooled[p * channels + c] = largest;
      }
    }
    return [first, last];
  }

  /** The mean over positions of the last layer after its ReLU. */
  average() {
    const rows = this.before[2];
    const found = new Float64Array(this.channels[2]);
    for (let i = 0; i < rows.length; ) {
      for (let c = 0; c < found.length; c++, i++) if (rows[i] > 0) found[c] += rows[i];
    }
    return found.map((sum) => sum / this.lengths[2]);
  }

  /** The prediction from features, to which the effects that begin at `at` are added. */
  head(features, at, effects = null) {
    const [[weight, bias], [last, lastBias]] = [this.head1, this.head2];
    const size = features.length;
    let value = lastBias[0];
    for (let h = 0; h < bias.length; h++) {
      let sum = bias[h];
      for (let f = 0; f < size; f++) sum += weight[h * size + f] * (effects ? features[f] + effects[at + f] : features[f]);
      if (sum > 0) value += last[h] * sum;
    }
    return value;
  }

  /** Remember rows [from, to) that are about to change, if this is a trial. */
  keep(array, from, to, channels) {
    this.kept?.push([array, from * channels, array.slice(from * channels, to * channels)]);
  }

  /** What the features would change by if `base` stood at `position`; nothing is changed. */
  attempt(position, base) {
    const { codes, features, value } = this;
    const own = codes[position];
    this.kept = [];
    codes[position] = base;
    this.update(position, position + 1);
    const at = (4 * position + base) * features.length;
    for (let f = 0; f < features.length; f++) this.effects[at + f] = this.features[f] - features[f];
    for (const [array, from, rows] of this.kept) array.set(rows, from);
    this.kept = null;
    codes[position] = own;
    Object.assign(this, { features, value });
  }

  /**
   * In-silico mutagenesis, position by position: yields {position, values}, the predictions with A,
   * C, G and T there. After an edit it starts anew, and only its neighbourhood takes time.
   */
  *scan(from, to) {
    const size = this.channels[2];
    for (let position = from; position < to; position++) {
      const own = this.codes[position];
      if (!this.known[position]) {
        this.effects.fill(0, 4 * position * size, 4 * (position + 1) * size);
        for (let base = 0; base < 4; base++) if (base !== own) this.attempt(position, base);
        this.known[position] = 1;
      }
      const values = Float64Array.from({ length: 4 }, (_, base) => this.head(this.features, (4 * position + base) * size, this.effects));
      yield { position, values };
    }
  }
}
