// The game: a promoter that fires on one strand. Judged as tssbook.exercises.chapter_4.one_strand.

import { make, write } from "./core.js";

/** Percent, rounded as the library rounds them. */
function playPercent(share) {
  return Number((100 * share).toFixed(1));
}

/**
 * What the library's check says of a design: `edits`, what the network says of the design and of
 * the promoter as it was ({plus, reads} each), and the rules {most, least}.
 */
function playJudge(edits, now, was, { most, least }) {
  const plus = playPercent(now.plus);
  const score = Math.max(plus, Number((100 - plus).toFixed(1)));
  const rules = [edits >= 1 && edits <= most, now.reads >= was.reads / 2, score >= least];
  return { score, strand: plus >= score ? "+" : "−", rules, passed: rules.every(Boolean) };
}

/** The panel of the game. `start` brings its promoter into the playground. */
export class PlayGame {
  constructor(given, start) {
    this.given = given;
    this.rules = make("ul", { class: "tss-rules" });
    this.said = make("p", { role: "status" });
    this.button = make("button", { type: "button", onclick: start }, "Play with this promoter");
    this.box = make("div", { class: "tss-game" }, make("h3", {}, "The game: fire on one strand"), this.intro(), this.hint(), this.button, this.rules, this.said);
  }

  intro() {
    const { most, least, title } = this.given;
    return make(
      "p",
      {},
      `The promoter is ${title}, simulated; the judge is ProCapNet. Bring ${least} % or more of its profile to one strand (either will do), ` +
        `with 1 to ${most} edits and without losing half of the reads. Your score is that percentage.`
    );
  }

  hint() {
    return make(
      "details",
      {},
      make("summary", {}, "A hint"),
      make("p", {}, "Choose the strand to silence and move the window to its highest peak. The tallest letters there are what the network starts from: change those first, one at a time, and watch the score.")
    );
  }

  /** Show where the game stands; null where another promoter or network is shown. */
  show(judged) {
    this.button.hidden = judged !== null;
    this.rules.hidden = this.said.hidden = judged === null;
    if (judged === null) return;
    const { most, least, best } = this.given;
    const { edits, now, was, knocked } = judged;
    const found = playJudge(edits, now, was, this.given);
    const half = write(was.reads / 2, 0);
    const lines = [`edits: ${edits}; 1 to ${most}`, `predicted reads: ${write(now.reads, 0)}, at least ${half}`, `on the stronger strand (now ${found.strand}): ${write(found.score, 1)} %, at least ${least} %`];
    this.rules.replaceChildren(...lines.map((line, i) => make("li", { class: found.rules[i] ? "tss-kept" : "" }, `${found.rules[i] ? "✓" : "✗"} ${line}`)));
    let said = `Not there yet: ${write(found.score, 1)}.`;
    if (knocked) said = "A filter is out; put it back to play.";
    else if (found.passed) said = `Passed, score ${write(found.score, 1)}. The library's flip_strand, with as many edits, reached ${write(best, 1)}. Save the FASTA; Chapter 4's open task takes it.`;
    if (this.said.textContent !== said) this.said.textContent = said;
  }
}
