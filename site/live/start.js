// Puts live figures in the place of their stored pictures, when the reader comes near.

import { Refused, encode, figures, loadWeights, make } from "./core.js";
import { Formula } from "./formula.js";
import { ProCapNet } from "./procapnet.js";
import { PromoterNet } from "./promoternet.js";
import { SimpleNet } from "./simplenet.js";
import { ToyCNN, ToyLinear, ToyTraining, toyScore } from "./toy.js";

/** Put a live figure in the place of its picture; the picture stays where that fails. */
async function enliven(place) {
  const box = make("div", { class: "tss-live-box" });
  try {
    await figures[place.dataset.live](box, JSON.parse(place.dataset.given || "{}"));
    place.replaceChildren(box);
    place.classList.add("tss-live-on");
  } catch (error) {
    const said = error instanceof Refused ? error.message : "This figure could not be started; the picture above is what it shows at first.";
    place.append(make("p", { role: "alert" }, said));
    if (!(error instanceof Refused)) throw error;
  }
}

/** Look out for the places of live figures. */
export function start() {
  const watch = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        watch.unobserve(target);
        enliven(target);
      }
    },
    { rootMargin: "400px" }
  );
  for (const place of document.querySelectorAll(".tss-live[data-live]")) {
    if (place.dataset.live in figures) watch.observe(place);
  }
}

// For tests, and for readers who like to look behind things.
globalThis.tssLive = {
  loadWeights, figures, encode, Formula, ProCapNet, PromoterNet, SimpleNet,
  toy: { ToyCNN, ToyLinear, ToyTraining, toyScore },
};
