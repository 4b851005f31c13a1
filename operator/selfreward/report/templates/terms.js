// Escape hides the explanation of a word; the style sheet shows it.
"use strict";
(() => {
  const quiet = (hide) => document.body.classList.toggle("quiet", hide);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") quiet(true); });
  for (const name of ["focusin", "pointerover", "pointerdown"]) {
    document.addEventListener(name, (event) => { if (event.target.closest?.(".term")) quiet(false); });
  }
})();
