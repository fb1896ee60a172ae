// What a SimpleNet has learned: its motifs as logos, and what each does at every distance.

import { drawAxes } from "./axes.js";
import { LETTERS, field, figures, loadWeights, make, onWidth, write } from "./core.js";
import { LETTER_SHAPES } from "./logos.js";

const EFFECT_REACH = 300; // bases to either side that an effect reaches

/** The effects of one channel on one track of a SimpleNet, by distance from -300 to 300. */
export function effectCurve({ shape: [, channels, width], values }, channel, track) {
  const start = (track * channels + channel) * width;
  return values.slice(start, start + width).reverse();
}

/** A logo of heights `(4, width)`, letters of one place on top of one another, the largest on top. */
function logo(heights, { width, height, label }) {
  const columns = heights[0].length;
  const sums = heights[0].map((_, j) => heights.reduce((sum, row) => sum + row[j], 0));
  const scale = height / Math.max(...sums);
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label });
  const wide = width / columns;
  for (let j = 0; j < columns; j++) {
    let y = height;
    for (const base of [0, 1, 2, 3].sort((a, b) => heights[a][j] - heights[b][j])) {
      const tall = heights[base][j] * scale;
      if (tall < 0.5) continue;
      y -= tall;
      const place = `translate(${j * wide + 0.5} ${y}) scale(${(wide - 1) / 100} ${tall / 100})`;
      svg.append(make("path", { d: LETTER_SHAPES[base], class: `tss-letter-${LETTERS[base]}`, transform: place }));
    }
  }
  return svg;
}

/**
 * `given`: `{network, tracks, pairs, motifs: [{channel, name, note, logo}]}`: `pairs` are names of two
 * tracks, that of the motif's own strand first; `channel` reads the motif as `logo` has it, 4 rows of
 * heights.
 */
figures.motifs = async (box, given) => {
  const { tensors } = await loadWeights(given.network);
  const weight = tensors["deconv.weight"];
  let [chosen, pair, distance, flipped] = [0, 0, 0, false];
  const place = make("div", { class: "tss-motif-logo", tabindex: 0, role: "group", "aria-label": "Letters of the motif; arrow keys scroll where they do not fit" });
  const svg = make("svg", { class: "tss-touch" });
  const frame = make("div", { class: "tss-frame" }, svg);
  const said = make("p", { "aria-live": "polite", class: "tss-said" });
  const keys = ["tss-plus-key", "tss-minus-key"].map((name) => make("span", { class: name }));
  const filters = tensors["conv.weight"].shape[0];
  const cursor = make("line", { class: "tss-cursor" });
  let axes = null; // of the drawing

  const curvesOf = () => {
    const channel = (given.motifs[chosen].channel + (flipped ? filters : 0)) % (2 * filters);
    return given.pairs[pair].map((name) => effectCurve(weight, channel, given.tracks.indexOf(name)));
  };

  const largest = Math.max(...given.motifs.flatMap(({ channel }) => given.pairs.flat().map((name) =>
    Math.max(...effectCurve(weight, channel, given.tracks.indexOf(name)).map(Math.abs)))));

  function draw(width) {
    const label = `Effect of ${given.motifs[chosen].name} on ${given.pairs[pair].join(" and ")} by distance`;
    const y = { from: -largest / 2, to: largest, title: "effect, before the softplus" };
    const x = { from: -EFFECT_REACH, to: EFFECT_REACH, title: "distance from the motif, bp" };
    axes = drawAxes(svg, { x, y, width, height: 280, label });
    axes.plot.append(make("line", { x1: axes.x(-EFFECT_REACH), x2: axes.x(EFFECT_REACH), y1: axes.y(0), y2: axes.y(0), class: "tss-zero" }));
    curvesOf().forEach((curve, i) => {
      const points = Array.from(curve, (value, j) => `${axes.x(j - EFFECT_REACH).toFixed(1)},${axes.y(value).toFixed(1)}`);
      axes.plot.append(make("polyline", { points: points.join(" "), class: i ? "tss-minus-curve" : "tss-plus-curve" }));
    });
    cursor.setAttribute("y1", axes.y(y.from));
    cursor.setAttribute("y2", axes.y(y.to));
    axes.plot.append(cursor);
    showDistance();
  }

  /** Show a distance on the curves, and say what they are there. */
  function showDistance() {
    for (const end of ["x1", "x2"]) if (axes) cursor.setAttribute(end, axes.x(distance));
    const motif = given.motifs[chosen];
    const values = curvesOf().map((curve) => write(curve[distance + EFFECT_REACH]));
    const where = distance === 0 ? "At the motif" : `${Math.abs(distance)} bases ${distance > 0 ? "downstream" : "upstream"}`;
    said.textContent = `${motif.name}${motif.note ? ` (${motif.note})` : ""}. ${where}: ${given.pairs[pair].map((name, i) => `${name} ${values[i]}`).join(", ")}.`;
  }

  /** Go to a distance. */
  function go(to) {
    distance = Math.min(EFFECT_REACH, Math.max(-EFFECT_REACH, Math.round(to)));
    slider.value = distance;
    showDistance();
  }

  /** Go to where the pointer is. */
  function point(event) {
    if (event.type === "pointermove" && !event.buttons) return;
    const [from, to] = [axes.x(-EFFECT_REACH), axes.x(EFFECT_REACH)];
    const at = event.clientX - svg.getBoundingClientRect().left;
    go(-EFFECT_REACH + ((at - from) / (to - from)) * 2 * EFFECT_REACH);
  }

  /** Show another motif, pair of tracks or strand, where the first track's curve is farthest from 0. */
  function show() {
    const motif = given.motifs[chosen];
    const shown = flipped ? motif.logo.map((row) => [...row].reverse()).reverse() : motif.logo;
    place.replaceChildren(logo(shown, { width: 22 * shown[0].length, height: 84, label: `Logo of ${motif.name}` }));
    keys.forEach((key, i) => { key.textContent = `${["solid", "dashed"][i]}: ${given.pairs[pair][i]}`; });
    redraw();
    const sizes = curvesOf()[0].map(Math.abs);
    go(sizes.indexOf(Math.max(...sizes)) - EFFECT_REACH);
  }

  const option = (text, value) => make("option", { value }, text);
  const choose = (label, texts, set) =>
    field(label, make("select", { onchange: (event) => { set(+event.target.value); show(); } }, ...texts.map(option)));
  const slider = make("input", { type: "range", min: -EFFECT_REACH, max: EFFECT_REACH, step: 1, value: 0, class: "tss-wide", "aria-label": "Distance from the motif, in bases", oninput: () => go(+slider.value) });
  svg.addEventListener("pointerdown", point);
  svg.addEventListener("pointermove", point);
  const turn = make("button", { type: "button", "aria-pressed": "false", onclick: () => {
    flipped = !flipped;
    turn.setAttribute("aria-pressed", flipped);
    show();
  } }, "Other strand");
  box.append(
    make("div", { class: "tss-row" },
      choose("Motif", given.motifs.map(({ name }) => name), (i) => { chosen = i; }),
      choose("Tracks", given.pairs.map((names) => names.join(" and ")), (i) => { pair = i; }), turn),
    place, frame, make("div", { class: "tss-row" }, slider),
    make("p", { class: "tss-legend" }, ...keys),
    said);
  const redraw = onWidth(frame, draw);
  show();
};
