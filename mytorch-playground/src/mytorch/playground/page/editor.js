// The experiment as a form: every change makes another experiment, which is trained from the start.
import { element } from "/drawing/elements.js";

const DATA = {
  Disk: {}, Moons: { noise: 0.1 }, Circles: { noise: 0.05 }, XOR: { noise: 0 }, Spirals: { noise: 0.02, classes: 2 },
  Gaussians: { cluster_std: 0.3, classes: 3 },
};
const CLASSES_OF = ({ train }) => train.classes ?? DATA[train.type].classes ?? 2;
const LAYERS = {
  Linear: (size) => ({ in_features: size, out_features: 8 }), ReLU: () => ({}), Tanh: () => ({}), Sigmoid: () => ({}),
  GELU: () => ({}), LeakyReLU: () => ({}), Dropout: () => ({ p: 0.2 }), BatchNorm1d: (size) => ({ num_features: size }),
  LayerNorm: (size) => ({ normalized_shape: size }),
};
const OPTIMIZERS = { SGD: { lr: 0.1, momentum: 0.9 }, Adam: { lr: 0.01 }, AdamW: { lr: 0.01 }, RMSprop: { lr: 0.01 }, Adagrad: { lr: 0.05 } };
const LOSSES = { CrossEntropyLoss: "as-is", MSELoss: "one-hot" };

export class Editor {
  constructor(form, layers, change, live) {
    Object.assign(this, { form, layers, change, live });
    form.onsubmit = (event) => event.preventDefault();
  }

  show(content, changed) {
    this.content = structuredClone(content);
    Object.assign(this.content.optimizer, changed); // so that another change keeps it
    const { data, optimizer, loss } = this.content;
    const fields = [];
    const known = data.train.type in DATA;
    const names = known ? Object.keys(DATA) : [data.train.type, ...Object.keys(DATA)];
    fields.push(this.choice("Data set", names, data.train.type, (type) => this.setData(type)));
    if (known) {
      fields.push(this.number("Training rows", data.train.samples ?? 1000, (value) => { data.train.samples = value; }));
      for (const [name, usual] of Object.entries(DATA[data.train.type])) {
        fields.push(this.number(name.replace("_", " "), data.train[name] ?? usual, (value) => this.setDataArgument(name, value)));
      }
    }
    fields.push(this.number("Batch size", this.content.batch_size, (value) => { this.content.batch_size = value; }));
    if (loss.type in LOSSES) fields.push(this.choice("Loss", Object.keys(LOSSES), loss.type, (type) => this.setLoss(type)));
    if (optimizer.type in OPTIMIZERS) {
      fields.push(this.choice("Optimizer", Object.keys(OPTIMIZERS), optimizer.type, (type) => {
        this.content.optimizer = { type, ...OPTIMIZERS[type] };
      }));
    }
    const lr = changed.lr ?? optimizer.lr;
    fields.push(this.field("Learning rate (from the next step on)", "number", lr, (value) => this.live({ lr: value })));
    fields.push(this.number("Weight decay", optimizer.weight_decay ?? 0, (value) => { optimizer.weight_decay = value; }));
    fields.push(this.number("Seed", this.content.seed ?? 0, (value) => { this.content.seed = value; }));
    this.form.replaceChildren(...fields);
    this.showLayers();
  }

  field(label, type, value, set) {
    const input = element("input", { type, value, step: "any" });
    input.onchange = () => { if (input.value !== "") set(Number(input.value)); };
    return element("label", { textContent: label }, input);
  }

  number(label, value, set) {
    return this.field(label, "number", value, (given) => { set(given); this.change(this.content); });
  }

  choice(label, names, chosen, set) {
    const select = element("select", {}, ...names.map((name) => element("option", { textContent: name, selected: name === chosen })));
    select.onchange = () => { set(select.value); this.change(this.content); };
    return element("label", { textContent: label }, select);
  }

  setData(type) {
    if (!(type in DATA)) return;
    const { data } = this.content;
    const samples = data.train.samples ?? 1000;
    if (data.split) data.validation = data.split;
    delete data.split;
    const made = (seed) => ({ type, samples, seed, ...DATA[type] });
    data.train = made(0);
    if (data.validation) data.validation = made(2);
    if (data.test) data.test = made(1);
    this.fit();
  }

  setDataArgument(name, value) {
    for (const part of ["train", "validation", "test"]) {
      if (this.content.data[part]) this.content.data[part][name] = value;
    }
    this.fit();
  }

  setLoss(type) {
    this.content.loss = { type };
    this.content.data.targets = LOSSES[type];
  }

  // Sizes follow from layer to layer; the last matrix has a row for each class.
  fit() {
    const { layers } = this.content.model;
    if (!layers) return;
    let size = layers.find((layer) => layer.type === "Linear")?.in_features ?? 2;
    const last = layers.findLastIndex((layer) => layer.type === "Linear");
    layers.forEach((layer, at) => {
      if (layer.type === "Linear") {
        layer.in_features = size;
        if (at === last && this.content.data.train.type in DATA) layer.out_features = CLASSES_OF(this.content.data);
        size = layer.out_features;
      }
      if (layer.type === "BatchNorm1d") layer.num_features = size;
      if (layer.type === "LayerNorm") layer.normalized_shape = size;
    });
  }

  showLayers() {
    const { layers } = this.content.model;
    if (!layers || !layers.every((layer) => layer.type in LAYERS)) {
      this.layers.replaceChildren(element("p", { className: "legend", textContent: "This network is changed in its file." }));
      return;
    }
    const changed = () => { this.fit(); this.change(this.content); };
    const last = layers.findLastIndex((layer) => layer.type === "Linear");
    const chips = layers.map((layer, at) => {
      const parts = [element("span", { textContent: layer.type })];
      if (layer.type === "Linear" && at !== last) parts.push(this.small(layer, "out_features", "Units", changed));
      if (layer.type === "Dropout") parts.push(this.small(layer, "p", "Probability", changed));
      const act = (text, title, work) => {
        const button = element("button", { type: "button", textContent: text, title, onclick: () => { work(); changed(); } });
        button.setAttribute("aria-label", `${title}: ${layer.type}, layer ${at}`);
        return button;
      };
      if (at > 0) parts.push(act("←", "Move toward the inputs", () => layers.splice(at - 1, 2, layers[at], layers[at - 1])));
      if (at !== last) parts.push(act("×", "Remove", () => layers.splice(at, 1)));
      return element("span", { className: "layer" }, ...parts);
    });
    const add = element("select", {}, element("option", { textContent: "Add a layer…", value: "" }),
      ...Object.keys(LAYERS).map((name) => element("option", { textContent: name })));
    add.setAttribute("aria-label", "Add a layer before the last one");
    add.onchange = () => {
      layers.splice(last, 0, { type: add.value, ...LAYERS[add.value](1) });
      changed();
    };
    this.layers.replaceChildren(...chips, add);
  }

  small(layer, name, title, changed) {
    const input = element("input", { type: "number", value: layer[name], step: "any", title });
    input.setAttribute("aria-label", title);
    input.onchange = () => { layer[name] = Number(input.value); changed(); };
    return input;
  }
}
