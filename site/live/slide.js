// Chapter 1, section 3: a filter of three letters slides along a short sequence.

import { LETTERS, N, Refused, decode, encode, field, figures, make, onWidth, readInput, readNumber, readSequence, setSize, writeShort } from "./core.js";

const WIDTH = 3; // of the filter
const LETTER_COLOURS = ["var(--tss-a)", "var(--tss-c)", "var(--tss-g)", "var(--tss-t)", "currentColor"];

/** A filter that is `match` where a letter agrees with a word of three, and `other` elsewhere. */
function filterFor(word, match, other) {
  return Float64Array.from({ length: 4 * WIDTH }, (_, i) => (LETTERS.indexOf(word[i % WIDTH]) === Math.floor(i / WIDTH) ? match : other));
}

/** The filters to choose from by name: twelve weights, in rows A, C, G, T, and a bias. */
function presets(learned) {
  const edge = (left) => [left, 0, -left];
  return {
    "likes TAT": { weights: filterFor("TAT", 1, -1), bias: 0 },
    "learned from data": learned,
    "from A or T to C or G": { weights: [edge(1), edge(-1), edge(-1), edge(1)].flat(), bias: 0 },
    "all zero": { weights: new Float64Array(4 * WIDTH), bias: 0 },
  };
}

/** What each column of the filter picks at a place: three products, 0 at an N. */
function picked(codes, weights, place) {
  return Array.from({ length: WIDTH }, (_, i) => (codes[place + i] === N ? 0 : weights[WIDTH * codes[place + i] + i]));
}

/** The colour of a cell: red above 0, blue below, the stronger the larger. */
function tint(value, limit) {
  const share = Math.round(45 * Math.min(1, Math.abs(value) / (limit || 1)));
  return `color-mix(in srgb, ${value < 0 ? "#4393c3" : "#d6604d"} ${share}%, transparent)`;
}

/** The table of four rows and three columns under a name, of cells in the order of weights. */
function filterTable(name, cells, look = "") {
  const rows = Array.from(LETTERS, (letter, c) =>
    make("tr", {}, make("th", { scope: "row" }, letter), ...cells.slice(WIDTH * c, WIDTH * (c + 1)))
  );
  return make("table", { class: look }, make("caption", {}, name), make("tbody", {}, ...rows));
}

/** The parts of the figure that stay; what changes is drawn into them. */
function slideParts(given) {
  const number = (label, value) => make("input", { type: "number", step: "any", "aria-label": label, value });
  const weights = Array.from({ length: 4 * WIDTH }, (_, i) => number(`weight of ${LETTERS[Math.floor(i / WIDTH)]} in column ${(i % WIDTH) + 1}`, 0));
  const cells = () => Array.from({ length: 4 * WIDTH }, () => make("td"));
  const choices = [...Object.keys(presets(given.learned)), "your own"].map((name) => make("option", {}, name));
  const place = make("input", { type: "range", min: 0, value: given.place });
  const placeField = field("place", place);
  placeField.classList.add("tss-slide-place");
  return {
    sequence: make("textarea", { rows: 1, cols: 20, spellcheck: "false", autocomplete: "off" }, given.sequence),
    preset: make("select", {}, ...choices),
    place,
    placeField,
    bias: number("bias", 0),
    strip: make("svg", { class: "tss-slide-strip", role: "img" }),
    sums: make("svg", { class: "tss-slide-strip", role: "img" }),
    weights,
    here: cells(),
    products: cells(),
    total: make("p", { class: "tss-slide-total", role: "status" }),
    alert: make("p", { role: "alert" }),
  };
}

/** Put the parts into the box, in reading order. */
function layOutSlide(box, parts) {
  const sign = (text) => make("span", { class: "tss-slide-sign", "aria-hidden": "true" }, text);
  const inputs = parts.weights.map((input) => make("td", {}, input));
  const tables = [filterTable("letters here", parts.here), sign("×"), filterTable("filter", inputs), sign("="), filterTable("products", parts.products, "tss-slide-wide")];
  box.append(
    make("div", { class: "tss-row" }, field("Sequence", parts.sequence), field("Filter", parts.preset)),
    parts.alert,
    parts.strip,
    parts.placeField,
    make("div", { class: "tss-slide-tables" }, ...tables),
    make("div", { class: "tss-row" }, field("bias", parts.bias), parts.total),
    parts.sums
  );
}

/** A cell of a strip: a square with a text, rotated where it would not fit. */
function stripCell({ x, y, width, height, fill, text, upright = true, size = 12 }) {
  const [middle, centre] = [x + width / 2, y + height / 2];
  const turned = upright ? {} : { transform: `rotate(-90 ${middle} ${centre})` };
  return make(
    "g",
    {},
    make("rect", { x, y, width, height, style: `fill: ${fill}`, class: "tss-slide-cell" }),
    make("text", { x: middle, y: centre, "font-size": size, ...turned }, text)
  );
}

/** The names of a strip's rows, left of them. */
function rowNames(names, left, top, height) {
  return names.map((name, row) => make("text", { x: left - 6, y: top + (row + 0.5) * height, "text-anchor": "end", "font-size": 12 }, name));
}

/** How a strip of `letters` columns fits into a width: its left margin and the side of a cell. */
function stripSizes(width, letters) {
  const left = width < 420 ? 44 : 84;
  return { left, side: Math.min(40, (width - left - 2) / letters) };
}

/** Draw the sequence, its one-hot columns and the frame of the filter. */
function drawStrip(svg, { codes, place }, width) {
  const { left, side } = stripSizes(width, codes.length);
  const height = 5 * side;
  const size = Math.min(14, 0.75 * side);
  const parts = rowNames(Array.from(LETTERS), left, side, side);
  codes.forEach((code, i) => {
    const style = `fill: ${LETTER_COLOURS[code]}; font-weight: bold`;
    parts.push(make("text", { x: left + (i + 0.5) * side, y: side / 2, "font-size": size, style }, decode([code])));
    for (let row = 0; row < 4; row++) {
      const fill = code === row ? LETTER_COLOURS[row] : "none";
      const cell = stripCell({ x: left + i * side, y: (row + 1) * side, width: side, height: side, fill, text: code === row ? "1" : "0", size });
      if (code === row) cell.classList.add("tss-slide-one");
      parts.push(cell);
    }
  });
  parts.push(make("rect", { x: left + place * side, y: 1, width: WIDTH * side, height: height - 2, class: "tss-slide-frame" }));
  setSize(svg, width, height).replaceChildren(...parts);
}

/** Draw the sums at all places and what the ReLU leaves of them. */
function drawSums(svg, { sums, place, codes }, width) {
  const { left, side } = stripSizes(width, codes.length);
  const limit = Math.max(...sums.map(Math.abs));
  const texts = [sums, sums.map((sum) => Math.max(0, sum))].map((row) => row.map((value) => writeShort(value)));
  const upright = side >= 8 * Math.max(...texts.flat().map((text) => text.length));
  const height = upright ? side : 46;
  const parts = rowNames(left < 80 ? ["sum", "ReLU"] : ["sum + bias", "after ReLU"], left, 2, height + 6);
  texts.forEach((row, r) =>
    row.forEach((text, i) => {
      const fill = tint(r ? Math.max(0, sums[i]) : sums[i], limit);
      const cell = stripCell({ x: left + i * side, y: 2 + r * (height + 6), width: side, height, fill, text, upright });
      if (i === place) cell.classList.add("tss-slide-here");
      parts.push(cell);
    })
  );
  // The cell of this place comes last, so that its frame lies above its neighbours'.
  parts.sort((a, b) => a.classList.contains("tss-slide-here") - b.classList.contains("tss-slide-here"));
  setSize(svg, width, 2 * height + 10).replaceChildren(...parts);
}

/** Write the three tables, the total and what the strips say to those who hear them. */
function writeTables(parts, { codes, weights, bias, place, sums }) {
  const limit = Math.max(...weights.map(Math.abs));
  const [letters, products] = [decode(codes.slice(place, place + WIDTH)), picked(codes, weights, place)];
  weights.forEach((weight, i) => {
    const [row, column] = [Math.floor(i / WIDTH), i % WIDTH];
    const one = codes[place + column] === row;
    parts.here[i].textContent = one ? "1" : "0";
    parts.here[i].className = one ? "tss-slide-one" : "";
    parts.here[i].style.backgroundColor = one ? LETTER_COLOURS[row] : "";
    parts.products[i].textContent = one ? writeShort(weight) : "0";
    parts.products[i].style.backgroundColor = one ? tint(weight, limit) : "";
    parts.weights[i].style.backgroundColor = tint(weight, limit);
  });
  const terms = [...products, ...(bias ? [bias] : [])];
  const added = terms.map((term, i) => (i ? `${term < 0 ? " − " : " + "}${writeShort(Math.abs(term))}` : writeShort(term))).join("");
  parts.total.textContent = `${letters} at place ${place}: ${added} = ${writeShort(sums[place])}; after the ReLU ${writeShort(Math.max(0, sums[place]))}.`;
  parts.place.setAttribute("aria-valuetext", `${place}, ${letters}`);
  parts.strip.setAttribute("aria-label", `One-hot columns of ${decode(codes)}; the filter lies over ${letters} at place ${place}.`);
  parts.sums.setAttribute("aria-label", `Sums at all places: ${sums.map((value) => writeShort(value)).join(", ")}. The ReLU makes those below 0 to 0.`);
}

/** Compute and draw everything. */
function drawSlide(parts, state) {
  const places = state.codes.length - WIDTH + 1;
  state.place = Math.max(0, Math.min(places - 1, state.place));
  state.sums = Array.from({ length: places }, (_, place) => picked(state.codes, state.weights, place).reduce((a, b) => a + b, state.bias));
  parts.place.max = places - 1;
  parts.place.value = state.place;
  writeTables(parts, state);
  const { left, side } = stripSizes(state.width, state.codes.length); // the slider's ends are the strip's
  parts.placeField.style.gridTemplateColumns = `${left - 6}px ${state.codes.length * side}px`;
  drawStrip(parts.strip, state, state.width);
  drawSums(parts.sums, state, state.width);
}

/** Take over what the reader typed, or say what is wrong with it; the drawing then pales. */
function readSlide(parts, state) {
  const limits = { least: -100, most: 100 };
  const number = (input) => readInput(input, (text) => readNumber(text, input.getAttribute("aria-label"), limits));
  const sequence = (text) => readSequence(text, { least: 4, most: 20, unknown: true });
  const drawings = [parts.strip, parts.sums, parts.total];
  try {
    const codes = encode(readInput(parts.sequence, sequence));
    const weights = Float64Array.from(parts.weights, number);
    Object.assign(state, { codes, weights, bias: number(parts.bias) });
    parts.alert.textContent = "";
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    parts.alert.textContent = error.message;
    for (const drawing of drawings) drawing.classList.add("tss-stale");
    return;
  }
  for (const drawing of drawings) drawing.classList.remove("tss-stale");
  drawSlide(parts, state);
}

/** Write a preset's numbers into the inputs. */
function fillIn(parts, { weights, bias }) {
  parts.weights.forEach((input, i) => (input.value = weights[i]));
  parts.bias.value = bias;
}

/** Let the filter follow a pointer that is pressed on one of the strips. */
function dragSlide(svg, parts, state) {
  const follow = (event) => {
    const { left, side } = stripSizes(state.width, state.codes.length);
    const column = (event.clientX - svg.getBoundingClientRect().left - left) / side;
    state.place = Math.floor(svg === parts.strip ? column - WIDTH / 2 + 0.5 : column);
    drawSlide(parts, state);
  };
  svg.addEventListener("pointerdown", (event) => {
    svg.setPointerCapture(event.pointerId);
    follow(event);
  });
  svg.addEventListener("pointermove", (event) => {
    if (svg.hasPointerCapture(event.pointerId)) follow(event);
  });
}

figures.slide = async (box, given) => {
  const filters = presets(given.learned);
  const parts = slideParts(given);
  const state = { place: given.place, width: 600 };
  const read = () => readSlide(parts, state);
  layOutSlide(box, parts);
  fillIn(parts, filters[parts.preset.value]);
  parts.sequence.addEventListener("input", read);
  parts.preset.addEventListener("change", () => {
    if (parts.preset.value in filters) fillIn(parts, filters[parts.preset.value]);
    read();
  });
  for (const input of [...parts.weights, parts.bias]) {
    input.addEventListener("input", () => {
      parts.preset.value = "your own";
      read();
    });
  }
  parts.place.addEventListener("input", () => {
    state.place = Number(parts.place.value);
    drawSlide(parts, state);
  });
  for (const svg of [parts.strip, parts.sums]) dragSlide(svg, parts, state);
  read();
  onWidth(box, (width) => {
    state.width = width;
    drawSlide(parts, state);
  });
};
