// A scatter plot whose points have names: touch one, or look one up.

import { drawAxes } from "./axes.js";
import { Refused, field, figures, make, onWidth, write } from "./core.js";

/** The index of the point nearest to a place in pixels, or -1 if none is within `reach`. */
export function nearest(places, x, y, reach = 24) {
  let [best, found] = [reach * reach, -1];
  places.forEach(([px, py], i) => {
    const distance = (px - x) ** 2 + (py - y) ** 2;
    if (distance < best) [best, found] = [distance, i];
  });
  return found;
}

/** The index of a name, in any case; throws `Refused` for one that is not there. */
export function lookUp(names, asked) {
  const wanted = asked.trim().toLowerCase();
  if (!wanted) throw new Refused("There is no name; type one, or touch a point.");
  const found = names.findIndex((name) => name.toLowerCase() === wanted);
  if (found >= 0) return found;
  const near = names.filter((name) => name.toLowerCase().startsWith(wanted)).slice(0, 3);
  const said = asked.trim().slice(0, 20);
  throw new Refused(`There is no “${said}” here; ${near.length ? `did you mean ${near.join(", ")}?` : `try ${names[0]}.`}`);
}

/** A number as a reader wants it: two or three digits that count. */
export function threeDigits(value) {
  if (value >= 100) return Math.round(value).toLocaleString("en");
  const digits = value >= 10 ? 1 : value >= 0.1 || value === 0 ? 2 : 1 - Math.floor(Math.log10(value));
  return write(value, digits);
}

/**
 * `given`: `{names, series: {name: {x, y}}, x, y, what}`, with the titles of the axes in `x`
 * and `y`, `what` a point is, and values that are added 1 to before their logarithm is drawn.
 */
figures.points = (box, given) => {
  let series = Object.keys(given.series)[0];
  let marked = -1;
  let places = [];
  const svg = make("svg", { class: "tss-touch" });
  const ring = make("g"); // around the point that is marked, with its name
  const said = make("p", { "aria-live": "polite", class: "tss-said" });
  const alert = make("p", { role: "alert" });
  const asked = make("input", { type: "search", size: 12, maxlength: 40, autocomplete: "off", spellcheck: "false" });

  const all = Object.values(given.series).flatMap((one) => [...one.x, ...one.y]);
  const to = 10 ** Math.ceil(Math.log10(Math.max(...all) + 1) + 0.05);

  function draw(width) {
    const axis = { from: 0.8, to, log: true };
    const height = Math.min(width, 420);
    const label = `${given.y} against ${given.x}, ${series}; ${given.names.length} points`;
    const { x, y, plot } = drawAxes(svg, { x: { ...axis, title: given.x }, y: { ...axis, title: given.y }, width, height, label });
    plot.append(make("line", { x1: x(axis.from), y1: y(axis.from), x2: x(to), y2: y(to), class: "tss-diagonal" }));
    places = given.names.map((_, i) => [x(given.series[series].x[i] + 1), y(given.series[series].y[i] + 1)]);
    for (const [cx, cy] of places) plot.append(make("circle", { cx, cy, r: 3, class: "tss-point" }));
    plot.append(ring);
    showRing();
  }

  /** Put the ring around the marked point; the other points stay as they are. */
  function showRing() {
    if (marked < 0 || !places.length) return;
    const [cx, cy] = places[marked];
    const left = cx > svg.clientWidth / 2;
    ring.replaceChildren(
      make("circle", { cx, cy, r: 7, class: "tss-marked" }),
      make("text", { x: cx + (left ? -11 : 11), y: cy + 4, "text-anchor": left ? "end" : "start", class: "tss-name" }, given.names[marked])
    );
  }

  function mark(i) {
    marked = i;
    alert.textContent = "";
    const { x, y } = given.series[series];
    said.textContent = i < 0 ? `Touch a point, or look up a ${given.what}.`
      : `${given.names[i]}: ${threeDigits(x[i])} measured, ${threeDigits(y[i])} predicted, ${threeDigits((y[i] + 1) / (x[i] + 1))} times as many (1 added to both).`;
    showRing();
  }

  function find(event) {
    event.preventDefault();
    try {
      mark(lookUp(given.names, asked.value));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      alert.textContent = error.message;
    }
  }

  /** The next point by measured value, for those who use the keyboard. */
  function step(by) {
    const values = given.series[series].x;
    const order = values.map((_, i) => i).sort((a, b) => values[a] - values[b]);
    const at = marked < 0 ? -1 : order.indexOf(marked);
    mark(order[Math.min(order.length - 1, Math.max(0, at + by))]);
  }

  function touch(event) {
    const area = svg.getBoundingClientRect();
    const found = nearest(places, event.clientX - area.left, event.clientY - area.top);
    if (found >= 0 && found !== marked) mark(found);
  }

  const choice = make("select", { onchange: (event) => { series = event.target.value; redraw(); mark(marked); } }, ...Object.keys(given.series).map((name) => make("option", {}, name)));
  const frame = make("div", { class: "tss-frame tss-square", tabindex: 0, role: "group", "aria-label": `Points; arrow keys walk from ${given.what} to ${given.what}, by what was measured`, onkeydown: (event) => {
    const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, Home: -Infinity, End: Infinity }[event.key];
    if (by) { event.preventDefault(); step(by); }
  } }, svg);
  svg.addEventListener("pointermove", touch);
  svg.addEventListener("pointerdown", touch);
  const form = make("form", { class: "tss-row", onsubmit: find },
    field("Track", choice), field(`Find a ${given.what}`, asked),
    make("button", { type: "submit" }, "Find"));
  box.append(form, frame, said, alert);
  const redraw = onWidth(frame, draw);
  mark(-1);
};
