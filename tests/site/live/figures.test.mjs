// Axes, points with names, and effect curves.

import assert from "node:assert/strict";
import { test } from "node:test";

import { placer, tickText, ticks } from "../../../site/live/axes.js";
import { Refused } from "../../../site/live/core.js";
import { effectCurve } from "../../../site/live/motifs.js";
import { lookUp, nearest, threeDigits } from "../../../site/live/points.js";

test("ticks are round and lie between the ends", () => {
  assert.deepEqual(ticks({ from: -300, to: 300 }, 6), [-300, -200, -100, 0, 100, 200, 300]);
  assert.deepEqual(ticks({ from: 0.1, to: 0.9 }, 4).map((x) => +x.toFixed(3)), [0.2, 0.4, 0.6, 0.8]);
  assert.deepEqual(ticks({ from: 1, to: 1e5, log: true }, 5), [1, 10, 100, 1000, 1e4, 1e5]);
  assert.deepEqual(ticks({ from: 1, to: 1e5, log: true }, 4), [1, 100, 1e4]);
  assert.deepEqual([-200, 0, 0.5, 1e4, 1e5].map(tickText), ["−200", "0", "0.5", "10⁴", "10⁵"]);
});

test("values lie in proportion, on a logarithmic axis by powers", () => {
  assert.equal(placer({ from: 0, to: 10 }, 50, 150)(2.5), 75);
  assert.equal(placer({ from: 1, to: 100, log: true }, 200, 0)(10), 100);
});

test("the nearest point within reach, or none", () => {
  const places = [[0, 0], [10, 0], [100, 100]];
  assert.equal(nearest(places, 7, 1), 1);
  assert.equal(nearest(places, 50, 50), -1);
});

test("names are found in any case; others are refused, with a proposal", () => {
  const names = ["ACT1", "TDH3", "TDH2"];
  assert.equal(lookUp(names, " tdh3 "), 1);
  assert.throws(() => lookUp(names, "tdh"), /did you mean TDH3, TDH2\?/);
  assert.throws(() => lookUp(names, "<b>x</b>"), /There is no “<b>x<\/b>” here; try ACT1/);
  assert.throws(() => lookUp(names, " "), Refused);
});

test("a stored kernel is an effect curve read backwards", () => {
  // Two tracks, two channels, three wide: track 1, channel 0 is the third kernel.
  const layer = { shape: [2, 2, 3], values: Float32Array.from({ length: 12 }, (_, i) => i) };
  assert.deepEqual([...effectCurve(layer, 0, 1)], [8, 7, 6]);
});

test("ratios keep the digits that count", () => {
  assert.deepEqual([0, 0.0023, 0.5, 12.34, 1234].map(threeDigits), ["0.00", "0.0023", "0.50", "12.3", "1,234"]);
});
