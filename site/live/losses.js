// The loss curves of Chapter 1's live training: the reader's run over the chapter's own.

import { make, setSize } from "./core.js";

export const MODELS = ["linear", "CNN"];
export const ROUND = 50; // epochs of a round, after which the training pauses

/** A loss as it is written: three digits, and limits instead of powers of ten. */
export function writeLoss(value) {
  if (value == null || !Number.isFinite(value)) return "–";
  if (value >= 1e5) return "over 100,000";
  return value < 0.00001 ? "under 0.00001" : value >= 100 ? value.toFixed(0) : value >= 0.001 ? value.toPrecision(3) : value.toFixed(5);
}

/** The axes of the loss curves: where an epoch and a loss lie. */
function lossAxes(training, size) {
  const all = MODELS.flatMap((name) => training.losses[name].map((entry) => entry.valid)).filter((loss) => loss > 0);
  const [low, high] = [Math.max(-5, Math.floor(Math.log10(Math.min(0.1, ...all)))), 3];
  const epochs = ROUND * Math.max(1, Math.ceil(training.epochs / ROUND));
  const [left, right, top, bottom] = [60, size.width - 8, 8, size.height - 34];
  const x = (epoch) => left + ((right - left) * epoch) / epochs;
  const y = (loss) => bottom - ((bottom - top) * (Math.min(high, Math.max(low, Math.log10(loss))) - low)) / (high - low);
  return { low, high, epochs, left, right, bottom, x, y };
}

/** The points of a curve, for a polyline. */
const pointsOf = (points, { x, y }) => points.map(([epoch, loss]) => `${x(epoch).toFixed(1)},${y(loss).toFixed(1)}`).join(" ");

/** Draw what lies behind the curves: axes, the chapter's own run, the best linear model. */
function drawBehind(group, axes, given) {
  const { low, high, epochs, left, right, bottom, x, y } = axes;
  const parts = [];
  const text = (at, label, anchor = "middle") => parts.push(make("text", { ...at, "text-anchor": anchor }, label));
  for (let power = low; power <= high; power++) {
    const height = y(10 ** power);
    parts.push(make("line", { x1: left, x2: right, y1: height, y2: height, class: "tss-train-grid" }));
    text({ x: left - 6, y: height }, power < 0 ? (10 ** power).toFixed(-power) : (10 ** power).toLocaleString("en"), "end");
  }
  for (let epoch = 0; epoch <= epochs; epoch += epochs / 5) text({ x: x(epoch), y: bottom + 14 }, epoch);
  text({ x: (left + right) / 2, y: bottom + 28 }, "epoch");
  const line = (points, look) => parts.push(make("polyline", { class: look, points: pointsOf(points, axes) }));
  if (given) {
    line([[0, given.limit], [epochs, given.limit]], "tss-train-limit");
    for (const name of MODELS) line(given[name].map((loss, i) => [i + 1, loss]), `tss-train-${name} tss-train-given`);
  }
  group.replaceChildren(...parts);
}

/** Draw both models' losses over the epochs; `given` is the chapter's own run, if it had this rule. */
export function drawLosses(curves, training, now, given, size) {
  const axes = lossAxes(training, size);
  const look = JSON.stringify([axes, !given]); // the rest changes in each frame
  if (curves.look !== look) {
    curves.look = look;
    setSize(curves.svg, size.width, size.height);
    drawBehind(curves.behind, axes, given);
  }
  const ends = [];
  for (const name of MODELS) {
    const { seen, valid } = curves[name];
    const losses = training.losses[name].map((entry, epoch) => [epoch, entry.valid]);
    if (Number.isFinite(now[name])) losses.push([training.epochs, now[name]]);
    valid.setAttribute("points", pointsOf(losses, axes));
    seen.setAttribute("points", pointsOf(training.losses[name].map((entry, epoch) => [epoch, entry.train]).slice(1), axes));
    ends.push({ name, x: axes.x(losses.at(-1)[0]), y: axes.y(losses.at(-1)[1]) });
  }
  placeLabels(curves, ends, axes);
}

/** Name the curves at their ends: the upper one above, the lower one below, not one on the other. */
function placeLabels(curves, ends, { right, bottom }) {
  const [upper, lower] = ends.sort((a, b) => a.y - b.y);
  lower.y = Math.min(lower.y + 10, bottom - 8);
  upper.y = Math.min(upper.y - 9, lower.y - 14);
  for (const { name, x, y } of ends) {
    const turn = x > right - 60;
    curves[name].label.setAttribute("transform", `translate(${(x + (turn ? -4 : 4)).toFixed(1)} ${y.toFixed(1)})`);
    curves[name].label.setAttribute("text-anchor", turn ? "end" : "start");
  }
}

/** The picture of the loss curves, still empty. */
export function newCurves() {
  const behind = make("g");
  const curve = (name) => ({
    seen: make("polyline", { class: `tss-train-${name} tss-train-seen` }),
    valid: make("polyline", { class: `tss-train-${name}` }),
    label: make("text", { class: `tss-train-${name}` }, name),
  });
  const curves = Object.fromEntries(MODELS.map((name) => [name, curve(name)]));
  const lines = MODELS.flatMap((name) => Object.values(curves[name]));
  return { ...curves, behind, svg: make("svg", { class: "tss-train-curves", role: "img" }, behind, ...lines) };
}
