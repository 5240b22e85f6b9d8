// The network as a drawing: a column for each layer that mixes units, a small picture for each unit, and what leads there.
import { LEVELS, picture, sheet, weightColour } from "./colours.js";

const GAP = 84, LABEL = 48, SIDE = 42, PAD = 10, TALL = 560;
const LARGEST = 34, SMALLEST = 14, ALONE = 64;
const CELL = 9, BETWEEN = 4;
const HEAD = 84, HEADS_ACROSS = 2;
const RECURRENT = /RNN|LSTM|GRU/;

export class NetworkView {
  constructor(canvas) {
    this.canvas = canvas;
  }

  // What is drawn: `inputs` and `columns` as drawing.py tells them.
  show({ inputs, columns }) {
    this.names = inputs.names.length ? inputs.names : null;
    const drawn = this.names ? this.names.length : inputs.drawn;
    this.columns = [{ ...inputs, drawn, label: "inputs" }, ...columns];
    this.sheets = this.columns.map(() => ({}));
    this.boxes = [];
    let x = SIDE;
    this.columns.forEach((column, at) => {
      const box = this.size(column);
      box.left = x;
      this.boxes.push(box);
      x += box.width + (at < this.columns.length - 1 ? GAP : 0);
    });
    this.width = x + SIDE;
    const tall = Math.max(...this.boxes.map((box) => box.height));
    this.height = LABEL + tall + PAD + 14;
    for (const box of this.boxes) box.top = LABEL + (tall - box.height) / 2;
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = this.width * ratio;
    this.canvas.height = this.height * ratio;
    this.canvas.style.width = `${this.width}px`;
    this.canvas.style.height = `${this.height}px`;
    this.context = this.canvas.getContext("2d");
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.canvas.setAttribute("aria-label", `The network: ${this.columns.map(words).join(", then ")}`);
  }

  // Width and height of a column, and of the row of each of its units; heads of attention stand above the units.
  size({ kind, drawn, steps, heads, filtered }) {
    const largest = kind === "image" && drawn < 4 ? ALONE : LARGEST;
    const box = { unit: Math.max(SMALLEST, Math.min(largest, Math.floor(TALL / drawn * 0.8))), heads: heads ? 2 * (HEAD + 16) : 0 };
    box.pitch = box.unit + Math.max(4, Math.round(box.unit / 4));
    let across = box.unit + (filtered ? 3 * box.unit / 2 : 0);
    if (kind === "steps") {
      box.pitch = Math.max(5, Math.min(14, Math.floor(260 / drawn)));
      across = Math.ceil(steps.of / steps.every) * (CELL + BETWEEN);
    }
    box.width = Math.max(across, heads ? HEADS_ACROSS * (HEAD + 8) : 0);
    box.height = drawn * box.pitch + box.heads;
    return box;
  }

  // The corner of a unit's picture.
  place(at, unit) {
    const box = this.boxes[at];
    return [box.left + box.width - box.unit, box.top + box.heads + unit * box.pitch];
  }

  // Draw the tensors of a frame. `marked` is the column that is framed; `faint` says which others fade.
  draw(tensors, marked = -1, faint = () => false) {
    const { context } = this;
    const style = getComputedStyle(document.body);
    this.ink = style.getPropertyValue("--ink");
    this.dim = style.getPropertyValue("--dim");
    context.clearRect(0, 0, this.width, this.height);
    for (let at = 1; at < this.columns.length; at++) this.drawWeights(at, tensors[`weight.${at - 1}`]);
    this.columns.forEach((column, at) => {
      context.textAlign = "center";
      context.globalAlpha = faint(at - 1) ? 0.25 : 1;
      this.drawLabel(at, column);
      if (at === 0) this.drawInputs(tensors["map.inputs"]);
      else this.drawColumn(at, column, tensors);
      context.globalAlpha = 1;
      if (marked >= 0 && at - 1 === marked) this.frame(at, style.getPropertyValue("--accent"));
    });
  }

  // Scroll to a column, where the drawing is wider than its place.
  reveal(at) {
    const around = this.canvas.parentElement;
    const { left, width } = this.boxes[at + 1];
    if (left < around.scrollLeft || left + width > around.scrollLeft + around.clientWidth) around.scrollLeft = left - GAP;
  }

  frame(at, colour) {
    const { left, top, width, height } = this.boxes[at];
    this.context.strokeStyle = colour;
    this.context.lineWidth = 3;
    this.context.strokeRect(left - 8, top - 8, width + 16, height + 14);
  }

  drawLabel(at, { label }) {
    const { context } = this;
    const { left, width } = this.boxes[at];
    context.fillStyle = this.ink;
    context.font = "12px system-ui, sans-serif";
    const lines = label.split(" + ");
    if (lines.length > 3) lines.splice(2, lines.length, `and ${lines.length - 2} more`);
    lines.forEach((word, line) => context.fillText(word, left + width / 2, 12 + 13 * line, width + GAP - 6));
  }

  drawWeights(at, weight) {
    const { context } = this;
    const from = this.boxes[at - 1], to = this.boxes[at];
    const source = this.skips(at);
    if (source !== null) this.drawSkip(source, at);
    if (!weight || weight.shape[1] !== this.columns[at - 1].drawn) {
      const y = from.top + from.height / 2, end = to.top + to.height / 2;
      this.arrow(from.left + from.width + 10, y, to.left - 12, end);
      return;
    }
    const [outputs, inputs] = weight.shape;
    const top = weight.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    for (let end = 0; end < outputs; end++) {
      for (let begin = 0; begin < inputs; begin++) {
        const value = weight.data[end * inputs + begin];
        if (Math.abs(value) < 0.02 * top) continue;
        const [x0, y0] = this.place(at - 1, begin), [x1, y1] = this.place(at, end);
        context.strokeStyle = weightColour(value, top);
        context.lineWidth = 0.4 + 3 * Math.abs(value) / (top || 1);
        context.beginPath();
        const start = x0 + from.unit, high = y0 + from.unit / 2, low = y1 + to.unit / 2;
        context.moveTo(start, high);
        context.bezierCurveTo(start + 30, high, x1 - 30, low, x1, low);
        context.stroke();
      }
    }
  }

  arrow(x0, y0, x1, y1) {
    const { context } = this;
    context.strokeStyle = context.fillStyle = this.dim;
    context.lineWidth = 1.5;
    context.beginPath();
    context.moveTo(x0, y0);
    context.bezierCurveTo(x0 + 30, y0, x1 - 30, y1, x1, y1);
    context.stroke();
    context.beginPath();
    context.moveTo(x1 + 4, y1);
    context.lineTo(x1 - 4, y1 - 4);
    context.lineTo(x1 - 4, y1 + 4);
    context.fill();
  }

  // The column whose values a residual column adds to what the layers inside made of them; null of other columns.
  skips(at) {
    const own = this.columns[at].layers?.find((layer) => layer.type === "Residual");
    if (!own) return null;
    const inside = (column) => column.layers?.some((layer) => layer.path.startsWith(`${own.path}.`));
    const first = this.columns.findIndex((column) => inside(column));
    return first > 0 && first < at ? first - 1 : null;
  }

  drawSkip(from, to) {
    const { context } = this;
    const begin = this.boxes[from], end = this.boxes[to];
    const x0 = begin.left + begin.width / 2, x1 = end.left + end.width / 2;
    const y = this.height - PAD - 4;
    context.strokeStyle = this.dim;
    context.lineWidth = 1.5;
    context.setLineDash([5, 4]);
    context.beginPath();
    context.moveTo(x0, begin.top + begin.height);
    context.bezierCurveTo(x0, y + 6, x1, y + 6, x1, end.top + end.height);
    context.stroke();
    context.setLineDash([]);
  }

  drawInputs(first) {
    const { context } = this;
    const { unit: side } = this.boxes[0];
    if (!this.names) {
      if (first) this.drawPictures(0, this.columns[0], first);
      else context.strokeRect(...this.place(0, 0), side, side);
      return;
    }
    this.names.forEach((name, unit) => {
      const [x, y] = this.place(0, unit);
      const ramp = picture(16, (at) => LEVELS[Math.round((unit === 0 ? at % 16 : Math.floor(at / 16)) * 16.9)]);
      context.drawImage(ramp, x, y, side, side);
      context.strokeStyle = this.ink;
      context.lineWidth = 1;
      context.strokeRect(x, y, side, side);
      context.textAlign = "right";
      context.fillText(name, x - 5, y + side / 2 + 4, SIDE - 6);
    });
  }

  drawColumn(at, column, tensors) {
    this.drawHeads(at, tensors[`looks.${at - 1}`]);
    const map = tensors[`map.${at - 1}`];
    if (map) this.drawPictures(at, column, map);
    else {
      this.context.strokeStyle = "#8894a3";
      const { unit: side } = this.boxes[at];
      for (let unit = 0; unit < column.drawn; unit++) this.context.strokeRect(...this.place(at, unit), side, side);
    }
    this.drawFilters(at, tensors[`filter.${at - 1}`]);
    const more = (column.units ?? 0) - column.drawn;
    const { left, top, width, height } = this.boxes[at];
    const notes = [more > 0 ? `and ${more} more` : "", column.steps?.every > 1 ? `one of ${column.steps.every} steps` : ""];
    this.context.fillText(notes.filter(Boolean).join(", "), left + width / 2, top + height + 11, width + GAP);
  }

  drawPictures(at, column, map) {
    const [units, high, wide] = map.shape;
    const { context } = this;
    const made = sheet(this.sheets[at], map.data, wide, high, units);
    context.imageSmoothingEnabled = false;
    if (column.kind === "steps") return this.drawSteps(at, column, made, units, wide);
    context.strokeStyle = "#8894a3";
    context.lineWidth = 1;
    const scale = this.boxes[at].unit / Math.max(high, wide);
    for (let unit = 0; unit < units; unit++) {
      const [x, y] = this.place(at, unit);
      context.drawImage(made, 0, unit * high, wide, high, x, y, wide * scale, high * scale);
      context.strokeRect(x, y, wide * scale, high * scale);
    }
  }

  // Steps of a sequence beside each other, each with all units; of a recurrent layer, each leads to the next.
  drawSteps(at, column, made, units, steps) {
    const { context } = this;
    const { left, top, heads, pitch } = this.boxes[at];
    const recurrent = column.layers?.some((layer) => RECURRENT.test(layer.type));
    context.strokeStyle = this.dim;
    context.lineWidth = 1;
    for (let step = 0; step < steps; step++) {
      const x = left + step * (CELL + BETWEEN), y = top + heads;
      context.drawImage(made, step, 0, 1, units, x, y, CELL, units * pitch);
      context.strokeRect(x, y, CELL, units * pitch);
      if (!recurrent || step === 0) continue;
      const middle = y + units * pitch / 2;
      context.beginPath();
      context.moveTo(x - BETWEEN, middle - 3);
      context.lineTo(x, middle);
      context.lineTo(x - BETWEEN, middle + 3);
      context.stroke();
    }
  }

  // Which step looks at which: the step that looks runs down, the one that it looks at to the right.
  drawHeads(at, looks) {
    if (!looks) return;
    const [heads, high, wide] = looks.shape;
    const { context } = this;
    const box = this.boxes[at];
    const made = sheet((box.looks ??= {}), looks.data, wide, high, heads);
    context.imageSmoothingEnabled = false;
    context.strokeStyle = "#8894a3";
    context.fillStyle = this.ink;
    for (let head = 0; head < heads; head++) {
      const x = box.left + (head % HEADS_ACROSS) * (HEAD + 8), y = box.top + Math.floor(head / HEADS_ACROSS) * (HEAD + 16);
      context.drawImage(made, 0, head * high, wide, high, x, y + 12, HEAD, HEAD);
      context.strokeRect(x, y + 12, HEAD, HEAD);
      context.fillText(heads > 1 ? `head ${head}` : "looks at", x + HEAD / 2, y + 9, HEAD);
    }
  }

  drawFilters(at, filters) {
    if (!filters) return;
    const [units, channels, high, wide] = filters.shape;
    const { context } = this;
    const made = sheet((this.boxes[at].kernels ??= {}), filters.data, wide, high, units * channels);
    const { unit: cell } = this.boxes[at];
    const side = cell / 2 - 3;
    context.imageSmoothingEnabled = false;
    for (let unit = 0; unit < units; unit++) {
      const [x, y] = this.place(at, unit);
      for (let channel = 0; channel < channels; channel++) {
        const left = x - (channels - channel) * (side + 3) - 3;
        context.drawImage(made, 0, (unit * channels + channel) * high, wide, high, left, y + cell / 4, side, side);
        context.strokeRect(left, y + cell / 4, side, side);
      }
    }
  }
}

function words(column) {
  const units = column.units ? ` with ${column.units} ${column.kind === "image" ? "channels" : "units"}` : "";
  const steps = column.steps ? ` over ${column.steps.of} steps` : "";
  return `${column.label}${units}${steps}`;
}
