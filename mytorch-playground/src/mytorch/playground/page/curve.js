// The losses as they come, and the numbers of the last epochs. `uPlot` is global: it comes as a script of its own.
import { CLASSES } from "/drawing/colours.js";
import { number } from "/drawing/elements.js";

export class CurveView {
  constructor(box, table) {
    this.box = box;
    this.table = table;
  }

  show(experiment) {
    this.points = experiment.curve.map(([step, loss]) => [step, loss]);
    this.history = [...experiment.history];
    this.batches = experiment.batches;
    this.chart?.destroy();
    const ink = getComputedStyle(document.body).getPropertyValue("--dim");
    const axis = { stroke: ink, grid: { stroke: "#8884", width: 1 }, ticks: { stroke: "#8884" } };
    this.chart = new window.uPlot({
      width: this.box.clientWidth || 300,
      height: 170,
      scales: { x: { time: false } },
      cursor: { y: false },
      legend: { show: false },
      series: [
        { label: "step" },
        { label: "batches", stroke: CLASSES[4], width: 1 },
        { label: "epoch, training", stroke: CLASSES[0], width: 2, spanGaps: true },
        { label: "epoch, validation", stroke: CLASSES[1], width: 2, spanGaps: true },
      ],
      axes: [axis, { ...axis, size: 54 }],
    }, this.data(), this.box);
    this.list();
  }

  data() {
    const rows = new Map(this.points.map(([step, loss]) => [step, [loss, null, null]]));
    for (const record of this.history) {
      const step = record.epoch * this.batches;
      const row = rows.get(step) ?? [null, null, null];
      row[1] = record.train_loss;
      row[2] = record.validation_loss ?? null;
      rows.set(step, row);
    }
    const steps = [...rows.keys()].sort((a, b) => a - b);
    return [steps, ...[0, 1, 2].map((at) => steps.map((step) => rows.get(step)[at]))];
  }

  add(frame) {
    if (frame.loss === null || frame.step <= (this.points.at(-1)?.[0] ?? 0)) return;
    this.points.push([frame.step, frame.loss]);
    if (this.points.length > 2000) this.points = this.points.filter((_, at) => at % 2);
    this.chart.setData(this.data());
  }

  epoch(record) {
    this.history.push(record);
    this.list();
  }

  list() {
    const last = this.history.slice(-4).reverse();
    const names = Object.keys(last[0] ?? {}).filter((name) => name !== "seconds" && name !== "lr");
    const short = (name) => name.replace("train_", "training ").replace("validation_", "valid. ").replaceAll("_", " ");
    const cells = (tag, entries) => entries.map((entry) => Object.assign(document.createElement(tag), { textContent: entry }));
    const line = (tag, entries) => {
      const row = document.createElement("tr");
      row.append(...cells(tag, entries));
      return row;
    };
    this.table.tHead.replaceChildren(line("th", names.map(short)));
    this.table.tBodies[0].replaceChildren(...last.map((record) => line("td", names.map((name) => number(record[name])))));
  }
}
