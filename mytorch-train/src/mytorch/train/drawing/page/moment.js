// What the drawing of a network shows at one call of a training step: forward goes from column to column, and backward
// each column shows the gradient of its outputs, from the last one to the first.
import { element } from "./elements.js";

const LEGENDS = {
  forward: "Forward: the framed column computes its outputs; those behind it wait.",
  loss: "The loss compares the last column with the targets.",
  backward: "Backward: a column whose gradient has come shows it for the first row, orange below 0 and blue above it; those before it wait.",
  update: "The update moves the weights against their gradients.",
};

// network: a NetworkView; tensors: of the drawing as it stands; steps, at: the calls, and which of them is shown.
export function drawMoment(network, tensors, steps, at, legend) {
  const columns = network.columns.slice(1);
  const columnOf = ({ path }) => columns.findIndex((column) => column.layers.some((layer) => layer.path === path));
  const { phase } = steps[at];
  const marked = phase === "forward" || phase === "backward" ? columnOf(steps[at]) : -1;
  let shown = tensors, faint = () => false;
  if (phase === "forward" && marked >= 0) faint = (column) => column > marked;
  if (phase === "backward" || phase === "update") {
    shown = { ...tensors };
    const reached = new Set();
    for (const step of steps.slice(0, at + 1).filter((each) => each.phase === "backward")) {
      const column = columnOf(step);
      if (column < 0) continue;
      if (!reached.has(column) && step.view) shown[`map.${column}`] = gradient(step.view);
      reached.add(column);
    }
    if (phase === "backward") faint = (column) => !reached.has(column);
  }
  network.draw(shown, marked, faint);
  if (marked >= 0) network.reveal(marked);
  legend?.replaceChildren(element("strong", { textContent: LEGENDS[phase] }));
}

function gradient({ shape, levels }) {
  return { shape, data: Uint8Array.from(atob(levels), (letter) => letter.charCodeAt(0)) };
}
