// The plane of the inputs: which class the network predicts at each point, and the training rows.
import { classColour, faded, picture, rgb } from "/drawing/colours.js";

export class PlaneView {
  constructor(canvas, note) {
    this.canvas = canvas;
    this.note = note;
  }

  show(experiment) {
    this.plane = experiment.plane;
    this.points = experiment.tensors;
    this.canvas.hidden = !this.plane;
    this.note.textContent = this.plane
      ? `${this.plane.names[0]} to the right, ${this.plane.names[1]} upward: ${this.points.places.shape[0]} training rows.`
      : "This network's inputs have no plane to draw: it takes other than two columns, or predicts no classes.";
  }

  draw({ tensors }) {
    if (!this.plane || !tensors.class) return;
    const context = this.canvas.getContext("2d");
    const { width, height } = this.canvas;
    const size = tensors.class.shape[0];
    const shades = picture(size, (at) =>
      faded(rgb(classColour(tensors.class.data[at])), 0.12 + 0.5 * tensors.margin.data[at] / 255));
    context.imageSmoothingEnabled = true;
    context.drawImage(shades, 0, 0, width, height);
    const { low, high } = this.plane;
    const { places, classes } = this.points;
    for (let row = 0; row < places.shape[0]; row++) {
      const x = (places.data[2 * row] - low[0]) / (high[0] - low[0]) * width;
      const y = height - (places.data[2 * row + 1] - low[1]) / (high[1] - low[1]) * height;
      context.beginPath();
      context.arc(x, y, 2.4, 0, 7);
      context.fillStyle = classColour(classes.data[row]);
      context.strokeStyle = "#ffffff";
      context.lineWidth = 0.8;
      context.fill();
      context.stroke();
    }
    this.canvas.setAttribute("aria-label", `Decision boundary over ${this.plane.names.join(" and ")}`);
  }
}
