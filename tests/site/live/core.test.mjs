// DNA, halves and random numbers of the live figures.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Refused, decode, encode, floats, random, readSequence, reverseComplement, unpack, write, writeShort } from "../../../site/live/core.js";

test("codes are 0 to 3 in the order ACGT, and 4 for what is not known", () => {
  assert.deepEqual([...encode("GATTACAN")], [2, 0, 3, 3, 0, 1, 0, 4]);
  assert.equal(decode(encode("GATTACAN")), "GATTACAN");
  assert.equal(decode(reverseComplement(encode("GATTACAN"))), "NTGTAATC");
});

test("one sequence, bare or as FASTA", () => {
  assert.equal(readSequence("acgu\r\n ac"), "ACGTAC");
  assert.equal(readSequence(">name, 1\nACGT\nAC\n"), "ACGTAC");
  assert.equal(readSequence("ANA", { unknown: true }), "ANA");
});

for (const [text, options, said] of [
  ["", {}, "There is no sequence"],
  [">name\n", {}, "There is no sequence"],
  ["ACXT", {}, "Letter 3 is “X”; only A, C, G and T are wanted."],
  ["ANA", {}, "Letter 2 is “N”"],
  ["AC<img src=x onerror=alert(1)>", {}, "Letter 3 is “<”"],
  ["ACé", {}, "Letter 3 is “É”"],
  ["AC😀", {}, "Letter 3 is “😀”"],
  [">a\nAC\n>b\nGT", {}, "That FASTA holds 2 records"],
  ["ACG", { least: 4 }, "That is 3 bases; at least 4 bases are wanted."],
  ["ACGTA", { most: 4 }, "That is 5 bases; at most 4 bases are wanted."],
  ["A".repeat(1e6), {}, "That is 1,000,000 characters"],
]) {
  test(`refused: ${text.slice(0, 20)} (${text.length})`, () => {
    assert.throws(() => readSequence(text, options), (error) => error instanceof Refused && error.message.startsWith(said));
  });
}

const packed = (...bits) => btoa(String.fromCharCode(...bits.flatMap((half) => [half & 255, half >> 8])));

test("numbers of 16 bits: 1, -2, the smallest, the largest, none; and of 32: 1", () => {
  assert.deepEqual([...floats(packed(0x3c00, 0xc000, 0x0001, 0x7bff, 0), 16)], [1, -2, 2 ** -24, 65504, 0]);
  assert.deepEqual([...floats(packed(0, 0x3f80), 32)], [1]);
});

test("a damaged file is refused: too short, no base64, a number that is none", () => {
  const said = { config: {}, bits: 16, tensors: [["a", [2]]] };
  assert.deepEqual([...unpack(said, packed(0x3c00, 0)).tensors.a.values], [1, 0]);
  for (const text of [packed(0x3c00), packed(1, 2, 3), "*", packed(0x3c00, 0x7e00)]) {
    assert.throws(() => unpack(said, text), Refused);
  }
});

test("the same seed gives the same numbers, in [0, 1)", () => {
  const [a, b] = [random(17), random(17)];
  const drawn = Array.from({ length: 1000 }, a);
  assert.deepEqual(drawn.slice(0, 5), Array.from({ length: 5 }, b));
  assert.ok(drawn.every((x) => x >= 0 && x < 1));
  assert.ok(Math.abs(drawn.reduce((x, y) => x + y) / 1000 - 0.5) < 0.03);
});

test("numbers have a true minus, and no minus before zero", () => {
  assert.equal(write(-1.256), "−1.26");
  assert.equal(write(-0.001), "0.00");
  assert.deepEqual([100, 0, -0.5, 1.256].map((value) => writeShort(value)), ["100", "0", "−0.5", "1.26"]);
});
