// The page's side of the figure "touch": its parts, and how they are drawn.

import { LETTERS, field, make, setSize, write } from "./core.js";
import { signed } from "./touch-bench.js";

/** The colour of a change: red raises, blue lowers, the stronger the larger. */
function heatColour(value, limit) {
  const share = Math.round(100 * Math.min(1, Math.abs(value) / limit));
  return share ? `color-mix(in srgb, ${value < 0 ? "var(--tss-touch-lower)" : "var(--tss-touch-raise)"} ${share}%, transparent)` : "transparent";
}

/** A row of the table of what is said: name, now, at first, change. */
function sayingRow(who) {
  const cells = Array.from({ length: 3 }, () => make("td"));
  const bar = make("span", { class: `tss-touch-bar tss-touch-${who}` });
  return { cells, bar, row: make("tr", {}, make("th", { scope: "row" }, who), ...cells, make("td", { class: "tss-touch-bars", "aria-hidden": "true" }, bar)) };
}

/** All parts that stay; what changes is written into them. */
export function touchParts(given) {
  const options = given.promoters.map(({ name }, i) => make("option", { value: i }, name));
  const button = (name) => make("button", { type: "button" }, name);
  return {
    promoter: make("select", {}, ...options),
    undo: button("Undo"),
    reset: button("Reset"),
    rows: { network: sayingRow("network"), truth: sayingRow("truth") },
    told: make("p", { role: "status", class: "tss-touch-told" }),
    strip: make("svg", { class: "tss-touch-strip", role: "img", "aria-label": "What each base adds: above, to the network's prediction, below, to the truth. The frame is what the maps show." }),
    window: make("input", { type: "range", min: 0, class: "tss-touch-window", "aria-label": "Where the maps begin" }),
    back: button("← motif"),
    onward: button("motif →"),
    motifs: make("svg", { class: "tss-touch-motifs", role: "img" }),
    letters: make("div", { class: "tss-touch-row", "aria-hidden": "true" }),
    network: make("div", { role: "grid", class: "tss-touch-map", "aria-label": "The network: what each letter at each position would change" }),
    truth: make("div", { class: "tss-touch-map", "aria-hidden": "true" }),
    word: make("input", { type: "text", size: 14, spellcheck: "false", autocomplete: "off", autocapitalize: "characters" }),
    put: make("button", { type: "submit" }, "Write"),
    alert: make("p", { role: "alert" }),
  };
}

/** Put the parts into the box, in reading order. */
export function layOutTouch(box, parts, limit) {
  const head = make("tr", {}, ...["log2", "now", "at first", "change"].map((name) => make("th", { scope: "col" }, name)), make("td", { class: "tss-touch-bars" }));
  const table = make("table", { class: "tss-touch-said" }, make("thead", {}, head), make("tbody", {}, parts.rows.network.row, parts.rows.truth.row));
  const end = (sign, name) => make("span", {}, `${name} ${sign}${write(limit, 0)}`);
  const legend = make("p", { class: "tss-touch-legend" }, end("−", "lowers"), make("span", { class: "tss-touch-scale", "aria-hidden": "true" }), end("+", "raises"));
  const name = (text) => make("p", { class: "tss-touch-name" }, text);
  box.append(
    make("div", { class: "tss-row" }, field("Promoter", parts.promoter), parts.undo, parts.reset),
    table,
    name("what each base adds: network above, truth below"),
    make("div", { class: "tss-row", role: "group", "aria-label": "Move the maps to a motif" }, parts.back, parts.onward),
    parts.strip,
    parts.window,
    parts.motifs,
    parts.letters,
    name("network: change by each mutation (touch a square to make it)"),
    parts.network,
    name("truth: change by each mutation"),
    parts.truth,
    legend,
    parts.told,
    make("form", { class: "tss-row" }, field("Word", parts.word), parts.put),
    parts.alert
  );
}

// --- drawing ------------------------------------------------------------------------------------------

/** Draw all that depends on the promoter and on where the maps are; `view` is a `Touch`. */
export function drawTouch(view) {
  drawSaid(view);
  drawPromoter(view);
  drawMotifs(view);
  drawMaps(view);
}

/** The table of what network and truth say. */
function drawSaid(view) {
  const { at, bench, given, parts } = view;
  const now = bench.values();
  for (const [who, { cells, bar }] of Object.entries(parts.rows)) {
    const texts = [write(now[who]), write(bench.first[who]), signed(now[who] - bench.first[who])];
    texts.forEach((text, i) => (cells[i].textContent = text));
    bar.style.width = `${Math.max(0, Math.min(100, (100 * now[who]) / given.most))}%`;
  }
  parts.undo.disabled = !bench.past.length;
  parts.reset.disabled = bench.codes.every((code, i) => code === bench.original[i]);
  parts.back.disabled = !view.motifBefore();
  parts.onward.disabled = !view.motifAfter();
  parts.put.textContent = `Write from ${bench.place(at[0])} on`;
}

/** What each base adds, over the whole promoter, and the frame of the maps. */
export function drawPromoter({ bench, columns, from, given, left, parts, width }) {
  const [height, scale] = [34, (width - left) / bench.length];
  const x = (position) => left + position * scale;
  const drawn = ["network", "truth"].flatMap((who, row) => {
    const zero = 2 + height * (row + 0.6);
    let bars = "";
    for (let p = 0; p < bench.length; p++) {
      const share = Math.max(-0.4, Math.min(0.58, bench.contribution(who, p) / given.limit));
      if (Math.abs(share) > 0.005) bars += `M${x(p + 0.5).toFixed(1)} ${zero}v${(-share * height).toFixed(1)}`;
    }
    return [make("line", { x1: left, x2: width, y1: zero, y2: zero }), make("path", { d: bars, class: `tss-touch-${who}` })];
  });
  const ticks = [0, 500, 1000, 1500, 2000].map((p) => {
    const anchor = p === 0 ? "start" : p === bench.length ? "end" : "middle";
    return make("text", { x: x(p), y: 2 * height + 16, "text-anchor": anchor }, p === bench.length ? "start site" : write(p - bench.length, 0));
  });
  const frame = make("rect", { x: x(from), y: 1, width: columns * scale, height: 2 * height + 2, class: "tss-touch-frame" });
  setSize(parts.strip, width, 2 * height + 20).replaceChildren(...drawn, ...ticks, frame);
}

/** The names of the simulator's motifs above the letters that they match. */
function drawMotifs({ bench, cell, columns, from, left, parts, width }) {
  const here = bench.motifs.filter((motif) => motif.from < from + columns && motif.to > from);
  const x = (position) => left + Math.max(0, Math.min(columns, position - from)) * cell;
  const ends = [0, 0]; // of what is drawn on either level
  const drawn = here.flatMap((motif) => {
    const [start, end] = [x(motif.from), x(motif.to)];
    const text = { "+": `${motif.name} →`, "-": `← ${motif.name}` }[motif.strand] ?? `← ${motif.name} →`;
    const level = ends[1] <= start ? 1 : 0;
    ends[level] = Math.max(end, start + 7 * text.length) + 4;
    const y = 18 * level;
    const label = make("text", { x: Math.min(start + 1, width - 7 * text.length), y: y + 11 }, text);
    return [make("path", { d: `M${start + 1} ${y + 17}v-3H${end - 1}v3` }), label];
  });
  const names = here.map((motif) => `${motif.name} on ${motif.strand} from ${bench.place(motif.from)}`);
  parts.motifs.setAttribute("aria-label", names.length ? `Motifs here: ${names.join(", ")}.` : "No motif here.");
  setSize(parts.motifs, width, 37).replaceChildren(...drawn);
}

/** Both maps, and the letters above them. */
export function drawMaps({ at, bench, columns, from, given, letters, squares }) {
  for (let column = 0; column < columns; column++) {
    const position = from + column;
    const own = bench.codes[position];
    letters[column].textContent = LETTERS[own];
    letters[column].className = `tss-touch-${LETTERS[own]}`;
    letters[column].classList.toggle("tss-touch-new", own !== bench.original[position]);
    letters[column].classList.toggle("tss-touch-at", position === at[0]);
    for (let base = 0; base < 4; base++) {
      for (const who of ["network", "truth"]) {
        const square = squares[who][base][column];
        const value = bench.changes[who][4 * position + base];
        square.style.backgroundColor = base === own ? "" : heatColour(value, given.limit);
        square.textContent = base === own ? LETTERS[base] : Math.abs(value) < 0.3 * given.limit ? "" : value < 0 ? "−" : "+";
        square.className = base === own ? "tss-touch-own" : "";
      }
      const square = squares.network[base][column];
      square.tabIndex = position === at[0] && base === at[1] ? 0 : -1;
      square.setAttribute("aria-label", bench.reading(position, base));
    }
  }
}
