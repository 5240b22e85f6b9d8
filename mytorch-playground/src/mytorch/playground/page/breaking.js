// Experiments that go wrong: each is loaded and trained by a button.
import { element } from "/drawing/elements.js";

export function showBreaking(section, experiments, start) {
  section.querySelector(".cards").replaceChildren(...experiments.map(({ title, text, toml }) => {
    const button = element("button", { type: "button", textContent: "Load and start", onclick: () => start(toml) });
    button.setAttribute("aria-label", `Load and start: ${title}`);
    return element("article", {}, element("h3", { textContent: title }), element("p", { textContent: text }), button);
  }));
}
