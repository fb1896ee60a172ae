// Weights as letters: what is above 0 stands above a line, what is below 0 below it.

import { LETTERS, make } from "./core.js";

// In a square of 100 by 100, in the order of `LETTERS`.
export const LETTER_SHAPES = [
  "M0 100L38 0H62L100 100H78L70 76H30L22 100ZM36 59H64L50 18Z",
  "M100 32C96 12 80 0 54 0C20 0 0 20 0 50C0 80 20 100 54 100C80 100 96 88 100 68H78C75 79 67 84 54 84C34 84 22 71 22 50C22 29 34 16 54 16C67 16 75 21 78 32Z",
  "M100 32C96 12 80 0 54 0C20 0 0 20 0 50C0 80 20 100 54 100C76 100 92 92 100 80V46H54V61H79V72C74 80 66 84 54 84C34 84 22 71 22 50C22 29 34 16 54 16C67 16 75 21 78 32Z",
  "M0 0H100V18H61V100H39V18H0Z",
];

/**
 * The letters of weights `[4][columns]`, one column after the other: what is above 0 upwards, the
 * largest on top, what is below 0 downwards. Each column's mean is taken off.
 */
export function letterStacks(weights) {
  const stacks = [];
  for (let column = 0; column < weights[0].length; column++) {
    const mean = weights.reduce((sum, row) => sum + row[column], 0) / 4;
    const heights = weights.map((row, code) => ({ code, column, height: row[column] - mean }));
    heights.sort((a, b) => Math.abs(a.height) - Math.abs(b.height));
    let [up, down] = [0, 0];
    for (const { code, height } of heights) {
      const from = height < 0 ? (down += height) - height : (up += height);
      stacks.push({ code, column, top: from, height: Math.abs(height) });
    }
  }
  return stacks;
}

/** The largest letter of each column. */
export function tallest(stacks) {
  const best = [];
  for (const { code, column, top, height } of stacks) if (top > 0 && !(best[column]?.height > height)) best[column] = { code, height };
  return best.map(({ code }) => LETTERS[code]).join("");
}

/** How far letters reach from the line, up or down. */
export const reachOf = (stacks) => stacks.reduce((most, { top, height }) => Math.max(most, top, height - top), 0);

/** A logo's picture, `columns` wide, whose letters `drawLogo` moves. */
export function newLogo(columns, width, height) {
  const shapes = Array.from({ length: 4 * columns }, (_, i) => make("path", { d: LETTER_SHAPES[i % 4], class: `tss-letter-${LETTERS[i % 4]}` }));
  const svg = make(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, class: "tss-logo", "aria-hidden": "true" },
    ...shapes,
    make("line", { x1: 0, x2: width, y1: height / 2, y2: height / 2 })
  );
  return { svg, shapes, width: width / columns, middle: height / 2 };
}

/** Move the letters of a logo; a letter as high as `reach` fills its half. */
export function drawLogo({ shapes, width, middle }, stacks, reach) {
  const scale = middle / (reach || 1) / 100;
  for (const { code, column, top, height } of stacks) {
    const [x, y] = [(column + 0.06) * width, middle - 100 * top * scale];
    const place = `translate(${x.toFixed(2)} ${y.toFixed(2)}) scale(${(0.0088 * width).toFixed(4)} ${(height * scale).toFixed(5)})`;
    shapes[4 * column + code].setAttribute("transform", place);
  }
}
