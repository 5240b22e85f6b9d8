// Typesets the formulas of a page: elements of the class arithmatex, which hold TeX between \( and \) or \[ and \].
const typeset = () => {
  for (const element of document.querySelectorAll(".arithmatex:not(:has(.katex))")) {
    const source = element.textContent.trim();
    katex.render(source.slice(2, -2), element, { displayMode: source.startsWith("\\["), throwOnError: false });
  }
};
// Both generators offer document$, which also tells of pages that are loaded in place of this one.
if (typeof document$ !== "undefined") document$.subscribe(typeset);
else document.addEventListener("DOMContentLoaded", typeset);
