// Convolutions as the live networks need them: of letters, of few rows that have changed, very wide.
//
// Rows are positions: entry [position * channels + channel]. Outside of a sequence there are zeros.

/** The range [from, to) without what lies outside [0, length). */
function clip(from, to, length) {
  return [Math.max(from, 0), Math.min(to, length)];
}

/** Write bases into codes from `start` on; return the range [from, to) of those that differ. */
export function overwrite(codes, start, bases) {
  let [from, to] = [0, bases.length];
  while (from < to && codes[start + from] === bases[from]) from++;
  while (from < to && codes[start + to - 1] === bases[to - 1]) to--;
  codes.set(bases, start);
  return [start + from, start + to];
}

/**
 * A convolution that reads letters, lengths kept: sums of table rows instead of products.
 *
 * `weight` is {shape: [filters, 4, width], values}. With `both`, the second half of the channels are
 * the filters' reverse complements, as in `_both_strands` of tssbook.models.puffin.
 */
export class Reader {
  constructor(weight, bias, both = false) {
    const [filters, , width] = weight.shape;
    this.channels = both ? 2 * filters : filters;
    this.half = width >> 1;
    this.width = width;
    this.bias = new Float32Array(this.channels);
    this.table = new Float32Array(width * 4 * this.channels); // [tap][base][channel]
    for (let f = 0; f < this.channels; f++) {
      const turned = f >= filters;
      const filter = turned ? f - filters : f;
      this.bias[f] = bias[filter];
      for (let base = 0; base < 4; base++) {
        for (let tap = 0; tap < width; tap++) {
          const from = turned ? (filter * 4 + 3 - base) * width + width - 1 - tap : (filter * 4 + base) * width + tap;
          this.table[(tap * 4 + base) * this.channels + f] = weight.values[from];
        }
      }
    }
  }

  /** Write what the filters say at positions [from, to) into rows. */
  read(codes, from, to, rows) {
    const { channels, table, width, half } = this;
    for (let p = from; p < to; p++) {
      const row = rows.subarray(p * channels, (p + 1) * channels);
      row.set(this.bias);
      const [first, last] = clip(p - half, p - half + width, codes.length);
      for (let q = first; q < last; q++) {
        if (codes[q] > 3) continue;
        const at = ((q - p + half) * 4 + codes[q]) * channels;
        for (let c = 0; c < channels; c++) row[c] += table[at + c];
      }
    }
  }

  /**
   * Gradient times input, from the gradients at rows [from, to): for each base of the sequence how
   * much more it adds than the mean of the four bases would there; 0 at N.
   */
  letters(codes, from, to, gradients) {
    const { channels, table, width, half } = this;
    const found = new Float32Array(codes.length);
    const centred = new Float32Array(table.length);
    for (let i = 0; i < table.length; i++) {
      const c = i % channels;
      const tap = i - (i % (4 * channels));
      centred[i] = table[i] - (table[tap + c] + table[tap + channels + c] + table[tap + 2 * channels + c] + table[tap + 3 * channels + c]) / 4;
    }
    for (let p = from; p < to; p++) {
      const row = p * channels;
      const [first, last] = clip(p - half, p - half + width, codes.length);
      for (let q = first; q < last; q++) {
        if (codes[q] > 3) continue;
        const at = ((q - p + half) * 4 + codes[q]) * channels;
        let sum = 0;
        for (let c = 0; c < channels; c++) sum += gradients[row + c] * centred[at + c];
        found[q] += sum;
      }
    }
    return found;
  }
}

/**
 * A convolution of rows, lengths kept, as a sum over inputs: what a change of few inputs adds to
 * the outputs. Inputs that are 0 cost nothing.
 *
 * `weight` is {shape: [outputs, inputs, width], values}.
 */
export class Spread {
  constructor(weight, dilation = 1, back = false) {
    const [outputs, inputs, width] = weight.shape;
    this.inputs = back ? outputs : inputs;
    this.outputs = back ? inputs : outputs;
    this.step = back ? -dilation : dilation;
    this.width = width;
    this.table = new Float32Array(weight.values.length); // [tap][input][output]
    for (let o = 0; o < outputs; o++) {
      for (let i = 0; i < inputs; i++) {
        for (let tap = 0; tap < width; tap++) {
          const at = back ? o * inputs + i : i * outputs + o;
          this.table[tap * outputs * inputs + at] = weight.values[(o * inputs + i) * width + tap];
        }
      }
    }
    const room = this.inputs + 3;
    this.places = new Int32Array(room);
    this.values = new Float64Array(room);
  }

  /** Add to output rows within [low, high) what input rows [from, to) say. */
  add(rows, from, to, low, high, target) {
    const { inputs, outputs, width, step, table } = this;
    for (let q = from; q < to; q++) {
      const found = this.gather(rows, q * inputs);
      if (!found) continue;
      for (let tap = 0; tap < width; tap++) {
        const p = q - (tap - (width >> 1)) * step;
        if (p >= low && p < high) this.row(found, tap * inputs * outputs, target, p * outputs, table);
      }
    }
  }

  /** Note where a row is not 0; four at a time are added, so it is filled up with zeros. */
  gather(rows, at) {
    const { inputs, outputs, places, values } = this;
    let found = 0;
    for (let i = 0; i < inputs; i++) {
      const value = rows[at + i];
      if (value !== 0) {
        places[found] = i * outputs;
        values[found++] = value;
      }
    }
    for (let i = found; i < found + 3; i++) {
      places[i] = 0;
      values[i] = 0;
    }
    return found;
  }

  /** Add the share of the noted inputs to one row of outputs. */
  row(found, tap, target, at, table) {
    const { outputs, places, values } = this;
    for (let j = 0; j < found; j += 4) {
      const [a, b, c, d] = [values[j], values[j + 1], values[j + 2], values[j + 3]];
      const [i, k, m, n] = [tap + places[j], tap + places[j + 1], tap + places[j + 2], tap + places[j + 3]];
      for (let o = 0; o < outputs; o++) {
        target[at + o] += a * table[i + o] + b * table[k + o] + c * table[m + o] + d * table[n + o];
      }
    }
  }
}

/** Fourier transforms of one length, a power of two, in place; spectra are in an order of their own. */
export class Fourier {
  constructor(size) {
    this.size = size;
    this.cosines = Float64Array.from({ length: size / 2 }, (_, k) => Math.cos((2 * Math.PI * k) / size));
    this.sines = Float64Array.from({ length: size / 2 }, (_, k) => Math.sin((2 * Math.PI * k) / size));
  }

  /** From a signal to its spectrum. */
  forth(real, imaginary) {
    const { size, cosines, sines } = this;
    for (let half = size >> 1, step = 1; half; half >>= 1, step <<= 1) {
      for (let start = 0; start < size; start += 2 * half) {
        for (let k = 0; k < half; k++) {
          const i = start + k;
          const j = i + half;
          const re = real[i] - real[j];
          const im = imaginary[i] - imaginary[j];
          const c = cosines[k * step];
          const s = sines[k * step];
          real[i] += real[j];
          imaginary[i] += imaginary[j];
          real[j] = re * c + im * s;
          imaginary[j] = im * c - re * s;
        }
      }
    }
  }

  /** From a spectrum to the signal, times the size. */
  back(real, imaginary) {
    const { size, cosines, sines } = this;
    for (let half = 1, step = size >> 1; step; half <<= 1, step >>= 1) {
      for (let start = 0; start < size; start += 2 * half) {
        for (let k = 0; k < half; k++) {
          const i = start + k;
          const j = i + half;
          const c = cosines[k * step];
          const s = sines[k * step];
          const re = real[j] * c - imaginary[j] * s;
          const im = imaginary[j] * c + real[j] * s;
          real[j] = real[i] - re;
          imaginary[j] = imaginary[i] - im;
          real[i] += re;
          imaginary[i] += im;
        }
      }
    }
  }
}
