// The book's own script, the same in both site engines. Without it the pages still read well.
(function () {
  "use strict";

  // Charts load Vega from here instead of from the network (Quarto's header sets it by itself).
  var script = document.currentScript;
  if (script && !("TSS_VEGA" in window)) {
    window.TSS_VEGA = new URL("vega.js", script.src).href;
  }

  var LEADS = /^(Exercise|Note|Predict|Warning|Solution|You will learn)\b/;

  // A quotation that starts with one of the bold lead words becomes a callout.
  function markCallouts(page) {
    page.querySelectorAll("blockquote").forEach(function (quote) {
      var first = quote.querySelector("p");
      var bold = first && first.firstElementChild;
      if (!bold || bold.tagName !== "STRONG" || bold !== first.firstChild) return;
      var lead = LEADS.exec(bold.textContent.trim());
      if (!lead) return;
      var kind = lead[1].toLowerCase().split(" ").pop();
      quote.classList.add("tss-callout", "tss-" + kind);
      quote.setAttribute("role", "note");
    });
  }

  // Wide tables and drawings scroll inside a box of their own.
  function boxWideThings(page) {
    page.querySelectorAll("table, img[width]").forEach(function (thing) {
      if (thing.closest(".pst-scrollable-table-container, .tss-scroll, .cell_output, .cell-output-display")) return;
      var box = document.createElement("div");
      box.className = "tss-scroll";
      thing.replaceWith(box);
      box.append(thing);
    });
  }

  // A box that scrolls fades at its right edge until its end is seen: no column is missed.
  function fadeWhereMoreIs(box) {
    if (box.querySelector("figcaption, img")) return; // a caption would fade with its picture
    function look() {
      box.classList.toggle("tss-more", box.scrollLeft + box.clientWidth < box.scrollWidth - 2);
    }
    box.addEventListener("scroll", look, { passive: true });
    look();
  }

  // What scrolls must be reachable with the keyboard. Each box is laid out to be measured, so this
  // is done while the browser has nothing else to do; what is folded waits until it is opened.
  function focusScrollers(page) {
    var boxes = Array.from(page.querySelectorAll(
      "pre, .tss-scroll, .tss-vega, .cell_output, .cell_output > .output, .cell-output,"
      + " .tss-formula, .pst-scrollable-table-container"
    ));
    var idle = window.requestIdleCallback || function (work) { setTimeout(work, 10); };
    idle(function work(deadline) {
      do {
        var box = boxes.pop();
        if (!box || box.closest("details:not([open])")) continue;
        var wide = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight;
        if (box.scrollWidth > box.clientWidth + 2) fadeWhereMoreIs(box);
        if (wide || box.classList.contains("tss-vega")) box.tabIndex = 0;
      } while (boxes.length && deadline && deadline.timeRemaining() > 40);
      if (boxes.length) idle(work);
      else page.dataset.measured = "";
    });
  }

  // Paper is white: Sphinx's dark theme steps aside while a page is printed.
  function printOnWhite(root) {
    var theme;
    window.addEventListener("beforeprint", function () {
      theme = root.dataset.theme;
      if (theme) root.dataset.theme = "light";
    });
    window.addEventListener("afterprint", function () { if (theme) root.dataset.theme = theme; });
  }

  // Live figures: their script and style, only where there are any.
  function loadLive(page) {
    if (!script || !page.querySelector(".tss-live")) return;
    var style = document.createElement("link");
    style.rel = "stylesheet";
    style.href = new URL("live.css", script.src).href;
    var code = document.createElement("script");
    code.src = new URL("live.js", script.src).href;
    document.head.append(style, code);
  }

  function start() {
    var page = document.querySelector("main");
    if (!page) return;
    markCallouts(page);
    boxWideThings(page);
    var focus = function () { focusScrollers(page); };
    focus();
    window.addEventListener("resize", focus);
    page.addEventListener("toggle", focus, true);
    printOnWhite(document.documentElement);
    loadLive(page);
  }

  // Before the scripts that wait for the whole page: they measure what this one still changes.
  if (document.readyState === "loading") {
    document.addEventListener("readystatechange", start, {once: true});
  } else start();
})();
