// The page: what the session tells is shown, and what the user does is sent to it.
import { showBreaking } from "./breaking.js";
import { Connection } from "./connection.js";
import { CurveView } from "./curve.js";
import { Editor } from "./editor.js";
import { ExercisesView } from "./exercises.js";
import { PlaneView } from "./plane.js";
import { number } from "/drawing/elements.js";
import { drawMoment } from "/drawing/moment.js";
import { NetworkView } from "/drawing/network.js";
import { StepsView } from "/drawing/steps.js";

const $ = (id) => document.getElementById(id);
const network = new NetworkView($("network"));
const plane = new PlaneView($("plane"), $("plane-note"));
const curve = new CurveView($("curve"), $("history"));
const steps = new StepsView($("movement"), (calls, at) => drawMoment(network, tensors, calls, at, $("moment-legend")));
let lost = null; // an experiment whose session has ended, until it is there again
let unread = null; // what is said of a link that holds no experiment
let offered = null, table = readTable(); // a table of the user, and the one that is trained on
let tensors = {}; // of the drawing as it stands
let experiment = null, playing = false, epochs = 0;

const note = (text) => {
  $("note").hidden = !text;
  $("note").textContent = text ?? "";
};
const connection = new Connection((message) => RECEIVE[message.kind]?.(message), note);
const send = (command) => connection.send(command);
const change = (content) => send({ do: "experiment", content });
const editor = new Editor($("form"), $("layers"), {
  change,
  live: (values) => send({ do: "set", values }),
  open: (name) => send({ do: "experiment", name }),
});

function setPlaying(now) {
  playing = now;
  $("play").textContent = now ? "Pause" : "Play";
}

const RECEIVE = {
  connected({ fresh }) {
    note(null);
    send({ do: "speed", every: Number($("speed").value) });
    lost = fresh ? sessionStorage.getItem("experiment") : null; // whose session has ended since
    if (openLink()) lost = null;
    else if (lost) send({ do: "experiment", toml: lost, table });
  },
  experiment(message) {
    experiment = message;
    epochs = message.history.length;
    note(Object.keys(message.changed).length
      ? "Settings were changed while it trained: reset, so that the file below gives the same weights." : unread);
    unread = null;
    sessionStorage.setItem("experiment", message.toml);
    if (offered && offered.file === message.table) keepTable();
    $("beside").hidden = !message.table;
    $("beside").textContent = `It reads ${message.table}, which neither the download nor a link holds: put that file beside it.`;
    if (message.toml === lost) {
      note("The training before was not kept; its experiment begins anew.");
      lost = null;
    }
    document.title = `${message.name} · mytorch playground`;
    network.show(message);
    plane.show(message);
    curve.show(message);
    editor.show(message);
    steps.hide();
    $("toml").textContent = file();
    setPlaying(message.playing);
  },
  frame(message) {
    requestAnimationFrame(() => send({ do: "seen" }));
    if (!experiment) return; // it was drawn for the page before this one
    tensors = message.tensors;
    network.draw(tensors);
    plane.draw(message);
    curve.add(message);
    $("at-epoch").textContent = message.epoch;
    $("at-step").textContent = message.step;
    $("at-loss").textContent = number(message.loss);
    $("at-lr").textContent = number(message.lr);
    if (steps.open && message.step !== steps.step) steps.hide();
    setPlaying(message.playing);
  },
  pace(message) {
    setPlaying(message.playing);
  },
  epoch({ record }) {
    epochs = record.epoch;
    $("toml").textContent = file();
    curve.epoch(record);
  },
  explanation(message) {
    steps.step = message.step;
    steps.show(message);
    $("network-title").scrollIntoView({ block: "nearest" });
    setPlaying(false);
  },
  ended({ text }) {
    setPlaying(false);
    note(text ? `The training ended: ${text}` : "The training has ended: every epoch is done.");
  },
  error({ text }) {
    note(text);
    offered = null;
    if (experiment) editor.show(experiment);
  },
};

// The table of the user, so that another session can be given it where one has ended.
function readTable() {
  try {
    return JSON.parse(sessionStorage.getItem("table"));
  } catch {
    return null;
  }
}
function keepTable() {
  [table, offered] = [offered, null];
  try {
    sessionStorage.setItem("table", JSON.stringify(table));
  } catch {
    sessionStorage.removeItem("table"); // it is too large for the browser, and kept until the page is loaded again
  }
}

// The file of what was trained so far: with the epochs that are complete, if there are some. A schedule is planned for the
// epochs of the file, which stay.
function file() {
  return epochs && !experiment.content.schedule ? experiment.toml.replace(/^epochs = \d+$/m, `epochs = ${epochs}`) : experiment.toml;
}

const toText = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text))).replaceAll("+", "-").replaceAll("/", "_");
const fromText = (text) =>
  new TextDecoder().decode(Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0)));

// Load the experiment of a link, once: it goes from the address, so that loading the page again leaves the training alone.
function openLink() {
  const given = new URLSearchParams(location.hash.slice(1));
  const shared = given.get("experiment");
  if (shared === null) return false;
  given.delete("experiment");
  history.replaceState(null, "", `#${given}`);
  try {
    send({ do: "experiment", toml: fromText(shared) });
  } catch {
    unread = "The link holds no experiment that can be read: it must be copied as a whole.";
    note(unread);
    return false;
  }
  return true;
}
addEventListener("hashchange", () => {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if ((token !== null && token !== connection.token) || !connection.isOpen) location.reload(); // perhaps another server
  else openLink();
});

const press = {
  play: () => send({ do: playing ? "pause" : "play" }),
  batch: () => send({ do: "batch" }),
  epoch: () => send({ do: "epoch" }),
  explain: () => send({ do: "explain" }),
  reset: () => send({ do: "reset" }),
};
for (const [name, work] of Object.entries(press)) $(name).onclick = work;
$("speed").onchange = () => send({ do: "speed", every: Number($("speed").value) });

// What the server is asked beside the session: exercises, and what is said of an answer.
async function ask(path, content = {}) {
  try {
    const answer = await fetch(`${path}?${new URLSearchParams({ token: connection.token })}`, { method: "POST", body: JSON.stringify(content) });
    return await answer.json();
  } catch {
    return { error: "The playground does not answer. Start it again, and open the address that it prints." };
  }
}

const exercises = new ExercisesView($("exercises"), ask);
let listed = false;
async function open(name) {
  const section = $(name), shut = !section.hidden;
  if (!shut && !listed) {
    const told = await ask("/exercises");
    if (told.error) return note(told.error);
    exercises.show(told.exercises);
    showBreaking($("breaking"), told.breaking, start);
    listed = true;
  }
  section.hidden = shut;
  $(`to-${name}`).setAttribute("aria-expanded", String(!shut));
  if (shut) return;
  section.scrollIntoView({ block: "start" });
  section.querySelector("h2").focus({ preventScroll: true });
}
function start(toml) {
  send({ do: "experiment", toml, play: true });
  $("network-title").scrollIntoView({ block: "center" });
  $("play").focus({ preventScroll: true });
}
press.exercises = () => open("exercises");
press.breaking = () => open("breaking");
$("to-exercises").onclick = press.exercises;
$("to-breaking").onclick = press.breaking;

$("keys").checked = localStorage.getItem("mytorch keys") !== "off";
$("keys").onchange = () => localStorage.setItem("mytorch keys", $("keys").checked ? "on" : "off");
const KEYS = { " ": "play", b: "batch", e: "epoch", l: "explain", r: "reset", x: "exercises", k: "breaking" };
document.addEventListener("keydown", (event) => {
  if (event.target.closest("input, select, textarea, button, pre") || event.ctrlKey || event.metaKey || event.altKey) {
    if (!(steps.open && event.target.closest("#moments"))) return;
  }
  const reads = event.target.closest("#exercises, #breaking") && !["x", "k"].includes(event.key); // and does not train
  if (event.key in KEYS && $("keys").checked && !reads) {
    event.preventDefault();
    press[KEYS[event.key]]();
  }
  if (steps.open && event.key === "ArrowRight") steps.move(1);
  if (steps.open && event.key === "ArrowLeft") steps.move(-1);
});

$("download").onclick = () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([file()], { type: "application/toml" }));
  link.download = `${experiment.name}.toml`;
  link.click();
  URL.revokeObjectURL(link.href);
};
$("share").onclick = async () => {
  const link = `${location.origin}/#experiment=${toText(file())}`; // without the token, which is of this machine
  try {
    await navigator.clipboard.writeText(link);
    note("The link is copied. It holds this experiment, and opens on every machine that has mytorch with: mytorch playground LINK");
  } catch {
    note(link);
  }
};
const take = async (chosen) => {
  if (!chosen) return;
  if (chosen.size > 15e6) return note("A file must have at most 15 megabytes here; train a larger one with mytorch train.");
  const text = await chosen.text();
  if (!chosen.name.endsWith(".csv")) return send({ do: "experiment", toml: text });
  offered = { file: chosen.name, text };
  send({ do: "table", ...offered });
};
$("open").onchange = () => take($("open").files[0]);
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  take(event.dataTransfer.files[0]);
});
