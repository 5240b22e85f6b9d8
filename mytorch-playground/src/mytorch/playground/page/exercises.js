// Exercises: one line of a layer's backward is hidden. It is typed or chosen, and judged by the server.
import { element } from "/drawing/elements.js";
import { Progress } from "./progress.js";

const BLANK = "____";

export class ExercisesView {
  constructor(section, ask) {
    const progress = new Progress(() => {
      if (!this.exercises.length) return;
      this.reveal(this.exercises[this.at]);
      this.tally();
    });
    Object.assign(this, { section, ask, exercises: [], progress });
    this.list = section.querySelector("#exercise-list");
    this.article = section.querySelector("#exercise");
    section.querySelector("#forget").onclick = () => {
      if (!confirm("Forget everything that was solved and typed?")) return;
      this.progress.forget();
      this.select(this.at);
    };
  }

  show(exercises) {
    this.exercises = exercises;
    this.buttons = exercises.map((_, at) => element("button", { type: "button", onclick: () => this.select(at, true) }));
    this.list.replaceChildren(...this.buttons.map((button) => element("li", {}, button)));
    const last = exercises.findIndex(({ name }) => name === sessionStorage.getItem("exercise"));
    const open = exercises.findIndex(({ name }) => !this.progress.of(name).solved);
    this.select(Math.max(0, last >= 0 ? last : open));
  }

  tally() {
    const solved = this.exercises.filter(({ name }) => this.progress.of(name).solved).length;
    this.section.querySelector("#progress").textContent = `${solved} of ${this.exercises.length} solved`;
    this.buttons.forEach((button, at) => {
      const { name, title } = this.exercises[at];
      const done = this.progress.of(name).solved;
      button.textContent = `${done ? "✓ " : ""}${title}`;
      button.setAttribute("aria-label", done ? `${title}, solved` : title);
      button.setAttribute("aria-current", String(at === this.at));
    });
  }

  select(at, focus = false) {
    this.at = at;
    const exercise = this.exercises[at];
    const kept = this.progress.of(exercise.name);
    sessionStorage.setItem("exercise", exercise.name);
    this.verdict = element("div", { id: "verdict" });
    this.verdict.setAttribute("role", "status");
    this.hints = element("ol", { id: "hints" });
    this.solution = element("div", { id: "solution" });
    const title = element("h3", { textContent: exercise.title, tabIndex: -1 });
    this.article.replaceChildren(title, element("p", { textContent: exercise.statement }), code(exercise),
      trials(exercise), this.answer(exercise, kept), this.controls(exercise), this.verdict, this.hints, this.solution);
    this.reveal(exercise);
    this.tally();
    if (focus) title.focus();
  }

  // The two ways to answer: a line that is typed, and lines to choose from.
  answer(exercise, kept) {
    const typed = element("textarea", { id: "answer", rows: 2, spellcheck: false, value: kept.text, autocapitalize: "off" });
    typed.setAttribute("aria-describedby", "answer-note");
    typed.oninput = () => {
      typed.rows = Math.max(2, typed.value.split("\n").length);
      this.progress.set(exercise.name, { text: typed.value });
    };
    typed.onkeydown = (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.judge(exercise);
    };
    const typing = element("div", {},
      element("label", { htmlFor: "answer" }, element("code", { textContent: `${exercise.target} =` })), typed,
      element("p", { id: "answer-note", className: "legend", textContent:
        "Python: what belongs behind the equals sign, or several lines that assign it. Ctrl+Enter checks it." }));
    const pieces = element("fieldset", { className: "pieces" },
      element("legend", {}, element("code", { textContent: `${exercise.target} =` })),
      ...exercise.pieces.map((piece) => element("label", {},
        element("input", { type: "radio", name: "piece", value: piece }), element("code", { textContent: piece }))));
    const ways = [["type", "Type it"], ["choose", "Choose from pieces"]].map(([way, label]) => element("label", {},
      element("input", { type: "radio", name: "way", value: way, checked: kept.way === way, onchange: () => take(way) }), label));
    const take = (way) => {
      this.way = way;
      typing.hidden = way !== "type";
      pieces.hidden = way !== "choose";
      this.progress.set(exercise.name, { way });
    };
    this.way = kept.way;
    typing.hidden = kept.way !== "type";
    pieces.hidden = kept.way !== "choose";
    const choice = element("fieldset", { className: "ways" }, element("legend", { className: "hidden", textContent: "How to answer" }), ...ways);
    return element("div", {}, choice, typing, pieces);
  }

  controls(exercise) {
    const button = (id, textContent, onclick, className = "") => element("button", { type: "button", id, textContent, onclick, className });
    this.check = button("check", "Check", () => this.judge(exercise), "primary");
    this.hint = button("hint", "", () => {
      this.progress.set(exercise.name, { hints: Math.min(exercise.hints.length, this.progress.of(exercise.name).hints + 1) });
      this.reveal(exercise);
    });
    this.show_solution = button("show-solution", "Show the solution", () => {
      this.progress.set(exercise.name, { shown: true });
      this.reveal(exercise);
    });
    const next = button("next-exercise", "Next exercise", () => this.select((this.at + 1) % this.exercises.length, true));
    return element("div", { className: "controls" }, this.check, this.hint, this.show_solution, next);
  }

  // Hints as far as they were asked for, and the solution if it was, or if it was found.
  reveal(exercise) {
    const { hints, shown, solved } = this.progress.of(exercise.name);
    this.hints.replaceChildren(...exercise.hints.slice(0, hints).map((hint) => element("li", { textContent: hint })));
    this.hint.textContent = hints < exercise.hints.length ? `Show a hint (${hints} of ${exercise.hints.length} shown)` : "No more hints";
    this.hint.disabled = hints >= exercise.hints.length;
    this.show_solution.disabled = shown || solved;
    this.solution.replaceChildren(...(shown || solved ? [element("h3", { textContent: "Solution" }),
      element("pre", { textContent: `${exercise.target} = ${exercise.solution}` }), element("p", { textContent: exercise.explanation })] : []));
  }

  async judge(exercise) {
    const text = this.way === "type" ? this.article.querySelector("#answer").value
      : this.article.querySelector("input[name=piece]:checked")?.value;
    if (!text?.trim()) return this.tell(false, this.way === "type" ? "Type an answer first." : "Choose a line first.");
    this.check.disabled = true;
    this.verdict.className = "";
    this.verdict.replaceChildren("It is being judged…");
    const { verdict, check } = this; // another exercise may be shown when the answer comes
    const said = await this.ask("/exercises/judge", { name: exercise.name, text });
    check.disabled = false;
    if (said.right) this.progress.set(exercise.name, { solved: true });
    if (verdict === this.verdict) {
      this.tell(said.right, said.error ?? said.text, said);
      this.reveal(exercise);
    }
    this.tally();
  }

  tell(right, text, { line = null, why = "", printed = "" } = {}) {
    const several = line !== null && this.way === "type" && this.article.querySelector("#answer").value.trim().includes("\n");
    const parts = [element("p", {}, element("strong", { textContent: right ? "✓ Right. " : "✗ Not yet. " }),
      `${several ? `Line ${line}: ` : ""}${text}`)];
    if (why) parts.push(element("p", { textContent: why }));
    if (printed) parts.push(element("p", { className: "legend", textContent: "Printed:" }), element("pre", { textContent: printed }));
    this.verdict.className = right ? "right" : "wrong";
    this.verdict.replaceChildren(...parts);
  }
}

// The layer's code, with the hidden line marked.
function code({ layer, target }) {
  const lines = layer.trim().split("\n").map((line) => (line.includes(BLANK)
    ? element("mark", { textContent: line.replace(BLANK, "?") }) : `${line}\n`));
  const pre = element("pre", { className: "code", tabIndex: 0 }, ...lines);
  pre.setAttribute("aria-label", `The layer's code; the line that assigns ${target} is hidden`);
  return pre;
}

// The two sizes with which an answer is judged.
function trials({ trials: [first, second] }) {
  const said = ({ build, inputs }) => [element("code", { textContent: build }), " and the inputs ", element("code", { textContent: inputs })];
  return element("p", { id: "trials", className: "legend" }, "It is judged with ", ...said(first), ", and once more with ",
    ...said(second), ". A shape in brackets stands for random numbers.");
}
