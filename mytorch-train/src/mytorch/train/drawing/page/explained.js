// A page about training steps that it holds itself, one for each batch.
import { element } from "./elements.js";
import { drawMoment } from "./moment.js";
import { NetworkView } from "./network.js";
import { StepsView } from "./steps.js";

const at = (id) => document.getElementById(id);
const told = JSON.parse(at("explained").textContent);
const network = new NetworkView(at("network"));
const ARRAYS = { u8: Uint8Array, f32: Float32Array };
let tensors = {}, shown = null;

function unpacked({ shape, dtype, data }) {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  return { shape, data: new ARRAYS[dtype](bytes.buffer) };
}

const view = new StepsView(at("movement"), (calls, place) => {
  if (shown.network) drawMoment(network, tensors, calls, place, at("moment-legend"));
});

// Another batch, at the same call.
function show(batch) {
  shown = told[batch];
  at("title").textContent = shown.title;
  at("heading").textContent = shown.heading;
  at("number").textContent = `${batch + 1} of ${told.length}`;
  if (shown.network) {
    tensors = Object.fromEntries(Object.entries(shown.network.tensors).map(([name, packed]) => [name, unpacked(packed)]));
    network.show(shown.network);
  } else at("moment-legend").replaceChildren(element("span", { textContent: "This network cannot be drawn from one row." }));
  view.show(shown, view.at ?? 0);
}

at("batches").hidden = told.length < 2;
at("batch").max = told.length;
at("batch").oninput = () => show(Number(at("batch").value) - 1);
document.addEventListener("keydown", (event) => {
  if (event.target.closest("input, .scroll, pre") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "ArrowRight") view.move(1);
  if (event.key === "ArrowLeft") view.move(-1);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => view.select(view.at));
show(0);
