// Out of the page: FASTA, a table of the tracks, a picture.

import { decode, make } from "./core.js";
import { PLAY_FIRST, PLAY_MIDDLE, PLAY_SHOWN } from "./playground-model.js";

/** Hand a file to the browser's downloads. */
export function playDownload(name, blob) {
  const address = URL.createObjectURL(blob);
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

/** A FASTA of what the network reads; its name says where it is from. */
export function playFasta(name, codes) {
  const letters = decode(codes);
  const lines = letters.match(/.{1,60}/g).join("\n");
  return `>${name.replace(/[^\w.+-]+/g, "_")}\n${lines}\n`;
}

/** A table of all shown bases: letters, predicted reads and those of the other panel, if there is one. */
export function playTable(codes, predicted, other, kind) {
  const names = ["position", "base", "predicted_plus", "predicted_minus"];
  if (other) names.push(`${kind}_plus`, `${kind}_minus`);
  const lines = [names.join("\t")];
  for (let i = 0; i < PLAY_SHOWN; i++) {
    const position = i + PLAY_FIRST;
    const values = [...predicted, ...(other ?? [])].map((track) => Number(track[i].toPrecision(5)));
    lines.push([position, decode([codes[PLAY_MIDDLE + position]]), ...values].join("\t"));
  }
  return `${lines.join("\n")}\n`;
}
