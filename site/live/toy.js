// Chapter 1's rule and two of its models: the equations of tssbook.models.toy and of plain SGD.
//
// A word of eight letters is a number, two bits a letter: AAAAAAAA is 0, TTTTTTTT 65,535. Parameters
// have PyTorch's names, and their numbers lie in PyTorch's order.

import { random } from "./core.js";

const TOY_LENGTH = 8;
const TOY_WORDS = 4 ** TOY_LENGTH;
const TOY_PLACES = 6; // where three letters fit into eight
const TOY_BATCH = 128;
// As many as in the chapter; the rest of the words is left for its test set.
const TOY_TRAINING = 41942;
const TOY_VALIDATION = 10486;
const TOO_LARGE = 3.4e38; // what PyTorch's float32 cannot hold any more
const BASE_SCORES = [20, 17, 14, 11];
const [TAT, GCG] = [0b110011, 0b100110];

/** The letter (0 to 3) of a word at a place from 0. */
const letterAt = (word, place) => (word >> (2 * (TOY_LENGTH - 1 - place))) & 3;

/** The three letters (0 to 63) of a word that a filter sees at a place. */
const threeAt = (word, place) => (word >> (2 * (TOY_PLACES - 1 - place))) & 63;

/** The score of a word: the mean of its bases' scores, and each bonus once. */
export function toyScore(word, { tat = 10, gcg = -10 } = {}) {
  let [sum, hasTat, hasGcg] = [0, false, false];
  for (let i = 0; i < TOY_LENGTH; i++) sum += BASE_SCORES[letterAt(word, i)];
  for (let place = 0; place < TOY_PLACES; place++) {
    hasTat ||= threeAt(word, place) === TAT;
    hasGcg ||= threeAt(word, place) === GCG;
  }
  return sum / TOY_LENGTH + hasTat * tat + hasGcg * gcg;
}

/** Numbers drawn as PyTorch draws first weights: evenly within 1 / sqrt(inputs) of 0. */
function firstWeights(size, inputs, draw) {
  return Float64Array.from({ length: size }, () => (2 * draw() - 1) / Math.sqrt(inputs));
}

/** Parameters by name, and how gradient descent changes them. */
class ToyModel {
  constructor(weights) {
    this.weights = weights;
    this.gradients = Object.fromEntries(Object.entries(weights).map(([name, values]) => [name, new Float64Array(values.length)]));
  }

  /** The mean squared error of words. */
  error(words, scores) {
    this.prepare();
    let sum = 0;
    for (let n = 0; n < words.length; n++) sum += (this.predict(words[n]) - scores[n]) ** 2;
    return sum / words.length;
  }

  /** The mean squared error of a batch; leaves its gradients. */
  backward(words, scores) {
    this.prepare();
    for (const gradient of Object.values(this.gradients)) gradient.fill(0);
    let sum = 0;
    for (let n = 0; n < words.length; n++) {
      const error = this.predict(words[n]) - scores[n];
      sum += error ** 2;
      this.collect(words[n], (2 * error) / words.length);
    }
    this.finish();
    return sum / words.length;
  }

  /** One step of stochastic gradient descent. */
  step(rate) {
    for (const [name, values] of Object.entries(this.weights)) {
      const gradient = this.gradients[name];
      for (let i = 0; i < values.length; i++) values[i] -= rate * gradient[i];
    }
  }
}

/** One weight for each base at each place, `linear.weight[4 x 8]`, and a bias. */
export class ToyLinear extends ToyModel {
  constructor(draw) {
    const size = 4 * TOY_LENGTH;
    super({ "linear.weight": firstWeights(size, size, draw), "linear.bias": firstWeights(1, size, draw) });
  }

  prepare() {}

  /** The score that the model gives a word. */
  predict(word) {
    const weight = this.weights["linear.weight"];
    let sum = this.weights["linear.bias"][0];
    for (let i = 0; i < TOY_LENGTH; i++) sum += weight[letterAt(word, i) * TOY_LENGTH + i];
    return sum;
  }

  /** Add what a word says about the gradients; `slope` is that of the loss for its prediction. */
  collect(word, slope) {
    const weight = this.gradients["linear.weight"];
    for (let i = 0; i < TOY_LENGTH; i++) weight[letterAt(word, i) * TOY_LENGTH + i] += slope;
    this.gradients["linear.bias"][0] += slope;
  }

  finish() {}
}

/**
 * Filters of width 3, a ReLU, and one weight for each filter at each place.
 *
 * A filter can meet only 64 words of three letters. So its answers are computed once for each of
 * them (`prepare`), a word of eight looks six of them up, and the gradients are gathered by place
 * and three letters (`collect`) before they go back through the filters (`finish`).
 */
export class ToyCNN extends ToyModel {
  constructor(filters, draw) {
    const outputs = TOY_PLACES * filters;
    super({
      "conv.weight": firstWeights(12 * filters, 12, draw), // [filters x 4 x 3]
      "conv.bias": firstWeights(filters, 12, draw),
      "linear.weight": firstWeights(outputs, outputs, draw), // [filters x 6]
      "linear.bias": firstWeights(1, outputs, draw),
    });
    this.filters = filters;
    this.answers = new Float64Array(64 * filters); // [three letters x filters], after the ReLU
    this.adds = new Float64Array(64 * TOY_PLACES); // [place x three letters], summed over filters
    this.slopes = new Float64Array(64 * TOY_PLACES); // of the loss, for each of `adds`
  }

  prepare() {
    const { filters, answers, adds } = this;
    const [conv, bias, linear] = ["conv.weight", "conv.bias", "linear.weight"].map((name) => this.weights[name]);
    this.slopes.fill(0);
    adds.fill(0);
    for (let three = 0; three < 64; three++) {
      const [first, second, third] = [3 * (three >> 4), 3 * ((three >> 2) & 3) + 1, 3 * (three & 3) + 2];
      for (let f = 0; f < filters; f++) {
        const answer = Math.max(0, bias[f] + conv[12 * f + first] + conv[12 * f + second] + conv[12 * f + third]);
        answers[three * filters + f] = answer;
        if (answer === 0) continue;
        for (let place = 0; place < TOY_PLACES; place++) adds[64 * place + three] += answer * linear[TOY_PLACES * f + place];
      }
    }
  }

  /** The score that the model gives a word, with the weights of the last `prepare`. */
  predict(word) {
    let sum = this.weights["linear.bias"][0];
    for (let place = 0; place < TOY_PLACES; place++) sum += this.adds[64 * place + threeAt(word, place)];
    return sum;
  }

  /** The weight that the last layer gives a filter, averaged over the places. */
  outputWeight(f) {
    const weights = this.weights["linear.weight"].subarray(TOY_PLACES * f, TOY_PLACES * (f + 1));
    return weights.reduce((sum, weight) => sum + weight, 0) / TOY_PLACES;
  }

  /** Whether a filter responds to none of the 64 words of three letters. */
  isSilent(f) {
    for (let three = 0; three < 64; three++) if (this.answers[three * this.filters + f] !== 0) return false;
    return true;
  }

  collect(word, slope) {
    for (let place = 0; place < TOY_PLACES; place++) this.slopes[64 * place + threeAt(word, place)] += slope;
    this.gradients["linear.bias"][0] += slope;
  }

  finish() {
    const { filters, answers, slopes, weights, gradients } = this;
    const [conv, bias, linear] = ["conv.weight", "conv.bias", "linear.weight"].map((name) => gradients[name]);
    for (let three = 0; three < 64; three++) {
      const [first, second, third] = [3 * (three >> 4), 3 * ((three >> 2) & 3) + 1, 3 * (three & 3) + 2];
      for (let f = 0; f < filters; f++) {
        const answer = answers[three * filters + f];
        if (answer === 0) continue; // the ReLU lets nothing back
        let back = 0;
        for (let place = 0; place < TOY_PLACES; place++) {
          const slope = slopes[64 * place + three];
          linear[TOY_PLACES * f + place] += slope * answer;
          back += slope * weights["linear.weight"][TOY_PLACES * f + place];
        }
        bias[f] += back;
        conv[12 * f + first] += back;
        conv[12 * f + second] += back;
        conv[12 * f + third] += back;
      }
    }
  }
}

/** Put numbers in a random order, in place. */
function shuffleWords(words, draw) {
  for (let i = words.length - 1; i > 0; i--) {
    const other = Math.floor(draw() * (i + 1));
    [words[i], words[other]] = [words[other], words[i]];
  }
}

/** Both models, their words, and the training batch by batch; `losses` holds one entry an epoch. */
export class ToyTraining {
  constructor({ filters = 32, tat = 10, gcg = -10, seed = 17 } = {}) {
    const draw = random(seed);
    const words = Uint16Array.from({ length: TOY_WORDS }, (_, word) => word);
    this.scoreOf = Float64Array.from(words, (word) => toyScore(word, { tat, gcg }));
    shuffleWords(words, draw);
    this.seed = seed;
    this.train = words.slice(0, TOY_TRAINING);
    this.valid = words.slice(TOY_TRAINING, TOY_TRAINING + TOY_VALIDATION);
    this.validScores = this.scores(this.valid);
    this.models = { linear: new ToyLinear(draw), CNN: new ToyCNN(filters, draw) };
    this.lost = new Set(); // models whose loss is no number any more
    this.losses = { linear: [], CNN: [] };
    this.epoch = 0;
    this.batch = 0; // of this epoch
    for (const name of Object.keys(this.models)) this.losses[name].push({ train: null, valid: this.validate(name) });
    this.begin();
  }

  /** The rule's scores of words. */
  scores(words) {
    const scores = new Float64Array(words.length);
    for (let n = 0; n < words.length; n++) scores[n] = this.scoreOf[words[n]];
    return scores;
  }

  /** Order the training words for the epoch that comes. */
  begin() {
    shuffleWords(this.train, random(1000 * this.seed + this.epoch));
    this.trainScores = this.scores(this.train);
    this.sums = { linear: 0, CNN: 0 };
    this.batch = 0;
  }

  /** The mean squared error of a model on the validation words. */
  validate(name) {
    return this.models[name].error(this.valid, this.validScores);
  }

  /** Batches in an epoch. */
  get batches() {
    return Math.ceil(TOY_TRAINING / TOY_BATCH);
  }

  /** How many epochs are over, with the part of the present one. */
  get epochs() {
    return this.epoch + this.batch / this.batches;
  }

  /** Mean of the losses of this epoch's batches so far; null before the first. */
  soFar(name) {
    const seen = Math.min(this.batch * TOY_BATCH, TOY_TRAINING);
    return seen ? this.sums[name] / seen : null;
  }

  /** One batch: each model that is not lost takes a step. */
  step(rate) {
    const [from, to] = [this.batch * TOY_BATCH, (this.batch + 1) * TOY_BATCH];
    const [words, scores] = [this.train.subarray(from, to), this.trainScores.subarray(from, to)];
    for (const [name, model] of Object.entries(this.models)) {
      if (this.lost.has(name)) continue;
      const loss = model.backward(words, scores);
      if (!(loss < TOO_LARGE)) this.lost.add(name);
      this.sums[name] += loss * words.length;
      model.step(rate);
    }
    this.batch += 1;
    if (this.batch < this.batches) return;
    for (const name of Object.keys(this.models)) {
      if (!this.lost.has(name)) this.losses[name].push({ train: this.soFar(name), valid: this.validate(name) });
    }
    this.epoch += 1;
    this.begin();
  }
}
