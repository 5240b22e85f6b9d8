"""What a server takes and gives, for people: a page that loads nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from html import escape
from typing import Any

from mytorch.experiments.runs.run import Run
from mytorch.experiments.serve.form import Form
from mytorch.experiments.serve.limits import Limits
from mytorch.experiments.serve.media import CSV, JSON, PNG, TEXT
from mytorch.experiments.serve.table_form import TableForm
from mytorch.plugins import listed

STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); }
td { overflow-wrap: anywhere; }
pre, textarea { font: 14px/1.45 ui-monospace, monospace; background: var(--soft); padding: .7rem; border-radius: 4px; }
pre { overflow: auto; max-height: 24rem; }
textarea { width: 100%; box-sizing: border-box; border: 1px solid var(--line); }
button { font: inherit; padding: .3rem 1.2rem; }
.scroll { overflow-x: auto; }
"""
SCRIPT = """
const curl = document.getElementById("curl");
curl.textContent = curl.textContent.replace("http://HOST:PORT/predict", new URL("predict", location.href));
const [form, media, text, answer] = ["ask", "media", "rows", "answer"].map((id) => document.getElementById(id));
media.addEventListener("change", () => { text.value = media.selectedOptions[0].dataset.example; });
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  answer.textContent = "...";
  try {
    const headers = { "Content-Type": media.value };
    const response = await fetch("predict", { method: "POST", headers, body: text.value });
    const told = await response.text();
    const json = (response.headers.get("Content-Type") || "").startsWith("application/json");
    answer.textContent = response.status + "\\n" + (json ? JSON.stringify(JSON.parse(told), null, 2) : told);
  } catch (error) {
    answer.textContent = "The server does not answer: " + error.message;
  }
});
"""


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


POLICY = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_digest(STYLE)}'; "
    f"script-src 'sha256-{_digest(SCRIPT)}'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
"""Headers under which a browser loads nothing and runs nothing but what the page itself holds."""


def page(run: Run, form: Form, limits: Limits) -> str:
    """The page of a run."""
    name = escape(run.path.name)
    content = form.content()
    typed = {media: told for media, told in content.items() if media in (JSON, CSV, TEXT)}
    examples = {media: _written(told.get("example", "")) for media, told in typed.items()}
    first = next(iter(examples))
    choices = "".join(
        f'<option value="{media}" data-example="{escape(text)}">{media}</option>' for media, text in examples.items()
    )
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name}</title>
<link rel="icon" href="data:,">
<style>{STYLE}</style>
<h1>{name}</h1>
<p>Predictions of a trained model. {escape(_gives(run))}</p>
<h2>Rows</h2>
<p>{escape(form.about)} Send them as {escape(" or ".join(form.takes))}, at most {limits.body / 2**20:g} MiB.</p>
{_columns(form)}
<h2>From a program</h2>
<div class="scroll"><pre id="curl">{escape(_curl(form, first, examples[first]))}</pre></div>
<p>The answer has the form of the request, or the one that <code>Accept</code> names: {JSON}, {CSV}, application/x-npz.
What does not fit is answered with what was expected. <a href="openapi.json">openapi.json</a> tells programs what this
page tells you; <a href="health">health</a> says whether the model answers, and <a href="metrics">metrics</a> has
counts for Prometheus.</p>
<h2>Try it</h2>
<form id="ask">
<p><label>Form <select id="media">{choices}</select></label></p>
<p><label for="rows">Rows</label><br>
<textarea id="rows" rows="10" spellcheck="false">{escape(examples[first])}</textarea></p>
<p><button>Predict</button></p>
</form>
<pre id="answer" aria-live="polite">The answer appears here.</pre>
<script>{SCRIPT}</script>
</html>
"""


def _gives(run: Run) -> str:
    """What is predicted, in a sentence."""
    head, kept = run.head, run.kept
    if head.kind != "numbers":
        return f"It gives the class of each row: {listed(head.classes)}." if head.classes else "It gives classes."
    return f"It gives numbers: {listed(head.names)}." if head.names else f"It gives a number, {kept.target!r}."


def _columns(form: Form) -> str:
    if not isinstance(form, TableForm):
        return ""
    lines = "".join(
        f"<tr><td>{escape(column.name)}<td>{escape(_told(column.schema))}" for column in form.columns[:200]
    )
    more = f"<p>{len(form.columns) - 200} more are in openapi.json.</p>" if len(form.columns) > 200 else ""
    unused = f"<p>Not used, if they are there: {escape(listed(sorted(form.others)))}.</p>" if form.others else ""
    return f'<div class="scroll"><table><tr><th>Column<th>Holds{lines}</table></div>{more}{unused}'


def _told(schema: Any) -> str:
    """A JSON Schema of a cell in words."""
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    words = " or ".join({"string": "a text", "number": "a number", "null": "null"}[kind] for kind in kinds)
    if "enum" in schema:
        words += f": {listed([str(value) for value in schema['enum'] if value is not None])}"
    return f"{words}. {schema['description']}" if "description" in schema else words


def _written(example: Any) -> str:
    if isinstance(example, str):
        return example
    text = json.dumps(example, ensure_ascii=False)
    return json.dumps(example, ensure_ascii=False, indent=1) if len(text) > 100 and _is_flat(example) else text


def _is_flat(example: Any) -> bool:
    return all(isinstance(row, dict) for row in example.get("rows", [[]]))


def _curl(form: Form, media: str, text: str) -> str:
    """The command that asks with the example, or with a file where that is shorter."""
    if PNG in form.takes:
        media, text = PNG, "@image.png"
    data = shlex.quote(text if len(text) < 600 else "@FILE")
    option = "--data-binary" if media != JSON or data == "@FILE" else "--json"
    header = "" if option == "--json" else f" -H 'Content-Type: {media}'"
    return f"curl{header} {option} {data} http://HOST:PORT/predict"
