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
  Residual: (size) => ({ inner: { type: "Sequential", layers: [{ type: "Linear", in_features: size, out_features: size }, { type: "ReLU" }] } }),
};
const INSIDE = Object.keys(LAYERS).filter((type) => type !== "Residual");
const ELEMENTWISE = ["ReLU", "Tanh", "Sigmoid", "GELU", "LeakyReLU", "Dropout"];
const OPTIMIZERS = {
  SGD: { lr: 0.1, momentum: 0.9, nesterov: false }, Adam: { lr: 0.01, betas: [0.9, 0.999], eps: 1e-8 },
  AdamW: { lr: 0.01, betas: [0.9, 0.999], eps: 1e-8 }, RMSprop: { lr: 0.01, alpha: 0.99, momentum: 0 }, Adagrad: { lr: 0.05, lr_decay: 0 },
};
const LOSSES = { CrossEntropyLoss: "as-is", MSELoss: "one-hot" };
const INITIALIZERS = ["xavier_normal", "xavier_uniform", "kaiming_normal", "kaiming_uniform", "orthogonal", "normal", "zeros"];
const SCHEDULES = {
  StepLR: { step_size: 5, gamma: 0.5 }, ExponentialLR: { gamma: 0.9 }, CosineAnnealingLR: {}, OneCycleLR: { max_lr: 0.1 },
};
const USUAL = "each layer's own", NONE = "none";

export class Editor {
  // change: is given another experiment; live: settings of the optimizer that change while it trains; open: is given the
  // name of an installed experiment.
  constructor(form, layers, { change, live, open }) {
    Object.assign(this, { form, layers, change, live, open });
    form.onsubmit = (event) => event.preventDefault();
  }

  show({ content, changed, name, installed }) {
    this.content = structuredClone(content);
    Object.assign(this.content.optimizer, changed); // so that another change keeps it
    const { data, optimizer, loss } = this.content;
    const fields = [this.pick("Begin with", [...new Set([name, ...installed])], name, (chosen) => this.open(chosen))];
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
    fields.push(...this.initialization());
    if (loss.type in LOSSES) fields.push(this.choice("Loss", Object.keys(LOSSES), loss.type, (type) => this.setLoss(type)));
    fields.push(...this.optimizer(optimizer, changed), ...this.schedule());
    fields.push(this.number("Seed", this.content.seed ?? 0, (value) => { this.content.seed = value; }));
    place(this.form, fields);
    this.showLayers();
  }

  // How weights are drawn; rules of a file are left to it.
  initialization() {
    const said = this.content.initialization;
    if (Array.isArray(said)) return [];
    const names = said ? [...new Set([said.type, ...INITIALIZERS])] : INITIALIZERS;
    return [this.choice("Initialisation", [USUAL, ...names], said?.type ?? USUAL, (type) => {
      if (type === USUAL) delete this.content.initialization;
      else this.content.initialization = { type };
    })];
  }

  // The optimizer and its settings, of which the learning rate changes while it trains.
  optimizer(optimizer, changed) {
    const fields = [];
    const usual = OPTIMIZERS[optimizer.type] ?? {};
    const names = [...new Set([optimizer.type, ...Object.keys(OPTIMIZERS)])];
    fields.push(this.choice("Optimizer", names, optimizer.type, (type) => { this.content.optimizer = { type, ...OPTIMIZERS[type] }; }));
    fields.push(this.field("Learning rate (from the next step on)", changed.lr ?? optimizer.lr, (value) => this.live({ lr: value })));
    for (const [name, value] of Object.entries(usual)) {
      const now = optimizer[name] ?? (optimizer.type === "SGD" && name === "momentum" ? 0 : value);
      if (name === "lr") continue;
      if (typeof value === "boolean") fields.push(this.flag(name, now, (given) => { optimizer[name] = given; }));
      else if (Array.isArray(value)) {
        now.forEach((each, at) => fields.push(this.number(`${name.replace(/s$/, "")} ${at + 1}`, each, (given) => { optimizer[name] = now.with(at, given); })));
      } else fields.push(this.number(name.replace("_", " "), now, (given) => { optimizer[name] = given; }));
    }
    fields.push(this.number("Weight decay", optimizer.weight_decay ?? 0, (value) => { optimizer.weight_decay = value; }));
    return fields;
  }

  // The schedule of the learning rate. It is planned for a number of epochs, which stands beside it.
  schedule() {
    const said = this.content.schedule;
    const names = [...new Set([NONE, ...(said ? [said.type] : []), ...Object.keys(SCHEDULES)])];
    const fields = [this.choice("Schedule", names, said?.type ?? NONE, (type) => {
      if (type === NONE) delete this.content.schedule;
      else this.content.schedule = { type, ...SCHEDULES[type] };
    })];
    if (!said) return fields;
    for (const [name, value] of Object.entries(SCHEDULES[said.type] ?? {})) {
      fields.push(this.number(name.replace("_", " "), said[name] ?? value, (given) => { said[name] = given; }));
    }
    fields.push(this.number("Epochs", this.content.epochs, (value) => { this.content.epochs = value; }));
    return fields;
  }

  field(label, value, set) {
    const onchange = ({ target }) => { if (target.value !== "") set(Number(target.value)); };
    return element("label", { textContent: label }, typed({ value, onchange }));
  }

  number(label, value, set) {
    return this.field(label, value, (given) => { set(given); this.change(this.content); });
  }

  flag(label, value, set) {
    const input = element("input", { type: "checkbox", checked: value });
    input.onchange = ({ target }) => { set(target.checked); this.change(this.content); };
    return element("label", { className: "flag", textContent: label }, input);
  }

  pick(label, names, chosen, set) {
    const select = element("select", {}, ...names.map((name) => element("option", { textContent: name, selected: name === chosen })));
    select.onchange = ({ target }) => set(target.value);
    return element("label", { textContent: label }, select);
  }

  choice(label, names, chosen, set) {
    return this.pick(label, names, chosen, (given) => { set(given); this.change(this.content); });
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
      if (at === last && this.content.data.train.type in DATA) layer.out_features = CLASSES_OF(this.content.data);
      for (const inner of insideOf(layer)) {
        if (inner.type === "Linear") inner.out_features = size; // which is added to what came in
        fitLayer(inner, size);
      }
      size = fitLayer(layer, size);
    });
  }

  showLayers() {
    const { layers } = this.content.model;
    const known = (layer) => layer.type in LAYERS && insideOf(layer).every((inner) => INSIDE.includes(inner.type));
    if (!layers || !layers.every(known)) {
      place(this.layers, [element("p", { className: "legend", textContent: "This network is changed in its file." })]);
      return;
    }
    const last = layers.findLastIndex((layer) => layer.type === "Linear");
    const add = element("select", {}, element("option", { textContent: "Add a layer…", value: "" }),
      ...Object.keys(LAYERS).map((name) => element("option", { textContent: name })));
    add.setAttribute("aria-label", "Add a layer before the last one");
    add.onchange = ({ target: { value } }) => {
      layers.splice(last, 0, { type: value, ...LAYERS[value](1) });
      this.changed();
    };
    place(this.layers, [...layers.map((layer, at) => this.chip(layers, layer, at, last)), element("span", {}, add)]);
  }

  changed() {
    this.fit();
    this.change(this.content);
  }

  // A layer with what can be changed of it.
  chip(layers, layer, at, last) {
    const inside = insideOf(layer);
    const text = inside.length ? `Residual: ${inside.map((inner) => inner.type).join(" + ")}` : layer.type;
    const parts = [element("span", { textContent: text })];
    if (layer.type === "Linear" && at !== last) parts.push(this.small(layer, "out_features", "Units"));
    for (const each of [layer, ...inside]) {
      if (each.type === "Dropout") parts.push(this.small(each, "p", "Probability"));
    }
    const act = (sign, title, work) => {
      const button = element("button", { type: "button", textContent: sign, title, onclick: () => { work(); this.changed(); } });
      button.setAttribute("aria-label", `${title}: ${layer.type}, layer ${at}`);
      parts.push(button);
    };
    if (inside.length) act("−↷", "Remove the residual connection and keep the layers", () => layers.splice(at, 1, ...inside));
    else if (layer.type === "Linear" && at !== last && layer.in_features === layer.out_features) {
      act("+↷", "Add a residual connection around it", () => {
        let end = at + 1;
        while (end < last && ELEMENTWISE.includes(layers[end].type)) end++;
        const inner = layers.slice(at, end);
        layers.splice(at, inner.length, { type: "Residual", inner: { type: "Sequential", layers: inner } });
      });
    }
    if (at > 0) act("←", "Move toward the inputs", () => layers.splice(at - 1, 2, layers[at], layers[at - 1]));
    if (at !== last) act("×", "Remove", () => layers.splice(at, 1));
    return element("span", { className: "layer" }, ...parts);
  }

  small(layer, name, title) {
    const onchange = ({ target }) => { layer[name] = Number(target.value); this.changed(); };
    const input = typed({ value: layer[name], onchange, title });
    input.setAttribute("aria-label", title);
    return input;
  }
}

// An input for a number, which knows whether something is half typed in it.
function typed({ onchange, ...properties }) {
  const input = element("input", { type: "number", step: "any", ...properties });
  input.oninput = ({ target }) => { target.typing = true; };
  input.onchange = (event) => {
    event.target.typing = false;
    onchange(event);
  };
  return input;
}

const controlsOf = (part) => [...part.querySelectorAll("input, select, button")];
const namesOf = (part) => controlsOf(part).map((control) => control.getAttribute("aria-label") ?? part.firstChild.textContent).join("\n");

// Put other parts in the place of those that are there. The part that has the focus stays if one with the same controls
// comes, with what is half typed in it; else the focus goes to what comes in its place.
function place(parent, parts) {
  const focused = [...parent.children].find((part) => part.contains(document.activeElement));
  if (!focused) return parent.replaceChildren(...parts);
  const at = parts.findIndex((part) => namesOf(part) === namesOf(focused));
  if (at < 0) {
    const before = controlsOf(parent).indexOf(document.activeElement);
    parent.replaceChildren(...parts);
    controlsOf(parent).slice(0, before + 1).at(-1)?.focus({ preventScroll: true });
    return;
  }
  adopt(focused, parts[at]);
  for (const part of [...parent.children]) if (part !== focused) part.remove();
  focused.before(...parts.slice(0, at));
  focused.after(...parts.slice(at + 1));
}

// Give the controls of a part what those of another one have and do.
function adopt(part, other) {
  const others = controlsOf(other);
  controlsOf(part).forEach((control, at) => {
    const { value, checked, onchange, onclick } = others[at];
    if (control.tagName === "SELECT") control.replaceChildren(...others[at].children);
    Object.assign(control, { onchange, onclick }, control.typing ? {} : { value, checked });
  });
}

// The layers inside of a residual connection; none of another layer.
function insideOf({ type, inner }) {
  if (type !== "Residual") return [];
  return inner.type === "Sequential" ? inner.layers : [inner];
}

// Give a layer the units that come in, and say how many go out.
function fitLayer(layer, size) {
  if (layer.type === "Linear") {
    layer.in_features = size;
    return layer.out_features;
  }
  if (layer.type === "BatchNorm1d") layer.num_features = size;
  if (layer.type === "LayerNorm") layer.normalized_shape = size;
  return size;
}
