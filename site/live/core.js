// What all live figures share: DNA, networks' weights, and pieces of a page.

export const LETTERS = "ACGT";
export const N = 4; // the code of a base that is not known

/**
 * The live figures by name: functions of an empty element to fill and of what the notebook gave.
 * Each module of a figure adds its own. One that throws leaves the stored picture in place.
 */
export const figures = {};

// --- DNA ----------------------------------------------------------------------------------------

/** The codes 0 to 3 (N is 4) of a sequence's letters. */
export function encode(letters) {
  const codes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) {
    const code = LETTERS.indexOf(letters[i]);
    codes[i] = code < 0 ? N : code;
  }
  return codes;
}

/** The letters of codes. */
export function decode(codes) {
  return Array.from(codes, (code) => LETTERS[code] ?? "N").join("");
}

/** The codes of the other strand, read from its own start. */
export function reverseComplement(codes) {
  return Uint8Array.from(codes, (code) => (code === N ? N : 3 - code)).reverse();
}

/** A message for the reader: what was given, what was wanted. */
export class Refused extends Error {}

/**
 * The letters of what a reader typed, pasted or was sent: one sequence, bare or as FASTA.
 *
 * Lower case becomes upper case, U becomes T; spaces and line ends are left out. Throws `Refused`
 * for anything else than A, C, G, T and, where `unknown` allows them, N.
 */
export function readSequence(text, { least = 1, most = 100000, unknown = false } = {}) {
  if (text.length > 4 * most + 1000) {
    throw new Refused(`That is ${text.length.toLocaleString("en")} characters; at most ${most.toLocaleString("en")} bases are wanted.`);
  }
  const lines = text.trim().split(/\r\n|\r|\n/);
  const heads = lines.filter((line) => line.startsWith(">")).length;
  if (heads > 1) throw new Refused(`That FASTA holds ${heads} records; one is wanted. Paste the one that you mean.`);
  const body = (lines[0].startsWith(">") ? lines.slice(1) : lines).join("");
  const letters = body.replace(/\s+/g, "").toUpperCase().replace(/U/g, "T");
  if (!letters) throw new Refused("There is no sequence; type or paste letters A, C, G and T.");
  const strange = letters.search(unknown ? /[^ACGTN]/ : /[^ACGT]/);
  if (strange >= 0) {
    const sign = Array.from(letters.slice(strange))[0];
    const wanted = unknown ? "A, C, G, T and N" : "A, C, G and T";
    throw new Refused(`Letter ${strange + 1} is “${sign}”; only ${wanted} are wanted.`);
  }
  const bases = (number) => `${number.toLocaleString("en")} base${number === 1 ? "" : "s"}`;
  if (letters.length < least) throw new Refused(`That is ${bases(letters.length)}; at least ${bases(least)} are wanted.`);
  if (letters.length > most) throw new Refused(`That is ${bases(letters.length)}; at most ${bases(most)} are wanted.`);
  return letters;
}

/**
 * The number that a reader wrote into an input. Throws `Refused` if there is none, or one outside
 * of what is wanted; `name` says in the sentence what the number is.
 */
export function readNumber(text, name, { least, most, whole = false }) {
  const kind = whole ? "whole number" : "number";
  const wanted = `a ${kind} from ${least.toLocaleString("en", { maximumFractionDigits: 6 })} to ${most.toLocaleString("en")} is wanted`.replaceAll("-", "−");
  if (!text.trim()) throw new Refused(`There is no ${name}; ${wanted}.`);
  const value = Number(text);
  if (!(value >= least && value <= most) || (whole && !Number.isInteger(value))) {
    throw new Refused(`The ${name} is ${text.trim().slice(0, 20)}; ${wanted}.`);
  }
  return value;
}

// --- random numbers that are the same in every browser -------------------------------------------

/** A generator of numbers in [0, 1) from a seed (mulberry32). */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

// --- weights --------------------------------------------------------------------------------------

/** The numbers of base64 that holds little-endian floats of 32 or 16 bits (IEEE 754). */
export function floats(base64, size) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  if (size === 32) return new Float32Array(bytes.buffer, 0, bytes.length >> 2);
  const bits = new Uint16Array(bytes.buffer, 0, bytes.length >> 1);
  const powers = Array.from({ length: 31 }, (_, exponent) => 2 ** (Math.max(exponent, 1) - 25));
  return Float32Array.from(bits, (half) => {
    const exponent = (half >> 10) & 31;
    const fraction = (half & 1023) + (exponent ? 1024 : 0);
    return (half & 0x8000 ? -fraction : fraction) * (powers[exponent] ?? NaN);
  });
}

/**
 * A network's tensors by name, `{config, tensors: {name: {shape, values}}}`, from what a weights
 * file holds. Throws `Refused` if the file is damaged.
 */
export function unpack(description, base64) {
  let values;
  try {
    values = floats(base64, description.bits);
  } catch {
    values = new Float32Array(0);
  }
  const tensors = {};
  let start = 0;
  for (const [name, shape] of description.tensors) {
    const size = shape.reduce((a, b) => a * b, 1);
    tensors[name] = { shape, values: values.subarray(start, start + size) };
    start += size;
  }
  if (start !== values.length || !values.every(Number.isFinite)) {
    throw new Refused("The file of this network is damaged; load the page again.");
  }
  return { config: description.config, tensors };
}

const arrived = new Map(); // what weights files have handed over, by name
const asked = new Map(); // the promises of those asked for

/** Called by the weights files themselves. */
function handOver(name, description, base64) {
  arrived.set(name, [description, base64]);
}

/** Load the weights of a network, once: a promise of what `unpack` returns, or of a `Refused`. */
export function loadWeights(name) {
  globalThis.tssWeights = handOver;
  if (!asked.has(name)) {
    const promise = loadScript(`weights-${name}.js`).then(
      () => {
        if (!arrived.has(name)) throw new Refused("The file of this network is damaged; load the page again.");
        const found = unpack(...arrived.get(name));
        arrived.delete(name);
        return found;
      },
      () => {
        throw new Refused("The file of this network could not be loaded; check the connection, then load the page again.");
      }
    );
    promise.catch(() => asked.delete(name)); // a second try is allowed
    asked.set(name, promise);
  }
  return asked.get(name);
}

const HERE = globalThis.document?.currentScript?.src;

/** Load a script that lies beside this one; works from disk too, where fetch does not. */
function loadScript(file) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL(file, HERE).href;
    script.onload = resolve;
    script.onerror = reject;
    document.head.append(script);
  });
}

// --- pieces of a page -----------------------------------------------------------------------------

/**
 * Make an element: `make("button", {type: "button", onclick: f}, "Undo")`.
 *
 * Attributes that start with "on" are handlers, `class` and `aria-...` are attributes; children are
 * elements or text, never HTML.
 */
export function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "path", "rect", "line", "text", "circle", "polyline", "title"].includes(tag);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Give a drawing its size in pixels; returns it. */
export function setSize(svg, width, height) {
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  return svg;
}

/**
 * Call `draw(width)` whenever the room in `element` gets another width, but not while it is hidden;
 * returns what draws at the present one.
 */
export function onWidth(element, draw) {
  let width = 0;
  const again = () => { if (width) draw(width); };
  new ResizeObserver(([{ contentRect }]) => {
    if (contentRect.width < 100 || contentRect.width === width) return;
    width = contentRect.width;
    again();
  }).observe(element);
  return again;
}

/** A labelled input of kind range, number, select or text; `label` is shown in front of it. */
export function field(label, input) {
  return make("label", { class: "tss-field" }, make("span", {}, label), input);
}

/** Read an input by a function of its text that may refuse it; a refused input says so itself. */
export function readInput(input, read) {
  input.setAttribute("aria-invalid", "true");
  const value = read(input.value);
  input.removeAttribute("aria-invalid");
  return value;
}

/** Write a number with a true minus sign and no more digits than it needs. */
export function writeShort(value, digits = 2) {
  return write(value, digits).replace(/\.?0+$/, "");
}

/** Write a number with a true minus sign. */
export function write(value, digits = 2) {
  return value.toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");
}
