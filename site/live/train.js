// Chapter 1, section 5: the linear model and the CNN learn the 8-mers while the reader looks on.

import { Refused, encode, field, figures, make, readInput, readNumber, readSequence, write } from "./core.js";
import { drawLogo, letterStacks, newLogo, reachOf, tallest } from "./logos.js";
import { ToyTraining } from "./toy.js";

const ROUND = 50; // epochs after which the training pauses
const SLICE = 12; // milliseconds of learning in one frame
const MOST_BATCHES = 82; // in one frame, a quarter of an epoch
const MODELS = ["linear", "CNN"];
const SETTINGS = {
  rate: { label: "Learning rate", name: "learning rate", least: 0.00001, most: 10, first: 0.01 },
  filters: { label: "Filters", name: "number of filters", least: 1, most: 64, whole: true, first: 32 },
  tat: { label: "Bonus of TAT", name: "bonus of TAT", least: -100, most: 100, first: 10 },
  gcg: { label: "Bonus of GCG", name: "bonus of GCG", least: -100, most: 100, first: -10 },
  seed: { label: "Seed", name: "seed", least: 0, most: 999999, whole: true, first: 17 },
};

/** The number of a word of eight letters. */
const wordNumber = (letters) => encode(letters).reduce((number, code) => 4 * number + code, 0);

/** A loss as it is written: three digits, and limits instead of powers of ten. */
function writeLoss(value) {
  if (value == null || !Number.isFinite(value)) return "–";
  if (value >= 1e5) return "over 100,000";
  return value < 0.001 ? "under 0.001" : value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

/** The loss curves' axes: the range of epochs, and decades of loss. */
function lossRange(training) {
  const all = MODELS.flatMap((name) => training.losses[name].map((entry) => entry.valid)).filter((loss) => loss > 0);
  const lowest = Math.min(0.1, ...all);
  const epochs = ROUND * Math.max(1, Math.ceil(training.epochs / ROUND));
  return { epochs, low: Math.max(-4, Math.floor(Math.log10(lowest))), high: 3 };
}

/** Draw both models' losses over the epochs, over those of the chapter's own run. */
function drawLosses(svg, training, now, given, size) {
  const { epochs, low, high } = lossRange(training);
  const [left, right, top, bottom] = [52, size.width - 8, 8, size.height - 34];
  const x = (epoch) => left + ((right - left) * epoch) / epochs;
  const y = (loss) => bottom - ((bottom - top) * (Math.min(high, Math.max(low, Math.log10(loss))) - low)) / (high - low);
  const line = (points, look) => make("polyline", { ...look, points: points.map(([e, l]) => `${x(e).toFixed(1)},${y(l).toFixed(1)}`).join(" ") });
  const parts = [];
  for (let power = low; power <= high; power++) {
    const label = power < 0 ? (10 ** power).toFixed(-power) : (10 ** power).toLocaleString("en");
    parts.push(make("line", { x1: left, x2: right, y1: y(10 ** power), y2: y(10 ** power), class: "tss-train-grid" }));
    parts.push(make("text", { x: left - 6, y: y(10 ** power), "text-anchor": "end" }, label));
  }
  for (let epoch = 0; epoch <= epochs; epoch += epochs / 5) parts.push(make("text", { x: x(epoch), y: bottom + 14, "text-anchor": "middle" }, epoch));
  parts.push(make("text", { x: (left + right) / 2, y: bottom + 28, "text-anchor": "middle" }, "epoch"));
  if (training.isChapters) {
    parts.push(line([[0, given.limit], [epochs, given.limit]], { class: "tss-train-limit" }));
    for (const name of MODELS) parts.push(line(given[name].map((loss, i) => [i + 1, loss]), { class: `tss-train-${name} tss-train-given` }));
  }
  for (const name of MODELS) {
    const losses = training.losses[name];
    const valid = losses.map((entry, epoch) => [epoch, entry.valid]);
    if (Number.isFinite(now[name])) valid.push([training.epochs, now[name]]);
    const seen = losses.map((entry, epoch) => [epoch, entry.train]).slice(1);
    parts.push(line(seen, { class: `tss-train-${name} tss-train-seen` }), line(valid, { class: `tss-train-${name}` }));
    const [epoch, loss] = valid.at(-1);
    const end = x(epoch) > right - 60;
    parts.push(make("text", { x: x(epoch) + (end ? -4 : 4), y: y(loss) + (name === "CNN" ? 10 : -9), "text-anchor": end ? "end" : "start", class: `tss-train-${name}` }, name));
  }
  svg.setAttribute("width", size.width);
  svg.setAttribute("height", size.height);
  svg.replaceChildren(...parts);
}

/** Draw what the models say of the reader's words, beside the rule. */
function drawWords(rows, training) {
  for (const row of rows) {
    const said = row.word == null ? [null, null, null] : [training.scoreOf[row.word], ...MODELS.map((name) => training.models[name].predict(row.word))];
    row.cells.forEach((cell, i) => (cell.textContent = said[i] == null || !(Math.abs(said[i]) < 1e5) ? "–" : write(said[i], 1)));
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
    curves: make("svg", { class: "tss-train-curves", role: "img" }),
    rows,
    linearLogo,
    linear: make("div", { role: "img" }, linearLogo.svg),
    silent: make("span"),
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
  const legend = "Solid: validation loss; dashed: training loss. Pale: the run stored in this chapter; dotted: the best linear model.";
  const title = (...text) => make("p", { class: "tss-train-title" }, ...text);
  box.append(
    make("div", { class: "tss-row" }, ...Object.entries(SETTINGS).map(([name, { label }]) => field(label, parts.inputs[name]))),
    make("div", { class: "tss-row" }, parts.go, parts.step, parts.reset, parts.now),
    parts.alert,
    parts.status,
    parts.curves,
    make("p", { class: "tss-train-legend" }, legend),
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
    this.calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    layOutTrain(box, this.parts);
    this.listen();
    this.rows();
    this.reset();
    new ResizeObserver(([{ contentRect }]) => {
      if (contentRect.width < 100 || contentRect.width === this.size.width) return; // 0 while hidden
      this.size = { width: contentRect.width, height: contentRect.width < 420 ? 200 : 240 };
      this.draw();
    }).observe(box);
  }

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
    this.training.isChapters = this.wanted.tat === SETTINGS.tat.first && this.wanted.gcg === SETTINGS.gcg.first;
    this.until = ROUND;
    this.known = 0; // how many are lost, as the reader knows
    newTiles(this.parts, this.wanted.filters);
    this.draw();
  }

  start() {
    if (!this.settings()) return;
    if (this.training.epoch >= this.until) this.until += ROUND;
    this.running = true;
    this.parts.go.textContent = "Pause";
    this.parts.status.textContent = "Training.";
    requestAnimationFrame((time) => this.frame(time));
  }

  pause(said) {
    this.running = false;
    if (this.training) this.draw();
    this.parts.go.textContent = "Train";
    this.parts.status.textContent = said;
  }

  /** One batch of 128 words, at the reader's wish. */
  one() {
    this.running = false;
    if (!this.settings()) return this.pause("");
    this.training.step(this.wanted.rate);
    this.pause("");
    this.parts.status.textContent = `One step, on one batch. ${this.said()}`;
    this.stopIfLost();
  }

  /**
   * As much learning as a frame has time for, then the drawing. The first frames take one batch
   * each, because there is most to see; those who want little motion get two drawings a second.
   */
  frame(time) {
    if (!this.running) return;
    const { training } = this;
    const seen = training.epoch * training.batches + training.batch;
    let left = Math.min(MOST_BATCHES, 1 + Math.floor(seen / 50));
    const end = performance.now() + SLICE;
    do training.step(this.wanted.rate);
    while (--left > 0 && performance.now() < end && training.epoch < this.until);
    if (!this.calm || !(time - this.drawn < 500)) {
      this.drawn = time;
      this.draw();
    }
    if (this.stopIfLost()) return;
    if (training.epoch < this.until) requestAnimationFrame((next) => this.frame(next));
    else this.pause(`${training.epoch} epochs are done. ${this.said()}`);
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
    const losses = MODELS.map((name) => `${name} ${writeLoss(this.now[name])}`);
    return `Mean squared error on the validation words: ${losses.join(", ")}.`;
  }

  draw() {
    const { training, parts } = this;
    this.now = Object.fromEntries(MODELS.map((name) => [name, training.validate(name)]));
    parts.now.textContent = `epoch ${training.epoch}, batch ${training.batch} of ${training.batches} · validation MSE: ${MODELS.map((name) => `${name} ${writeLoss(this.now[name])}`).join(", ")}`;
    parts.curves.setAttribute("aria-label", `Loss curves over ${training.epoch} epochs. ${this.said()}`);
    drawLosses(parts.curves, training, this.now, this.given, this.size);
    drawWords(parts.rows, training);
    drawFilters(parts, training, !this.running);
  }
}

figures.train = async (box, given) => {
  new TrainFigure(box, given);
};
