"""What a server takes and gives, for programs: an OpenAPI document."""

from __future__ import annotations

import json
from typing import Any

from mytorch.experiments.runs.run import Run
from mytorch.experiments.serve.answer import answer_schema
from mytorch.experiments.serve.form import Form
from mytorch.experiments.serve.limits import Limits
from mytorch.experiments.serve.media import CSV, JSON, NPZ

REFUSALS = {
    400: "The body is empty, or is not JSON.",
    406: "The model's answer cannot be given in the media type that is asked for.",
    408: "The body does not come in time.",
    413: "The body is too large.",
    415: "The body is of a media type, charset or encoding that is not taken.",
    421: "The request is for a host that the server does not answer for.",
    422: "The rows do not fit: the message names the row, the column, and what was expected.",
    500: "An error of the server; its log tells more.",
    503: "Too many requests at once, or the answer takes too long; try again later.",
}
ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "status": {"type": "integer"},
                "kind": {"type": "string"},
                "message": {"type": "string"},
            },
            "required": ["status", "kind", "message"],
        }
    },
    "required": ["error"],
}


def openapi(run: Run, form: Form, limits: Limits) -> bytes:
    """The document, version 3.1, in which schemas are JSON Schema."""
    answers: dict[str, Any] = {
        "200": {
            "description": "Predictions, in the order of the rows.",
            "content": {
                JSON: {"schema": answer_schema()},
                CSV: {"schema": {"type": "string", "description": "As `mytorch predict` writes it."}},
                NPZ: {"schema": {"description": "Arrays, as `mytorch predict` writes them."}},
            },
        }
    }
    error = {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}
    answers |= {str(status): {"description": text, "content": error} for status, text in REFUSALS.items()}
    body = {"required": True, "description": form.about, "content": form.content()}
    told = {
        "openapi": "3.1.0",
        "info": {
            "title": run.path.name,
            "version": _version(run),
            "description": f"Predictions of a trained model. A request has at most {limits.body} bytes and is "
            f"answered within {limits.seconds:g} seconds.",
        },
        "paths": {
            "/predict": {
                "post": {
                    "operationId": "predict",
                    "summary": "Predict rows.",
                    "requestBody": body,
                    "responses": answers,
                }
            },
            "/health": {"get": _plain("health", "Whether the model answers.", JSON, {"503": {"description": "No."}})},
            "/metrics": {"get": _plain("metrics", "What was counted, for Prometheus.", "text/plain", {})},
        },
        "components": {"schemas": {"Error": ERROR}},
    }
    return json.dumps(told, ensure_ascii=False).encode()


def _version(run: Run) -> str:
    """The version of mytorch by which it was trained, which the document must have one of."""
    versions = run.summary.get("versions")
    return str(versions.get("mytorch-train", "0")) if isinstance(versions, dict) else "0"


def _plain(name: str, summary: str, media: str, others: dict[str, Any]) -> dict[str, Any]:
    told = {"description": summary, "content": {media: {"schema": {}}}}
    return {"operationId": name, "summary": summary, "responses": {"200": told, **others}}
