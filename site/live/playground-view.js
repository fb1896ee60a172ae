// The pictures of the playground: all bases, and the window of which every letter is shown.

import { make, write } from "./core.js";
import { PLAY_FIRST, PLAY_MIDDLE, PLAY_SHOWN, playEdits, playPosition } from "./playground-model.js";
import { PLAY_ZOOM, playCanvas, playColours, playDraw, playHeight, playPlace, playSized, playZoom } from "./playground-tracks.js";

const PLAY_PICTURE = 800; // width of a saved picture, in CSS pixels

/** Reads of sparse pairs [position, reads, position, reads, ...] at all shown bases. */
export function playDense(pairs) {
  const values = new Float32Array(PLAY_SHOWN);
  for (let i = 0; i < pairs.length; i += 2) values[pairs[i] - PLAY_FIRST] = pairs[i + 1];
  return values;
}

/** The sum of each strand's reads. */
function playSums(tracks) {
  return tracks.map((values) => values.reduce((a, b) => a + b, 0));
}

/** Reads of all bases and the share of the + strand as text, from the sums of both strands. */
function playInWords([plus, minus]) {
  const all = plus + minus;
  const reads = all < 10 ? write(all, 1) : Math.round(all).toLocaleString("en");
  return `${reads} reads, ${all > 0 ? write((100 * plus) / all, 0) : 0} % on the + strand`;
}

/** A number of things, in words. */
function playMany(number, thing) {
  return `${number} ${thing}${number === 1 ? "" : "s"}`;
}

/** What is shown, in numbers: predicted, before any edit, and measured. */
export function playSaid({ state, now, before, given }) {
  const locus = given.loci[state.locus];
  const edits = playEdits(state.start, state.codes);
  const done = [edits && `${playMany(edits, "base")} edited`, state.off.length && `${playMany(state.off.length, "filter")} out`];
  const since = edits || state.off.length ? ` (${done.filter(Boolean).join(", ")}; before: ${playInWords(playSums(before))})` : "";
  const predicted = `Predicted: ${playInWords(playSums(now))}${since}.`;
  return locus ? `${predicted} ${given.worlds[state.about.world].says}: ${playInWords(locus.reads)}.` : predicted;
}

/** What is drawn, in percent of all reads before any edit. */
function playViewOf({ state, given, now, before, other, reasons }, colours) {
  const percent = (tracks, [plus, minus]) => tracks.map((values) => values.map((value) => (100 * value) / Math.max(plus + minus, 1e-9)));
  const all = playSums(before);
  const locus = given.loci[state.locus];
  const edited = Array.from(state.codes, (code, i) => (code === state.start[i] ? NaN : i - PLAY_MIDDLE)).filter(Number.isFinite);
  const key = edited.length ? "; grey: before, ▴ edits" : state.off.length ? "; grey: before" : "";
  const title = `predicted for ${locus?.title ?? "your own sequence"}${key}`;
  const panels = [{ title, colour: colours.model, tracks: percent(now, all), before: percent(before, all) }];
  if (other) {
    const { kind, panel } = given.worlds[state.about.world];
    panels.push({ title: panel, colour: colours[kind], tracks: percent(other, locus.reads), marks: locus.marks });
  }
  const most = (tracks) => tracks.reduce((m, values) => values.reduce((a, b) => Math.max(a, b), m), 1e-3);
  return {
    panels,
    top: Math.max(...panels.map((panel) => most([...panel.tracks, ...(panel.before ?? [])]))),
    edited,
    reasons,
    about: reasons?.about ?? "…",
    window: [0, 0],
  };
}

/** Both pictures, the slider between them, and the grid of bases below. */
export class PlayView {
  constructor(box, editor) {
    this.box = box;
    this.editor = editor;
    this.tracks = playCanvas("Predicted and measured reads at all bases shown; the line above says them in numbers");
    this.zoom = playCanvas("The bases of the window: reads, and letters as large as what they add");
    this.slide = make("input", {
      type: "range", min: PLAY_FIRST, max: PLAY_FIRST + PLAY_SHOWN - 1, "aria-label": "Base in the middle of the window",
      oninput: () => this.look(Number(this.slide.value)),
    });
    const look = (event) => event.buttons && this.look(playPlace(event.offsetX, this.width));
    this.tracks.addEventListener("pointerdown", look);
    this.tracks.addEventListener("pointermove", look);
  }

  /** Take the width that there is; whether it has changed. */
  fit() {
    const style = getComputedStyle(this.box);
    const width = this.box.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    if (!(width > 0) || width === this.width) return false;
    this.width = width;
    const { at } = this.editor;
    this.editor.fit(width);
    this.editor.centre(at);
    return true;
  }

  /** Draw a state of the playground. */
  show(playground) {
    this.shown = playViewOf(playground, playColours(this.box));
    this.draw(playground.state);
  }

  /** Draw what was drawn last, with the window where it is now. */
  draw({ codes, start }) {
    const { editor, shown, width } = this;
    const colours = playColours(this.box);
    shown.window = [editor.from, editor.from + editor.count];
    playDraw(playSized(this.tracks, width, playHeight(shown)), width, shown, colours);
    playZoom(playSized(this.zoom, width, PLAY_ZOOM), editor.from, editor.count, shown, colours);
    editor.show(codes, start);
    this.slide.value = editor.at;
    this.slide.setAttribute("aria-valuetext", playPosition(editor.at));
  }

  /** Move the window. */
  look(position) {
    this.editor.centre(position);
    this.editor.on.move();
  }

  /** Move the window to the highest of some tracks. */
  lookAtHighest(tracks) {
    const tops = tracks.map((values) => values.reduce((a, b) => Math.max(a, b)));
    const strand = tops[0] >= tops[1] ? 0 : 1;
    this.editor.centre(tracks[strand].indexOf(tops[strand]) + PLAY_FIRST);
  }

  /** The tracks as a picture of their own, on the page's ground, at twice the size. */
  picture() {
    const canvas = document.createElement("canvas");
    const height = playHeight(this.shown);
    const pen = playSized(canvas, PLAY_PICTURE, height, 2);
    pen.fillStyle = getComputedStyle(document.body).backgroundColor;
    pen.fillRect(0, 0, PLAY_PICTURE, height);
    playDraw(pen, PLAY_PICTURE, this.shown, playColours(this.box));
    return canvas;
  }
}
