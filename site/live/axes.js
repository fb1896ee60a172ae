// Axes of a chart, drawn in SVG at the size of the page, so that their letters keep theirs.

import { make, setSize, writeShort } from "./core.js";

/** Round values between two ends, about `count` of them; powers of ten on a logarithmic axis. */
export function ticks({ from, to, log = false }, count = 5) {
  if (log) {
    const first = Math.ceil(Math.log10(from) - 1e-9);
    const last = Math.floor(Math.log10(to) + 1e-9);
    const step = Math.max(1, Math.ceil((last - first) / count));
    return Array.from({ length: Math.floor((last - first) / step) + 1 }, (_, i) => 10 ** (first + i * step));
  }
  const rough = (to - from) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const found = [];
  for (let i = Math.ceil(from / step - 1e-9); i * step <= to + 1e-9 * step; i++) found.push(i * step);
  return found;
}

/** Write the value at a tick: no more digits than it needs. */
export function tickText(value) {
  if (value >= 10000) return `10${[...Math.round(Math.log10(value)).toString()].map((d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d]).join("")}`;
  return writeShort(value, 6);
}

/** The place of a value on an axis that runs from pixel `start` to pixel `end`. */
export function placer({ from, to, log = false }, start, end) {
  const [a, b] = log ? [Math.log10(from), Math.log10(to)] : [from, to];
  return (value) => start + (((log ? Math.log10(value) : value) - a) / (b - a)) * (end - start);
}

/**
 * Draw frame, ticks and titles into an emptied `svg` of some pixels; return where values lie.
 *
 * `x` and `y` are `{from, to, log, title}`. The result has functions `x` and `y` and a group `plot`
 * to draw into, which cuts off what lies outside.
 */
export function drawAxes(svg, { x, y, width, height, label }) {
  const [left, right, top, bottom] = [56, 16, 8, 44];
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  setSize(svg, width, height);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  const [toX, toY] = [placer(x, left, width - right), placer(y, height - bottom, top)];
  const frame = make("g", { class: "tss-axes", "aria-hidden": "true" });
  for (const value of ticks(x, width > 500 ? 6 : 4)) {
    const at = toX(value);
    frame.append(
      make("line", { x1: at, x2: at, y1: height - bottom, y2: height - bottom + 4 }),
      make("text", { x: at, y: height - bottom + 17, "text-anchor": "middle" }, tickText(value))
    );
  }
  for (const value of ticks(y, 4)) {
    const at = toY(value);
    frame.append(
      make("line", { x1: left - 4, x2: left, y1: at, y2: at }),
      make("text", { x: left - 7, y: at + 4, "text-anchor": "end" }, tickText(value))
    );
  }
  const middle = (top + height - bottom) / 2;
  frame.append(
    make("rect", { x: left, y: top, width: width - left - right, height: height - top - bottom, fill: "none" }),
    make("text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, x.title),
    make("text", { x: 12, y: middle, "text-anchor": "middle", transform: `rotate(-90 12 ${middle})` }, y.title)
  );
  const plot = make("svg", { x: left, y: top, width: width - left - right, height: height - top - bottom, viewBox: `${left} ${top} ${width - left - right} ${height - top - bottom}` });
  svg.replaceChildren(frame, plot);
  return { x: toX, y: toY, plot };
}
