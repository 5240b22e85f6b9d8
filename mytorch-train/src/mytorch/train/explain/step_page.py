"""Training steps as one page that needs nothing beside it: the network, each call of a step, a slider over steps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from string import Template
from typing import Any

from mytorch.train.drawing import PAGE, bundle, plain
from mytorch.train.explain import words
from mytorch.train.explain.steps import Step

SCRIPTS = ("elements.js", "colours.js", "network.js", "steps.js", "moment.js", "explained.js")
Told = tuple[str, float, Sequence[Step], Mapping[str, Any] | None]
"""The title of a step, its loss, its calls, and the network as it is drawn."""


def page(title: str, steps: Sequence[Told]) -> str:
    """A page about training steps on several batches, or on one."""
    data = [
        {
            "title": name,
            "heading": words.heading(loss, calls),
            "steps": [asdict(step) for step in calls],
            "network": drawn,
        }
        for name, loss, calls, drawn in steps
    ]
    text = json.dumps(plain(data), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    frame, style = ((PAGE / name).read_text(encoding="utf-8") for name in ("explained.html", "drawing.css"))
    return Template(frame).substitute(title=escape(title), style=style, data=text, script=bundle(*SCRIPTS))
