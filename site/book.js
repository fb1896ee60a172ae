// The book's own script, the same in both site engines. Without it the pages still read well.
(function () {
  "use strict";

  // Charts load Vega from here instead of from the network (Quarto's header sets it by itself).
  var script = document.currentScript;
  if (script && !("TSS_VEGA" in window)) {
    window.TSS_VEGA = new URL("vega.js", script.src).href;
  }

  var SCROLLERS = "pre, .tss-scroll, .tss-vega, .cell_output, .cell_output .output,"
    + " .cell-output, .tss-formula, .pst-scrollable-table-container";
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
    page.querySelectorAll("table, img[width]:not(.tss-cover)").forEach(function (thing) {
      if (thing.closest(".pst-scrollable-table-container, .tss-scroll, .cell_output, .cell-output-display")) return;
      var box = document.createElement("div");
      box.className = "tss-scroll";
      thing.replaceWith(box);
      box.append(thing);
    });
  }

  // A box that scrolls fades at its right edge until its end is seen: no column is missed.
  function fadeWhereMoreIs(box) {
    if (!box.matches(SCROLLERS)) return;
    if (box.querySelector("figcaption, img")) return; // a caption would fade with its picture
    box.classList.toggle("tss-more", box.scrollLeft + box.clientWidth < box.scrollWidth - 2);
  }

  // What scrolls must be reachable with the keyboard. Each box is laid out to be measured, so this
  // is done in pieces of 10 ms while the browser has nothing else to do; what is folded waits until
  // it is opened.
  var waiting = new Set();
  var idle = window.requestIdleCallback || function (work) { setTimeout(work, 10); };
  function focusScrollers(page, part) {
    var running = page.dataset.measured === "no";
    if (part.matches(SCROLLERS)) waiting.add(part);
    part.querySelectorAll(SCROLLERS).forEach(function (box) { waiting.add(box); });
    page.dataset.measured = "no";
    if (!running) idle(function work() {
      var end = performance.now() + 10;
      waiting.forEach(function (box) {
        if (performance.now() > end) return;
        waiting.delete(box);
        if (!box.isConnected || box.closest("details:not([open])")) return;
        var wide = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight;
        fadeWhereMoreIs(box);
        if (wide || box.classList.contains("tss-vega")) box.tabIndex = 0;
      });
      if (waiting.size) idle(work);
      else page.dataset.measured = "yes";
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
    // At once, and when the reader turns the device or unfolds a part, a picture has come, or a
    // live figure is ready.
    focusScrollers(page, page);
    window.addEventListener("resize", function () { focusScrollers(page, page); });
    page.addEventListener("toggle", function (event) { focusScrollers(page, event.target); }, true);
    function focusAround(thing) {
      focusScrollers(page, thing.closest(".cell_output, .cell-output, .tss-scroll") || page);
    }
    page.addEventListener("load", function (event) {
      if (event.target.tagName === "IMG") focusAround(event.target);
    }, true);
    var live = new ResizeObserver(function (entries) {
      entries.forEach(function (entry) { focusAround(entry.target); });
    });
    page.querySelectorAll(".tss-live").forEach(function (figure) { live.observe(figure); });
    var scrolled = function (event) { fadeWhereMoreIs(event.target); };
    page.addEventListener("scroll", scrolled, { capture: true, passive: true });
    printOnWhite(document.documentElement);
    loadLive(page);
  }

  // Before the scripts that wait for the whole page: they measure what this one still changes.
  if (document.readyState === "loading") {
    document.addEventListener("readystatechange", start, {once: true});
  } else start();
})();
