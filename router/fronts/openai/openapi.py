"""The OpenAPI 3.1 document and docs/parameters.md, both written from the parameter table.

`python -m router.fronts.openai.openapi > docs/parameters.md` renews the page; a test compares the two.
"""

import sys
from functools import cache
from importlib.metadata import version
from typing import Any

import orjson

from router.fronts.openai.kinds import INT32_MAX, Fixed, Schema
from router.fronts.openai.parameters import PARAMETERS, Api, Parameter, rows
from router.fronts.openai.schemas import BUDGET, FEEDBACK, QUOTE

_REQUIRED: dict[Api, list[str]] = {
    "chat": ["model", "messages"],
    "completions": ["model", "prompt"],
    "embeddings": ["model", "input"],
}
_TITLES: dict[Api, str] = {"chat": "A chat completion", "completions": "A text completion", "embeddings": "Vectors of texts"}
_ERROR: Schema = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
            "required": ["message", "type", "param", "code"],
        }
    },
    "required": ["error"],
}
_FAULTS = {
    "400": "The request must be changed; `param` names the parameter at fault",
    "401": "No API key, or one that nobody holds",
    "403": "This key may not use that pool",
    "404": "No such model, pool or request",
    "415": "The body is not application/json",
    "429": "Come back later: `retry-after` says when; with code `budget_exceeded` the tenant's money is spent",
    "502": "The answer broke off and could not be continued",
    "503": "No replica is ready",
    "504": "The request's own time limit passed",
}
_GOES = {
    "front": "read by Headgate",
    "sampling": "sampling",
    "request": "routing",
    "engine": "the engine",
    "hint": "accepted, no effect",
    "refused": "refused",
}


@cache
def document() -> bytes:
    """The OpenAPI document as JSON."""
    return orjson.dumps(
        {
            "openapi": "3.1.0",
            "info": {"title": "Headgate", "version": version("headgate"), "description": "One endpoint for every model pool."},
            "security": [{"bearer": []}, {}],
            "paths": _paths(),
            "components": {
                "schemas": {"Error": _ERROR, **{api: _body_schema(api) for api in _TITLES}},
                "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            },
        }
    )


def _paths() -> dict[str, Any]:
    model = {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "/v1/chat/completions": {"post": _operation("chat", _TITLES["chat"], _ref("chat"), streams=True)},
        "/v1/completions": {"post": _operation("completions", _TITLES["completions"], _ref("completions"), streams=True)},
        "/v1/embeddings": {"post": _operation("embeddings", _TITLES["embeddings"], _ref("embeddings"))},
        "/v1/headgate/quote": {
            "post": _operation("quote", "Where a chat would go and what it would cost", _ref("chat"), answer=QUOTE)
        },
        "/v1/headgate/feedback": {"post": _operation("feedback", "What an answer was worth", FEEDBACK)},
        "/v1/headgate/budget": {"get": _operation("budget", "What this key's tenant may spend and has spent", answer=BUDGET)},
        "/v1/models": {"get": _operation("models", "Every model this key may ask for")},
        "/v1/models/{model}": {"get": {**_operation("model", "One model"), "parameters": [model]}},
        "/healthz": {"get": _operation("health", "The process answers")},
        "/readyz": {"get": _operation("ready", "New requests can be served")},
        "/metrics": {"get": _operation("metrics", "Prometheus metrics", kind="text/plain")},
    }


def _operation(
    name: str, summary: str, body: Schema | None = None, *, answer: Schema | None = None, streams: bool = False, kind: str = ""
) -> Schema:
    content: Schema = {kind or "application/json": {"schema": answer} if answer else {}}
    if streams:
        content["text/event-stream"] = {}
    error = {"application/json": {"schema": _ref("Error")}}
    operation: Schema = {
        "operationId": name,
        "summary": summary,
        "responses": {
            "200": {"description": "OK", "content": content},
            **{status: {"description": why, "content": error} for status, why in _FAULTS.items()},
        },
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _body_schema(api: Api) -> Schema:
    properties = {row.name: _property(row, required=row.name in _REQUIRED[api]) for row in rows(api)}
    return {"type": "object", "properties": properties, "required": _REQUIRED[api], "additionalProperties": False}


def _property(row: Parameter, *, required: bool) -> Schema:
    schema = row.kind.schema()
    if not required and not isinstance(row.kind, Fixed):
        schema = {"anyOf": [schema, {"type": "null"}]}
    return {**schema, "description": row.note} if row.note else schema


def parameters_page() -> str:
    """docs/parameters.md."""
    lines = [_INTRODUCTION]
    for goes, title in _GOES.items():
        lines.append(f"\n## {title[0].upper()}{title[1:]}\n\n| parameter | endpoints | values | note |\n|---|---|---|---|")
        lines += [_table_row(row) for row in PARAMETERS if row.goes == goes]
    return "\n".join(lines) + "\n"


def _table_row(row: Parameter) -> str:
    note = row.note.replace("|", "\\|")
    return f"| `{row.name}` | {', '.join(row.apis)} | {_values(row.kind.schema())} | {note} |"


def _values(schema: Schema) -> str:
    """A schema in a few words."""
    if "enum" in schema:
        return "only " + ", ".join(f"`{orjson.dumps(one).decode()}`" for one in schema["enum"])
    if forms := schema.get("oneOf") or schema.get("anyOf"):
        return " or ".join(dict.fromkeys(_values(form) for form in forms))
    kind = schema.get("type", "any")
    if kind in ("integer", "number"):
        low, above, high = schema.get("minimum"), schema.get("exclusiveMinimum"), schema["maximum"]
        start = f"above {above:g}" if low is None else f"from {low:g}" if abs(low) < INT32_MAX else ""
        return f"{kind} {start}{f' to {high:g}' if high < INT32_MAX else ''}".strip()
    if kind == "string":
        low, high = schema.get("minLength", 0), schema.get("maxLength", INT32_MAX)
        return f"text, {low} to {high} characters" if high < INT32_MAX else f"text, at least {low} characters"
    return {"boolean": "true or false", "array": "list", "object": "object"}.get(kind, str(kind))


_INTRODUCTION = """# Parameters of the OpenAI endpoints

<!-- Written by `python -m router.fronts.openai.openapi > docs/parameters.md` from router/fronts/openai/parameters.py. -->

Headgate reads every parameter of OpenAI's chat, completions and embeddings, and of vLLM 0.32's own OpenAI server. The rules:

- A wrong type or value is answered with 400 and `{"error": {"message", "type", "param", "code"}}`; `param` names the field.
- A name that is in none of these tables is refused (`unknown_parameter`). With `unknown_parameters: pass` in the router's
  settings it is handed to the engine, which may refuse it.
- `null` means the same as leaving the parameter out.
- What Headgate can't do is refused by name (`unsupported_parameter`), never dropped in silence.
- Contents of messages are texts or lists of text parts; parts are joined with line ends. Other content types are refused.
- Headers: `authorization: Bearer KEY` (or `api-key`, `x-api-key`); `x-request-id` (1 to 128 letters, digits, `-_.:`; goes back
  with the answer); `x-session-id` (requests of one session prefer one replica); `x-headgate-timeout-s` (the time limit).
- A client that closes its side of the connection has hung up: its request ends in the engine at once.

## What comes back beside the answer

The last chunk of a stream, and every whole answer, have an object `headgate`. Whole answers say the same in headers; streams
say there what is known when they start. [The life of a request](request-life.md) tells what the values mean.

| `headgate` | header `x-headgate-…` | |
|---|---|---|
| `request_id` | `request-id` | for feedback |
| `pool`, `model`, `replica`, `reason`, `simulated` | the same | who answered, and why |
| `quality` | `quality` | predicted probability that the answer is good; `null`, no header: nothing was predicted |
| `policy`, `exploring` | the same, where there is one | what it was decided under; the pool was taken to learn about it |
| `cost_usd` | `cost-usd` | all prompts and choices, and dropped answers of a cascade |
| `cached_tokens`, `resumed`, `escalated` | `cached-tokens`, … | found in the cache; replicas lost; answers not good enough |
| `ttft_ms` | | until the first token |
| `footprint` | `energy-wh`, `carbon-g`, `water-ml` | an estimate; `null`, no headers: the pool has no figures |
| `budgets` | `budget-tenant`, `-limit-usd`, `-remaining-usd`, `-resets-at` | in the headers, the one that ends first |

`POST /v1/headgate/quote` takes a chat and says where it would go, what it would cost at most, and whether it would be refused.
`GET /v1/headgate/budget` (also `/v1/budget`) shows the budgets. `POST /v1/headgate/feedback` takes `request_id` and at least
one of `score` (0 to 1), `label` and `better_than` (another request id of yours); a second verdict replaces the first.

A request that no budget is left for is answered with 429, type `insufficient_quota`, code `budget_exceeded`; `retry-after`
says when the window ends, and `x-should-retry` is `true` only where that is within a minute."""


if __name__ == "__main__":
    sys.stdout.write(parameters_page())
