// Chapter 1, section 5: the linear model and the CNN learn the 8-mers while the reader looks on.

import { Refused, encode, field, figures, make, onWidth, readInput, readNumber, readSequence, write } from "./core.js";
import { drawLogo, letterStacks, newLogo, reachOf, tallest } from "./logos.js";
import { MODELS, ROUND, drawLosses, newCurves, writeLoss } from "./losses.js";
import { ToyTraining } from "./toy.js";

const SLICE = 12; // milliseconds of learning in one frame
const MOST_BATCHES = 5; // in a millisecond, so that a round takes some seconds
const SETTINGS = {
  rate: { label: "Learning rate", name: "learning rate", least: 0.00001, most: 10, first: 0.01 },
  filters: { label: "Filters", name: "number of filters", least: 1, most: 64, whole: true, first: 32 },
  tat: { label: "Bonus of TAT", name: "bonus of TAT", least: -100, most: 100, first: 10 },
  gcg: { label: "Bonus of GCG", name: "bonus of GCG", least: -100, most: 100, first: -10 },
  seed: { label: "Seed", name: "seed", least: 0, most: 999999, whole: true, first: 17 },
};

/** The number of a word of eight letters. */
const wordNumber = (letters) => encode(letters).reduce((number, code) => 4 * number + code, 0);

/** Draw what the models say of the reader's words, beside the rule. */
function drawWords(rows, training) {
  for (const row of rows) {
    const said = row.word == null ? [null, null, null] : [training.scoreOf[row.word], ...MODELS.map((name) => training.models[name].predict(row.word))];
    row.cells.forEach((cell, i) => (cell.textContent = said[i] == null || !(Math.abs(said[i]) < 1e5) ? "–" : write(Number(said[i].toFixed(6)), 1))) // 16.249999 as the rule's 16.25;
  }
}

/** Four rows of weights, from a place in a tensor on. */
const fourRows = (values, from, columns) => [0, 1, 2, 3].map((c) => Array.from(values.subarray(from + c * columns, from + (c + 1) * columns)));

/** Draw the linear model's weights and the filters as letters; describe them where asked to. */
function drawFilters(parts, training, describe) {
  const { linear, CNN } = training.models;
  const whole = letterStacks(fourRows(linear.weights["linear.weight"], 0, 8));
  drawLogo(parts.linearLogo, whole, reachOf(whole));
  const stacks = parts.tiles.map((_, f) => letterStacks(fourRows(CNN.weights["conv.weight"], 12 * f, 3)));
  const reach = Math.max(...stacks.map(reachOf));
  const silent = parts.tiles.map((_, f) => CNN.isSilent(f));
  parts.tiles.forEach(({ logo, tile, used }, f) => {
    drawLogo(logo, stacks[f], reach);
    tile.classList.toggle("tss-train-silent", silent[f]);
    used.textContent = silent[f] ? "silent" : write(CNN.outputWeight(f), 1);
    if (describe) tile.setAttribute("aria-label", `filter ${f}: ${tallest(stacks[f])}, ${used.textContent}`);
  });
  const count = silent.filter(Boolean).length;
  parts.silent.textContent = count === CNN.filters ? "All are silent: no gradient comes back through the ReLU." : count ? `${count} of ${CNN.filters} respond to no word.` : "";
  if (describe) parts.linear.setAttribute("aria-label", `the linear model's tallest letters: ${tallest(whole)}`);
}

// --- the page's parts -----------------------------------------------------------------------------

/** The parts of the figure that stay. */
function trainParts(given) {
  const input = ({ first, least, most }) => make("input", { type: "number", step: "any", min: least, max: most, value: first });
  const button = (text) => make("button", { type: "button" }, text);
  const linearLogo = newLogo(8, 240, 70);
  const rows = given.words.map((word, i) => ({
    input: make("textarea", { rows: 1, cols: 10, spellcheck: "false", autocomplete: "off", "aria-label": `Word ${i + 1}` }, word),
    cells: ["rule", ...MODELS].map(() => make("td")),
  }));
  return {
    inputs: Object.fromEntries(Object.entries(SETTINGS).map(([name, setting]) => [name, input(setting)])),
    go: button("Train"),
    step: button("Step"),
    reset: button("Reset"),
    now: make("p", { class: "tss-train-now" }),
    status: make("p", { role: "status", class: "tss-train-status" }),
    alert: make("p", { role: "alert" }),
    curves: newCurves(),
    rows,
    linearLogo,
    linear: make("div", { role: "img" }, linearLogo.svg),
    silent: make("span"),
    stored: make("span", {}, " Pale: the run stored in this chapter; dotted: the best linear model."),
    filters: make("div", { class: "tss-train-filters" }),
    tiles: [],
  };
}

/** Put the parts into the box, in reading order. */
function layOutTrain(box, parts) {
  const heading = (text) => make("th", { scope: "col" }, text);
  const head = make("tr", {}, ...["word", "rule", ...MODELS].map(heading));
  const body = parts.rows.map((row) => make("tr", {}, make("td", {}, row.input), ...row.cells));
  const words = make("table", { class: "tss-train-words" }, make("caption", {}, "Predictions"), make("thead", {}, head), make("tbody", {}, ...body));
  const title = (...text) => make("p", { class: "tss-train-title" }, ...text);
  box.append(
    make("div", { class: "tss-row" }, ...Object.entries(SETTINGS).map(([name, { label }]) => field(label, parts.inputs[name]))),
    make("div", { class: "tss-row" }, parts.go, parts.step, parts.reset, parts.now),
    parts.alert,
    parts.status,
    parts.curves.svg,
    make("p", { class: "tss-train-legend" }, "Solid: validation loss; dashed: training loss.", parts.stored),
    make("div", { class: "tss-train-two" }, words, make("div", {}, title("The linear model, place by place"), parts.linear)),
    title("The filters, and under each the weight that the last layer gives it, averaged over the places. ", parts.silent),
    parts.filters
  );
}

/** Make a tile for each filter of a new network. */
function newTiles(parts, filters) {
  parts.tiles = Array.from({ length: filters }, () => {
    const [logo, used] = [newLogo(3, 60, 56), make("span")];
    return { logo, used, tile: make("div", { class: "tss-train-tile", role: "img" }, logo.svg, used) };
  });
  parts.filters.replaceChildren(...parts.tiles.map(({ tile }) => tile));
}

// --- training -------------------------------------------------------------------------------------

/** The figure's state and what its buttons do. */
class TrainFigure {
  constructor(box, given) {
    this.given = given;
    this.parts = trainParts(given);
    this.size = { width: 600, height: 240 };
    this.between = matchMedia("(prefers-reduced-motion: reduce)").matches ? 500 : 50; // ms, of two drawings
    layOutTrain(box, this.parts);
    this.listen();
    this.rows();
    this.reset();
    onWidth(box, (width) => {
      this.size = { width, height: width < 420 ? 200 : 240 };
      this.draw();
    });
  }

  /** Let inputs and buttons do something. */
  listen() {
    const { inputs, go, step, reset, rows } = this.parts;
    for (const [name, input] of Object.entries(inputs)) {
      input.addEventListener("change", () => (name === "rate" ? this.settings() : this.reset()));
    }
    go.addEventListener("click", () => (this.running ? this.pause("Paused.") : this.start()));
    step.addEventListener("click", () => this.one());
    reset.addEventListener("click", () => this.reset());
    for (const { input } of rows) input.addEventListener("input", () => this.rows());
  }

  /** Run something that may refuse what the reader typed; say so, and whether it went well. */
  tried(action) {
    try {
      action();
      this.parts.alert.textContent = "";
      return true;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.parts.alert.textContent = error.message;
      return false;
    }
  }

  /** Read the settings; those of the network count from the next reset on. */
  settings() {
    return this.tried(() => {
      const read = ([name, limits]) => [name, readInput(this.parts.inputs[name], (text) => readNumber(text, limits.name, limits))];
      this.wanted = Object.fromEntries(Object.entries(SETTINGS).map(read));
    });
  }

  /** Read the words; one that is refused has no predictions. */
  rows() {
    const read = (text) => wordNumber(readSequence(text, { least: 8, most: 8 }));
    const refused = [];
    this.parts.rows.forEach((row, i) => {
      row.word = null;
      if (!this.tried(() => (row.word = readInput(row.input, read)))) refused.push(`Word ${i + 1}: ${this.parts.alert.textContent}`);
    });
    this.parts.alert.textContent = refused[0] ?? "";
    if (this.training) this.draw();
  }

  /** Begin anew, from random weights. */
  reset() {
    this.pause("");
    if (!this.settings()) return;
    this.training = new ToyTraining(this.wanted);
    this.isChapters = this.wanted.tat === SETTINGS.tat.first && this.wanted.gcg === SETTINGS.gcg.first;
    this.until = ROUND;
    this.known = 0; // how many are lost, as the reader knows
    newTiles(this.parts, this.wanted.filters);
    this.draw();
  }

  /** Train until the round is over. */
  start() {
    if (!this.settings()) return;
    if (this.training.epoch >= this.until) this.until += ROUND;
    this.running = true;
    this.parts.go.textContent = "Pause";
    this.parts.status.textContent = "Training.";
    const now = performance.now();
    this.next = requestAnimationFrame((time) => this.frame(time, now));
  }

  /** Stop, and say something. */
  pause(said) {
    this.running = false;
    cancelAnimationFrame(this.next);
    if (this.training) this.draw();
    this.parts.go.textContent = "Train";
    this.parts.status.textContent = said;
  }

  /** One batch of 128 words, at the reader's wish. */
  one() {
    this.pause("");
    if (!this.settings()) return;
    this.training.step(this.wanted.rate);
    this.draw();
    this.parts.status.textContent = `One step, on one batch of words: ${this.said()}.`;
    this.stopIfLost();
  }

  /**
   * Learn for a while, and draw now and then. The first batches take their time, because there is
   * most to see; `last` is when the frame before this one began.
   */
  frame(time, last) {
    const { training } = this;
    const pace = Math.min(MOST_BATCHES, 0.06 + (training.epochs * training.batches) / 800);
    let left = Math.ceil(pace * Math.min(100, time - last));
    const end = performance.now() + SLICE;
    do training.step(this.wanted.rate);
    while (--left > 0 && performance.now() < end && training.epoch < this.until);
    if (!(time - this.drawn < this.between)) {
      this.drawn = time;
      this.draw();
    }
    if (this.stopIfLost()) return;
    if (training.epoch < this.until) this.next = requestAnimationFrame((then) => this.frame(then, time));
    else this.pause(`${training.epoch} epochs are done: ${this.said()}.`);
  }

  /** Stop with a sentence where a loss became no number; say whether it did. */
  stopIfLost() {
    const lost = MODELS.filter((name) => this.training.lost.has(name));
    const news = lost.length > this.known;
    this.known = lost.length;
    if (news) {
      this.pause("");
      this.parts.alert.textContent = `The loss of the ${lost.map((name) => (name === "linear" ? "linear model" : "CNN")).join(" and of the ")} is no longer a number: each step overshot farther than the one before. Take a smaller learning rate, and reset.`;
    }
    return news;
  }

  /** Both validation losses in words. */
  said() {
    return MODELS.map((name) => `${name} ${writeLoss(this.now[name])}`).join(", ");
  }

  /** Draw the state of the training. */
  draw() {
    const { training, parts } = this;
    this.now = Object.fromEntries(MODELS.map((name) => [name, training.validate(name)]));
    parts.now.textContent = `epoch ${training.epoch}, batch ${training.batch} of ${training.batches} · validation MSE: ${this.said()}`;
    parts.curves.svg.setAttribute("aria-label", `Loss curves over ${training.epoch} epochs; validation loss now: ${this.said()}`);
    parts.stored.hidden = !this.isChapters;
    drawLosses(parts.curves, training, this.now, this.isChapters && this.given, this.size);
    drawWords(parts.rows, training);
    drawFilters(parts, training, !this.running);
  }
}

figures.train = async (box, given) => {
  new TrainFigure(box, given);
};
