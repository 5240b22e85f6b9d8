// One training step, call by call: forward, loss, backward, update.
import { number } from "./curve.js";

const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

export class StepsView {
  constructor(section) {
    this.section = section;
    this.moments = section.querySelector("#moments");
    this.article = section.querySelector("#moment");
    this.norms = section.querySelector("#norms");
    section.querySelector("#back").onclick = () => this.move(-1);
    section.querySelector("#on").onclick = () => this.move(1);
  }

  show(explanation) {
    const nested = explanation.steps.some((step) => step.depth > 0);
    this.steps = explanation.steps.filter((step) => !step.passes_on && !(nested && step.path === ""));
    this.buttons = this.steps.map((step, at) => {
      const label = step.phase === "update" ? `update: ${step.layer}` : `${step.phase}: ${step.path || step.layer} ${step.path ? step.layer : ""}`;
      return element("button", { textContent: label, className: step.phase, onclick: () => this.select(at) });
    });
    this.buttons.forEach((button) => button.setAttribute("role", "tab"));
    this.moments.replaceChildren(...this.buttons);
    this.section.hidden = false;
    this.drawNorms();
    this.select(0);
    this.section.scrollIntoView({ block: "nearest" });
  }

  hide() {
    this.section.hidden = true;
  }

  get open() {
    return !this.section.hidden;
  }

  move(by) {
    this.select(Math.max(0, Math.min(this.steps.length - 1, this.at + by)));
  }

  select(at) {
    this.at = at;
    this.buttons.forEach((button, each) => {
      button.setAttribute("aria-selected", String(each === at));
      button.tabIndex = each === at ? 0 : -1;
    });
    const step = this.steps[at];
    const backward = step.phase === "backward";
    const groups = step.phase === "update"
      ? [["gradients", step.gradients], ["before", step.inputs], ["after", step.outputs]]
      : [[backward ? "comes in from above" : "comes in", step.inputs], ["parameters", step.parameters],
         ["is added to the gradients of the parameters", step.gradients],
         [backward ? "goes on to the layer before" : "goes out", step.outputs]];
    const formula = element("div", { className: "formula" },
      element("h3", { textContent: `${step.phase} of ${step.layer}${step.path ? ` (layer ${step.path})` : ""}` }),
      element("p", { className: "legend", textContent: step.summary }),
      element("pre", { textContent: step.formula.join("\n") || "no formula is stated" }));
    const shown = groups.filter(([, tensors]) => tensors.length).map(([title, tensors]) =>
      element("div", {}, element("h3", { textContent: title }), ...tensors.map(tensor)));
    if (step.saved.length) {
      const words = step.saved.map((kept) => `${kept.name} ${kept.shape.join(" × ")}`).join(", ");
      shown.push(element("div", {}, element("h3", { textContent: "is saved for the backward pass" }), element("p", { textContent: words })));
    }
    this.article.replaceChildren(formula, ...shown);
  }

  drawNorms() {
    const rows = [];
    for (const step of this.steps.filter((each) => each.phase === "backward")) {
      for (const [kind, tensors] of [["", step.inputs], ["weight", step.gradients]]) {
        for (const each of tensors) rows.push([kind, `${step.path} ${each.name}`, each.norm]);
      }
    }
    const logs = rows.map(([, , norm]) => (norm > 0 ? Math.log10(norm) : null)).filter((value) => value !== null);
    const low = Math.min(...logs) - 0.5, high = Math.max(...logs);
    this.norms.replaceChildren(
      element("p", { className: "legend", textContent: "On a logarithmic scale, from the loss down to the first layer; blue: gradients of weights." }),
      ...rows.map(([kind, name, norm]) => {
        const share = norm > 0 ? (Math.log10(norm) - low) / (high - low || 1) : 0;
        const bar = element("span", {});
        bar.style.width = `${Math.max(0, share * 100)}%`;
        return element("div", { className: `bar ${kind}` }, element("span", { textContent: name }), bar, element("span", { textContent: number(norm) }));
      }));
  }
}

function tensor(numbers) {
  const shape = numbers.shape.length ? numbers.shape.join(" × ") : "a number";
  const text = numbers.values !== null
    ? JSON.stringify(numbers.values, (_, value) => (typeof value === "number" ? Number(number(value)) : value))
    : `from ${number(numbers.low)} to ${number(numbers.high)}, mean ${number(numbers.mean)}, norm ${number(numbers.norm)}`;
  const figure = element("figure", { className: "tensor" },
    element("figcaption", {}, element("strong", { textContent: numbers.name }), ` ${shape}: ${text}`));
  if (numbers.picture) {
    const { uri, width, height, what } = numbers.picture;
    const scale = Math.max(1, Math.min(8, Math.floor(220 / Math.max(width, height))));
    figure.append(element("img", { src: uri, width: width * scale, height: height * scale, alt: what }));
  }
  return figure;
}
