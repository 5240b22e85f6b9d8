// The network as a drawing: a column for each layer that mixes units, a small picture for each unit, lines for weights.
import { LEVELS, picture, weightColour } from "./colours.js";

const COLUMN = 118, LABEL = 44, PAD = 10, TALL = 560;
const LARGEST = 34, SMALLEST = 14;

export class NetworkView {
  constructor(canvas) {
    this.canvas = canvas;
  }

  show(experiment) {
    this.columns = experiment.columns;
    this.inputs = experiment.plane ? experiment.plane.names : null;
    const counts = this.columns.map((column) => Math.min(column.units ?? 1, 32));
    this.counts = this.inputs ? [this.inputs.length, ...counts] : [1, ...counts];
    const tallest = Math.max(...this.counts);
    this.unit = Math.max(SMALLEST, Math.min(LARGEST, Math.floor(TALL / tallest * 0.8)));
    this.pitch = this.unit + Math.max(4, Math.round(this.unit / 4));
    this.height = LABEL + Math.max(3, tallest) * this.pitch + PAD;
    this.width = PAD * 2 + this.counts.length * COLUMN;
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = this.width * ratio;
    this.canvas.height = this.height * ratio;
    this.canvas.style.width = `${this.width}px`;
    this.canvas.style.height = `${this.height}px`;
    this.context = this.canvas.getContext("2d");
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const words = this.columns.map((column) => `${column.label}${column.units ? ` with ${column.units} units` : ""}`);
    this.canvas.setAttribute("aria-label", `The network: ${["inputs", ...words].join(", then ")}`);
  }

  place(column, unit) {
    const rows = this.counts[column];
    const top = LABEL + (this.height - LABEL - PAD - rows * this.pitch) / 2;
    return [PAD + column * COLUMN + (COLUMN - this.unit) / 2, top + unit * this.pitch];
  }

  draw(frame) {
    const { context } = this;
    const ink = getComputedStyle(document.body).getPropertyValue("--ink");
    context.clearRect(0, 0, this.width, this.height);
    this.columns.forEach((_, at) => this.drawWeights(at, frame.tensors[`weight.${at}`]));
    context.fillStyle = ink;
    context.textAlign = "center";
    context.font = "12px system-ui, sans-serif";
    const labels = ["inputs", ...this.columns.map((column) => column.label)];
    labels.forEach((label, at) => {
      const words = label.split(" + ");
      words.slice(0, 3).forEach((word, line) => {
        context.fillText(word, PAD + (at + 0.5) * COLUMN, 12 + 13 * line, COLUMN - 6);
      });
    });
    this.drawInputs(ink);
    this.columns.forEach((column, at) => this.drawUnits(at + 1, column, frame.tensors[`map.${at}`]));
  }

  drawWeights(at, weight) {
    if (!weight) return;
    const [outputs, inputs] = weight.shape;
    const top = weight.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const { context } = this;
    for (let to = 0; to < outputs; to++) {
      for (let from = 0; from < Math.min(inputs, this.counts[at]); from++) {
        const value = weight.data[to * inputs + from];
        if (Math.abs(value) < 0.02 * top) continue;
        const [x0, y0] = this.place(at, from), [x1, y1] = this.place(at + 1, to);
        context.strokeStyle = weightColour(value, top);
        context.lineWidth = 0.4 + 3 * Math.abs(value) / (top || 1);
        context.beginPath();
        context.moveTo(x0 + this.unit, y0 + this.unit / 2);
        context.bezierCurveTo(x0 + this.unit + 30, y0 + this.unit / 2, x1 - 30, y1 + this.unit / 2, x1, y1 + this.unit / 2);
        context.stroke();
      }
    }
  }

  drawInputs(ink) {
    const { context } = this;
    const names = this.inputs ?? ["rows"];
    names.forEach((name, unit) => {
      const [x, y] = this.place(0, unit);
      context.strokeStyle = ink;
      context.lineWidth = 1;
      if (this.inputs) {
        const ramp = picture(16, (at) => LEVELS[Math.round((unit === 0 ? at % 16 : Math.floor(at / 16)) * 16.9)]);
        context.drawImage(ramp, x, y, this.unit, this.unit);
      }
      context.strokeRect(x, y, this.unit, this.unit);
      context.fillText(name, x + this.unit / 2, y - 2, COLUMN - 6);
    });
  }

  drawUnits(at, column, map) {
    const { context } = this;
    const [units, size] = map ? map.shape : [this.counts[at], 0];
    for (let unit = 0; unit < units; unit++) {
      const [x, y] = this.place(at, unit);
      if (map) {
        const begin = unit * size * size;
        context.drawImage(picture(size, (point) => LEVELS[map.data[begin + point]]), x, y, this.unit, this.unit);
      }
      context.strokeStyle = "#8894a3";
      context.lineWidth = 1;
      context.strokeRect(x, y, this.unit, this.unit);
    }
    if (column.units > units) context.fillText(`and ${column.units - units} more`, PAD + (at + 0.5) * COLUMN, this.height - 2);
  }
}
