// Drawing: predicted and measured tracks over all shown bases, and both of them letter by letter.

import { LETTERS, make, write } from "./core.js";
import { PLAY_FIRST, PLAY_MIDDLE, PLAY_SHOWN, playPosition } from "./playground-model.js";

const PLAY_LEFT = 46; // pixels in front of the first base, for the numbers
const PLAY_RIGHT = 6;
const PLAY_PANEL = 118; // height of a panel
const PLAY_TITLE = 20; // of what stands above it
const PLAY_REASONS = 44;
const PLAY_FONT = "12px system-ui, sans-serif";

/** The colours of the page as they are now. */
export function playColours(element) {
  const style = getComputedStyle(element);
  const colour = (name) => style.getPropertyValue(`--tss-${name}`).trim();
  return { ink: style.color, letters: ["a", "c", "g", "t"].map(colour), ...Object.fromEntries(["model", "truth", "measured", "line"].map((name) => [name, colour(name)])) };
}

/** A canvas of a size in CSS pixels, sharp on any screen, and its context. */
export function playSized(canvas, width, height, scale = globalThis.devicePixelRatio || 1) {
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = PLAY_FONT;
  pen.textBaseline = "middle";
  return pen;
}

/** A round number that is at most `most`: 1, 2 or 5 times a power of ten. */
function playRound(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return [5, 2, 1].map((n) => n * power).find((n) => n <= most) ?? power;
}

/** A number with as many digits as it needs. */
function playNumber(value) {
  return value >= 10 ? write(value, 0) : `${Number(value.toPrecision(2))}`;
}

/** The place of a position (or of the edge between two) across a picture. */
export function playAcross(position, width) {
  return PLAY_LEFT + ((position - PLAY_FIRST) / PLAY_SHOWN) * (width - PLAY_LEFT - PLAY_RIGHT);
}

/** The position at a place across a picture. */
export function playPlace(x, width) {
  const place = PLAY_FIRST + ((x - PLAY_LEFT) / (width - PLAY_LEFT - PLAY_RIGHT)) * PLAY_SHOWN;
  return Math.max(PLAY_FIRST, Math.min(PLAY_FIRST + PLAY_SHOWN - 1, Math.floor(place)));
}

/** The height of the whole picture. */
export function playHeight({ panels }) {
  return panels.length * (PLAY_TITLE + PLAY_PANEL) + PLAY_TITLE + PLAY_REASONS + 26;
}

/**
 * Draw all shown bases: `panels` with a title, a colour, tracks and tracks of before; `top` of the
 * scale; `reasons`, a number for each base of the frame (or null); `edited` positions; `window`.
 */
export function playDraw(pen, width, view, colours) {
  const height = playHeight(view);
  pen.fillStyle = colours.ink;
  let y = 0;
  for (const panel of view.panels) {
    pen.fillStyle = colours.ink;
    pen.fillText(panel.title, PLAY_LEFT, y + PLAY_TITLE / 2, width - PLAY_LEFT);
    playPanel(pen, width, y + PLAY_TITLE, panel, view.top, colours);
    y += PLAY_TITLE + PLAY_PANEL;
  }
  pen.fillStyle = colours.ink;
  pen.fillText(`what each letter adds ${view.about}`, PLAY_LEFT, y + PLAY_TITLE / 2, width - PLAY_LEFT);
  y += PLAY_TITLE;
  if (view.reasons) playReasons(pen, width, y, view.reasons, colours);
  playAxis(pen, width, height - 24, view, colours);
  const from = playAcross(view.window[0], width);
  pen.strokeStyle = colours.ink;
  pen.lineWidth = 1.5;
  pen.strokeRect(from, 1, Math.max(playAcross(view.window[1], width) - from, 3), height - 26);
}

/** Draw two strands, + up and − down, over what they were before. */
function playPanel(pen, width, y, panel, top, colours) {
  const zero = y + PLAY_PANEL / 2;
  const unit = (PLAY_PANEL / 2 - 4) / top;
  pen.strokeStyle = colours.line;
  pen.lineWidth = 0.7;
  pen.strokeRect(PLAY_LEFT, zero, width - PLAY_LEFT - PLAY_RIGHT, 0.01);
  playBars(pen, width, zero, unit, panel.before, colours.line);
  playBars(pen, width, zero, unit, panel.tracks, panel.colour);
  pen.fillStyle = colours.ink;
  pen.textAlign = "right";
  const tick = playRound(top);
  for (const value of [tick, 0, -tick]) {
    pen.fillText(`${playNumber(Math.abs(value))} %`, PLAY_LEFT - 6, zero - value * unit);
    pen.fillRect(PLAY_LEFT - 4, zero - value * unit - 0.5, 4, 1);
  }
  pen.textAlign = "left";
  for (const mark of panel.marks ?? []) {
    const x = playAcross(mark.position, width);
    pen.fillText(mark.strand === "+" ? "▸" : "◂", x - 4, mark.strand === "+" ? y + 6 : y + PLAY_PANEL - 6);
  }
}

/** Draw bars of both strands. */
function playBars(pen, width, zero, unit, tracks, colour) {
  if (!tracks) return;
  const step = Math.max((width - PLAY_LEFT - PLAY_RIGHT) / PLAY_SHOWN, 1.5);
  pen.fillStyle = colour;
  tracks.forEach((values, strand) => {
    for (let i = 0; i < PLAY_SHOWN; i++) {
      const high = Math.min(values[i] * unit, PLAY_PANEL / 2 - 1);
      if (high > 0.2) pen.fillRect(playAcross(i + PLAY_FIRST, width), strand ? zero : zero - high, step, high);
    }
  });
}

/** Draw what each letter adds, up or down, in its colour. */
function playReasons(pen, width, y, reasons, { ink, letters, line }) {
  const shown = reasons.values.subarray(PLAY_MIDDLE + PLAY_FIRST, PLAY_MIDDLE + PLAY_FIRST + PLAY_SHOWN);
  const most = shown.reduce((a, b) => Math.max(a, Math.abs(b)), 1e-9);
  const zero = y + PLAY_REASONS / 2;
  shown.forEach((value, i) => {
    const high = (value / most) * (PLAY_REASONS / 2);
    pen.fillStyle = letters[reasons.codes[i + PLAY_MIDDLE + PLAY_FIRST]] ?? line;
    pen.fillRect(playAcross(i + PLAY_FIRST, width), Math.min(zero, zero - high), 1.2, Math.abs(high));
  });
  pen.fillStyle = line;
  pen.fillRect(PLAY_LEFT, zero, width - PLAY_LEFT - PLAY_RIGHT, 0.7);
  pen.fillStyle = ink;
  pen.textAlign = "right";
  pen.fillText(playNumber(most), PLAY_LEFT - 6, y + 6);
  pen.fillText("0", PLAY_LEFT - 6, zero);
  pen.textAlign = "left";
}

/** Draw the axis with positions, and where bases were edited. */
function playAxis(pen, width, y, view, colours) {
  pen.fillStyle = colours.ink;
  pen.fillRect(PLAY_LEFT, y, width - PLAY_LEFT - PLAY_RIGHT, 1);
  pen.textAlign = "center";
  for (const position of width < 500 ? [-400, -200, 0, 200, 400] : [-400, -300, -200, -100, 0, 100, 200, 300, 400]) {
    const x = playAcross(position + 0.5, width);
    pen.fillRect(x - 0.5, y, 1, 4);
    pen.fillText(playPosition(position), x, y + 13);
  }
  pen.textAlign = "left";
  for (const position of view.edited) {
    const x = playAcross(position + 0.5, width);
    pen.beginPath();
    pen.moveTo(x, y - 7);
    pen.lineTo(x - 4, y);
    pen.lineTo(x + 4, y);
    pen.fill();
  }
}

// --- letter by letter ---------------------------------------------------------------------------

export const PLAY_CELL = 26; // width of a base, in pixels
const PLAY_BARS = 70;
const PLAY_LOGO = 84;
export const PLAY_ZOOM = PLAY_BARS + PLAY_LOGO + 20;

/** Draw `count` bases from `from` on: bars of each panel side by side, letters as large as they count. */
export function playZoom(pen, from, count, view, colours) {
  const zero = PLAY_BARS / 2;
  const unit = (zero - 3) / view.top;
  const share = (PLAY_CELL - 6) / view.panels.length;
  view.panels.forEach((panel, n) => {
    pen.fillStyle = panel.colour;
    panel.tracks.forEach((values, strand) => {
      for (let i = 0; i < count; i++) {
        const high = Math.min(values[from + i - PLAY_FIRST] * unit, zero);
        pen.fillRect(i * PLAY_CELL + 3 + n * share, strand ? zero : zero - high, share - 1, high);
      }
    });
  });
  pen.fillStyle = colours.line;
  pen.fillRect(0, zero, count * PLAY_CELL, 0.7);
  if (view.reasons) playLogo(pen, from, count, view.reasons, colours);
  pen.fillStyle = colours.ink;
  pen.textAlign = "center";
  for (let i = 0; i < count; i++) {
    if ((from + i) % 5) continue;
    pen.fillText(playPosition(from + i), (i + 0.5) * PLAY_CELL, PLAY_BARS + PLAY_LOGO + 10);
  }
  pen.textAlign = "left";
}

/** Draw letters that are as high as what they add; what lowers hangs down. */
function playLogo(pen, from, count, reasons, colours) {
  const shown = reasons.values.subarray(PLAY_MIDDLE + PLAY_FIRST, PLAY_MIDDLE + PLAY_FIRST + PLAY_SHOWN);
  const low = shown.reduce((a, b) => Math.min(a, b), -1e-9);
  const high = shown.reduce((a, b) => Math.max(a, b), 1e-9);
  const unit = (PLAY_LOGO - 8) / (high - low);
  const zero = PLAY_BARS + 4 + high * unit;
  pen.fillStyle = colours.line;
  pen.fillRect(0, zero, count * PLAY_CELL, 0.7);
  pen.save();
  pen.font = "bold 100px system-ui, sans-serif";
  pen.textBaseline = "alphabetic";
  for (let i = 0; i < count; i++) {
    const size = reasons.values[PLAY_MIDDLE + from + i] * unit;
    const code = reasons.codes[PLAY_MIDDLE + from + i];
    if (Math.abs(size) < 0.5 || code > 3) continue;
    const box = pen.measureText(LETTERS[code]);
    pen.save();
    pen.translate(i * PLAY_CELL + 2, zero);
    pen.scale((PLAY_CELL - 4) / box.width, size / box.actualBoundingBoxAscent);
    pen.fillStyle = colours.letters[code];
    pen.fillText(LETTERS[code], 0, 0);
    pen.restore();
  }
  pen.restore();
}

/** A canvas that stands beside text which says the same. */
export function playCanvas(label) {
  return make("canvas", { role: "img", "aria-label": label });
}
