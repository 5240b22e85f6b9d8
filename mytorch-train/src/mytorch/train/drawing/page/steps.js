// One training step, call by call: forward, loss, backward, update.
import { element, number } from "./elements.js";

const PARTS = `
  <div id="moments" class="moments" role="tablist" aria-label="The calls of the step, in their order"></div>
  <div class="controls">
    <button id="back" title="The call before (left)">Back</button>
    <button id="on" class="primary" title="The next call (right)">Next</button>
  </div>
  <div id="moment" role="tabpanel" tabindex="0"></div>
  <h3>Norms of the gradients along the depth</h3>
  <div id="norms"></div>`;

export class StepsView {
  // section: gets the parts of the view, behind what it has.
  // onSelect: is told the calls of the step, and which of them is shown.
  constructor(section, onSelect = () => {}) {
    section.insertAdjacentHTML("beforeend", PARTS);
    this.section = section;
    this.onSelect = onSelect;
    this.moments = section.querySelector("#moments");
    this.article = section.querySelector("#moment");
    this.norms = section.querySelector("#norms");
    section.querySelector("#back").onclick = () => this.move(-1);
    section.querySelector("#on").onclick = () => this.move(1);
  }

  // at: which call is shown first.
  show(explanation, at = 0) {
    const nested = explanation.steps.some((step) => step.depth > 0);
    this.steps = explanation.steps.filter((step) => (!step.passes_on || step.details.length) && !(nested && step.path === ""));
    this.pictures = new Map(this.steps.flatMap(tensorsOf).filter(({ picture }) => picture).map((each) => [sameAs(each), each.picture]));
    this.buttons = this.steps.map((step, at) => {
      const label = step.phase === "update" ? `update: ${step.layer}` : `${step.phase}: ${step.path || step.layer} ${step.path ? step.layer : ""}`;
      return element("button", { textContent: label, className: step.phase, onclick: () => this.select(at) });
    });
    this.buttons.forEach((button, at) => {
      button.id = `moment-${at}`;
      button.setAttribute("role", "tab");
      button.setAttribute("aria-controls", this.article.id);
    });
    this.moments.replaceChildren(...this.buttons);
    this.section.hidden = false;
    this.drawNorms();
    this.select(Math.min(at, this.steps.length - 1));
  }

  hide() {
    this.section.hidden = true;
  }

  get open() {
    return !this.section.hidden;
  }

  move(by) {
    const focused = this.moments.contains(document.activeElement);
    this.select(Math.max(0, Math.min(this.steps.length - 1, this.at + by)));
    if (focused) this.buttons[this.at].focus({ preventScroll: true });
    this.buttons[this.at].scrollIntoView({ block: "nearest" });
  }

  select(at) {
    this.at = at;
    this.buttons.forEach((button, each) => {
      button.setAttribute("aria-selected", String(each === at));
      button.tabIndex = each === at ? 0 : -1;
    });
    this.article.setAttribute("aria-labelledby", this.buttons[at].id);
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
      element("div", {}, element("h3", { textContent: title }), ...tensors.map((each) => tensor(each, this.pictures))));
    if (step.saved.length) {
      const words = step.saved.map((kept) => `${kept.name} ${kept.shape.join(" × ")}`).join(", ");
      shown.push(element("div", {}, element("h3", { textContent: "is saved for the backward pass" }), element("p", { textContent: words })));
    }
    this.article.replaceChildren(formula, ...shown, ...step.details.map(detail));
    this.onSelect(this.steps, at);
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

const tensorsOf = ({ inputs, parameters, gradients, outputs }) => [...inputs, ...parameters, ...gradients, ...outputs];

// A tensor that one call gives and another one takes comes with its picture once.
const sameAs = ({ shape, low, high, mean, norm }) => JSON.stringify([shape, low, high, mean, norm]);

function tensor(numbers, pictures) {
  const shape = numbers.shape.length ? numbers.shape.join(" × ") : "a number";
  const text = numbers.values !== null
    ? JSON.stringify(numbers.values, (_, value) => (typeof value === "number" ? Number(number(value)) : value))
    : `from ${number(numbers.low)} to ${number(numbers.high)}, mean ${number(numbers.mean)}, norm ${number(numbers.norm)}`;
  const figure = element("figure", { className: "tensor" },
    element("figcaption", {}, element("strong", { textContent: numbers.name }), ` ${shape}: ${text}`));
  const picture = numbers.picture ?? (numbers.values === null && pictures.get(sameAs(numbers)));
  if (picture) figure.append(image(picture));
  if (numbers.histogram.length) figure.append(histogram(numbers));
  return figure;
}

function image({ uri, width, height, what }) {
  const scale = Math.max(1, Math.min(8, Math.floor(220 / Math.max(width, height))));
  return element("img", { src: uri, width: width * scale, height: height * scale, alt: what });
}

// How many of a tensor's numbers lie where between its smallest and its largest.
function histogram({ histogram: counts, low, high, name }) {
  const most = Math.max(...counts) || 1;
  const bars = counts.map((count) => {
    const bar = element("span", { title: `${count}` });
    bar.style.height = `${100 * count / most}%`;
    return bar;
  });
  const box = element("div", { className: "histogram" }, ...bars);
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", `Histogram of ${name} from ${number(low)} to ${number(high)}`);
  return box;
}

// What a layer itself tells of a call: text, a bar for each number, matrices with the names of their rows and columns.
function detail({ title, text, bars, pictures }) {
  const parts = [element("h3", { textContent: title })];
  if (text.length) parts.push(element("pre", { textContent: text.join("\n") }));
  if (bars.length) {
    const most = Math.max(...bars.map(([, value]) => Math.abs(value ?? 0))) || 1;
    parts.push(element("div", { className: "histogram" }, ...bars.map(([name, value]) => {
      const bar = element("span", { title: `${name}: ${number(value)}` });
      bar.style.height = `${100 * Math.abs(value ?? 0) / most}%`;
      return bar;
    })));
  }
  const drawn = pictures.map((picture) => {
    const [down, right] = picture.axes;
    const axes = down ? `, ${down} down, ${right} to the right` : "";
    const caption = element("figcaption", { textContent: `${picture.what}${axes}: ${number(picture.low)} to ${number(picture.high)}` });
    return element("figure", { className: "tensor" }, named(picture), caption);
  });
  return element("div", { className: "detail" }, ...parts, element("div", { className: "pictures" }, ...drawn));
}

// A matrix with the names of its rows beside it and those of its columns above it, where it has some.
function named({ uri, what, rows, columns, width, height }) {
  if (!rows.length && !columns.length) return image({ uri, what, width, height });
  const cell = 15;
  const names = (list, className) => element("div", { className }, ...list.map((name) => element("span", { textContent: name })));
  const picture = element("img", { src: uri, alt: what });
  const wide = columns.length ? width * cell : Math.min(480, width * cell);
  picture.style.width = `${wide}px`;
  picture.style.height = `${height * cell}px`;
  const box = element("div", { className: "matrix" }, names(columns, "across"), names(rows, "down"), picture);
  return box;
}
