// The playground: a network, a locus, and everything that can be done to them.

import { Refused, decode, field, figures, make } from "./core.js";
import { PlayEditor } from "./playground-editor.js";
import { playDownload, playFasta, playTable } from "./playground-export.js";
import { PlayFilters } from "./playground-filters.js";
import { PlayGame } from "./playground-game.js";
import { PLAY_FRAME, playEdits, playLoad, playPosition } from "./playground-model.js";
import { PLAY_LEAST, PLAY_LINK, PlayState, playLinked, playOwn } from "./playground-state.js";
import { playColours } from "./playground-tracks.js";
import { PlayView, playDense, playSaid } from "./playground-view.js";
import { PlayWords } from "./playground-words.js";

const PLAY_PAUSE = 150; // milliseconds without an edit before letters are explained

class Playground {
  constructor(box, given) {
    this.box = box;
    this.given = given;
    this.state = new PlayState(given);
    this.editor = new PlayEditor({ write: (position, codes) => this.write(position, codes), move: () => this.moved() });
    this.view = new PlayView(box, this.editor);
    this.words = new PlayWords(this.editor, (...word) => this.plant(...word));
    this.filters = new PlayFilters((filter, on) => this.done(this.state.knock(filter, on), `Filter ${filter} is ${on ? "back" : "out"}.`));
    this.game = new PlayGame(given.game, () => this.open({ net: given.game.network, locus: given.game.locus }));
    this.build();
    this.listen();
  }

  // --- the page ---------------------------------------------------------------------------------

  build() {
    const networks = Object.entries(this.given.networks).map(([name, { title }]) => make("option", { value: name }, title));
    this.network = make("select", { onchange: () => this.chooseNetwork(this.network.value) }, ...networks);
    this.locus = make("select", { onchange: () => this.chooseLocus() });
    this.note = make("p", { class: "tss-note" });
    this.said = make("p", { role: "status", class: "tss-said" });
    this.alarm = make("p", { role: "alert" });
    const part = (title, says, ...rest) => [make("h3", {}, title), make("p", {}, says), ...rest];
    this.box.classList.add("tss-playground");
    this.box.append(
      make("div", { class: "tss-row" }, field("Network", this.network), field("Locus", this.locus)),
      this.note, this.tools(), this.said, this.alarm, this.view.tracks, this.view.slide,
      ...part("Letter by letter", "Click a letter to write it there, or click a base and type. Drag along the picture above to move the window.", this.view.zoom, this.editor.box),
      ...part("Words to put in", "Drag a word onto the bases. Or choose one, and write it where the cursor is.", this.words.box),
      this.game.box,
      ...part("The filters that answer most", "Clear a box to take that filter out of the network.", this.filters.box),
      this.own()
    );
  }

  tools() {
    const button = (label, onclick) => make("button", { type: "button", onclick }, label);
    this.back = button("Undo", () => this.step("undo"));
    this.forth = button("Redo", () => this.step("redo"));
    this.fresh = button("Reset", () => this.done(this.state.reset(), "All is as it was."));
    this.address = make("input", { readonly: true, hidden: true, "aria-label": "Link to what you see", onfocus: () => this.address.select() });
    const out = [button("Link", () => this.share()), button("FASTA", () => this.save("fa")), button("Table", () => this.save("tsv")), button("Picture", () => this.save("png"))];
    return make("div", { class: "tss-row", role: "group", "aria-label": "Edits and files" }, this.back, this.forth, this.fresh, ...out, this.address);
  }

  own() {
    this.text = make("textarea", { rows: 4, spellcheck: "false", "aria-label": "Your own sequence, bare or as FASTA" });
    this.wrong = make("p", { role: "alert" });
    const read = make("button", { type: "button", onclick: () => this.readOwn() }, "Read it");
    const wanted = `Bare letters or one FASTA record; A, C, G, T and N; ${PLAY_LEAST} to ${PLAY_FRAME.toLocaleString("en")} bases.`;
    return make("details", {}, make("summary", {}, "Your own sequence"), make("p", {}, wanted), this.text, read, this.wrong);
  }

  listen() {
    this.box.addEventListener("keydown", (event) => {
      if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z" || event.target.matches("textarea")) return;
      event.preventDefault();
      this.step(event.shiftKey ? "redo" : "undo");
    });
    new ResizeObserver(() => this.model && this.view.fit() && this.draw()).observe(this.box);
    const theme = new MutationObserver(() => this.draw());
    theme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme", "class"] });
    theme.observe(document.body, { attributes: true, attributeFilter: ["class"] });
    addEventListener("hashchange", () => this.follow(location.hash));
  }

  // --- networks and loci ------------------------------------------------------------------------

  /** Begin with what the address asks for, or with the first locus. */
  async begin() {
    const [net] = Object.keys(this.given.networks);
    const first = { net, locus: this.lociOf(net)[0] };
    let asked = null;
    try {
      asked = playLinked(location.hash, this.given);
    } catch (error) {
      this.refuse(error);
    }
    await this.show(asked ?? first);
  }

  /** Go where a link leads that was put into the address of the open page. */
  follow(hash) {
    try {
      const asked = playLinked(hash, this.given);
      if (asked) this.open(asked);
    } catch (error) {
      this.refuse(error);
    }
  }

  /** Show a network with a locus; where its file does not load, all stays as it was. */
  async open(asked) {
    try {
      this.alarm.textContent = this.wrong.textContent = "";
      await this.show(asked);
    } catch (error) {
      this.refuse(error);
      this.network.value = this.state.net;
    }
  }

  /** Show a network with a locus. */
  async show(asked) {
    const turn = (this.turn = Symbol()); // a later wish overtakes an earlier one
    const { given, state } = this;
    this.box.setAttribute("aria-busy", "true");
    const model = await playLoad(asked.net, given.networks[asked.net]).finally(() => this.box.removeAttribute("aria-busy"));
    if (turn !== this.turn) return;
    this.model = model;
    state.begin(asked);
    model.knock([]);
    model.set(state.start);
    this.before = model.tracks().map((values) => values.slice());
    this.was = model.judged?.();
    this.other = given.loci[state.locus]?.tracks.map(playDense) ?? null;
    this.fill();
    this.predict();
    this.view.lookAtHighest(this.now);
    this.draw();
    this.tell("");
  }

  lociOf(net) {
    const { world } = this.given.networks[net];
    return Object.keys(this.given.loci).filter((name) => this.given.loci[name].world === world);
  }

  /** Fill lists and notes for the network and the locus. */
  fill() {
    const { given, state } = this;
    this.network.value = state.net;
    const options = this.lociOf(state.net).map((name) => make("option", { value: name }, given.loci[name].title));
    if (state.locus === "own") options.push(make("option", { value: "own" }, "your own sequence"));
    this.locus.replaceChildren(...options);
    this.locus.value = state.locus;
    this.note.textContent = `${state.about.saw} ${given.loci[state.locus]?.note ?? this.aboutOwn()}`;
    this.filters.clear();
    this.words.offer(given.worlds[state.about.world].words);
  }

  /** How one's own sequence is read. */
  aboutOwn() {
    const { own, about } = this.state;
    const [has, wants] = [own.length, about.length].map((n) => n.toLocaleString("en"));
    if (own.length < about.length) return `Your sequence has ${has} bases and the network reads ${wants}: N stand on both sides of it, which say nothing.`;
    if (own.length > about.length) return `Of the ${has} bases of your sequence the network reads the ${wants} in the middle.`;
    return `Your sequence has the ${wants} bases that the network reads.`;
  }

  // --- predictions ------------------------------------------------------------------------------

  /** Let the network follow the state. */
  predict() {
    this.model.knock(this.state.off);
    this.model.follow(this.state.codes);
    this.now = this.model.tracks();
    this.reasons = null;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.explain(), PLAY_PAUSE);
  }

  /** Find out what each letter adds; this takes longer than a prediction, so it waits for a pause. */
  explain() {
    this.reasons = { ...this.model.letters(), codes: this.state.codes };
    if (this.view.width) this.view.show(this);
  }

  draw() {
    const { model, state, view } = this;
    if (!model || !view.width) return;
    view.show(this);
    this.filters.show(model, state.off, view.width, playColours(this.box));
    this.back.disabled = !state.canUndo;
    this.forth.disabled = !state.canRedo;
    this.fresh.disabled = !playEdits(state.codes, state.start) && !state.off.length;
    this.words.show();
  }

  /** The window or the cursor was moved. */
  moved() {
    if (this.view.width) this.view.draw(this.state);
    this.words.show();
  }

  /** Show a change that was made, and say it; nothing happens where there was none. */
  done(changed, happened) {
    if (!changed) return;
    this.predict();
    this.draw();
    this.tell(happened);
  }

  /** Say in numbers what is shown, and what has just happened. */
  tell(happened) {
    const { given, model, state, was } = this;
    this.said.textContent = `${happened} ${playSaid(this)}`.trim();
    const plays = state.net === given.game.network && state.locus === given.game.locus;
    const edits = playEdits(state.start, state.codes);
    this.game.show(plays ? { edits, now: model.judged(), was, knocked: state.off.length > 0 } : null);
  }

  refuse(error) {
    if (!(error instanceof Refused)) throw error;
    this.alarm.textContent = error.message;
  }

  // --- what the reader does ---------------------------------------------------------------------

  chooseNetwork(net) {
    const { given, state } = this;
    const same = state.locus === "own" || given.loci[state.locus].world === given.networks[net].world;
    this.open(same ? { net, locus: state.locus, own: state.own, codes: state.codes } : { net, locus: this.lociOf(net)[0] });
  }

  chooseLocus() {
    if (this.locus.value !== "own") this.open({ net: this.state.net, locus: this.locus.value });
  }

  readOwn() {
    this.wrong.textContent = "";
    try {
      this.open({ net: this.state.net, locus: "own", own: playOwn(this.text.value) });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.wrong.textContent = error.message;
    }
  }

  /** Write letters, from the grid. */
  write(position, codes) {
    this.done(this.state.write(position, codes), `${playPosition(position)} is ${decode(codes)} now.`);
  }

  /** Write a word of the palette. */
  plant(position, codes, name, turned) {
    this.editor.go(position, false);
    this.done(this.state.write(position, codes), `${name}${turned ? ", turned round," : ""} stands at ${playPosition(position)}.`);
  }

  step(way) {
    this.done(this.state[way](), way === "undo" ? "Undone." : "Done again.");
  }

  share() {
    history.replaceState(null, "", this.state.link());
    this.address.value = location.href;
    this.address.hidden = false;
    this.address.focus();
  }

  save(kind) {
    const { given, model, now, other, state, view } = this;
    const name = `playground-${state.net}-${state.locus}`;
    const text = (content) => new Blob([content], { type: "text/plain" });
    const edits = playEdits(state.start, state.codes);
    if (kind === "fa") playDownload(`${name}.fa`, text(playFasta(`${state.net}_${state.locus}_${edits}_edits`, model.part(state.codes))));
    else if (kind === "tsv") playDownload(`${name}.tsv`, text(playTable(state.codes, now, other, given.worlds[state.about.world].kind)));
    else view.picture().toBlob((blob) => playDownload(`${name}.png`, blob));
  }
}

figures.playground = async (box, given) => {
  const playground = new Playground(box, given);
  await playground.begin();
};

// A link to a state leads to the figure, which starts when it comes into sight.
if (globalThis.location?.hash.startsWith(PLAY_LINK)) document.querySelector('[data-live="playground"]')?.scrollIntoView();
