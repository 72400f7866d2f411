"""The catalogue of faults: each a function of a script, so that any of them compose, on any simulated model.

A model's name says which it has: `heavy-tail+http_500:0.1+cut:0.05` fails one request in ten and cuts one in twenty.
`name:share` hits that share of the requests, each on its own; `name:sharexN` the same share in bursts of about N
requests; `name` alone hits all.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Literal

from lab.sim.script import Script, Step

Kind = Literal["latency", "error", "outcome", "behaviour"]
Change = Callable[[Script, Random], Script]


@dataclass(frozen=True, slots=True)
class Fault:
    """One named fault: what it is about, and what it does to a script."""

    kind: Kind
    about: str
    apply: Change


def _refuse(status: int, code: str, message: str, **headers: str) -> Change:
    return lambda script, _random: script.refused(status, code, message, **headers)


def _cut(action: Literal["close", "reset", "hang"]) -> Change:
    def apply(script: Script, random: Random) -> Script:
        count = random.randint(1, max(1, script.pieces - 1))
        steps = script.parts()[:count]
        return script.until(count, Step(steps[-1].at if steps else 0.0, action))

    return apply


def _at_once(action: Literal["reset", "hang"]) -> Change:
    return lambda script, _random: script.until(0, Step(0.0, action))


def _slow(script: Script, random: Random) -> Script:
    return script.delayed(random.uniform(8.0, 12.0))


def _trickle(script: Script, _random: Random) -> Script:
    return replace(script, steps=tuple(replace(step, at=step.at + number) for number, step in enumerate(script.steps)))


def _ends(reason: str) -> Change:
    def apply(script: Script, random: Random) -> Script:
        count = random.randint(1, max(1, script.pieces - 1))
        return script.until(count, Step(script.parts()[:count][-1].at, "finish", reason))

    return apply


def _after_some(action: Literal["error", "raw"], text: str) -> Change:
    def apply(script: Script, random: Random) -> Script:
        count = random.randint(1, max(1, script.pieces - 1))
        last = script.parts()[:count][-1]
        changed = script.until(count, Step(last.at, action, text), Step(last.at, "close"))
        return replace(changed, body='{"choices": [{' if action == "raw" else None)

    return apply


def _empty(script: Script, _random: Random) -> Script:
    return script.until(0, Step(script.first, "finish", "stop"))


def _refusal(script: Script, _random: Random) -> Script:
    return replace(_empty(script, _random), content="null", refusal="I can't help with that.")


def _with(**changes: Any) -> Change:
    return lambda script, _random: replace(script, **changes)


_HTML = "<!doctype html><html><body><h1>502 Bad Gateway</h1></body></html>"

FAULTS: dict[str, Fault] = {
    "slow": Fault("latency", "a straggler: everything about ten times later", _slow),
    "trickle": Fault("latency", "a second between two pieces", _trickle),
    "hang": Fault("latency", "takes the request and never answers", _at_once("hang")),
    "stall": Fault("latency", "stops in mid-stream and keeps the connection open", _cut("hang")),
    "http_400": Fault("error", "400, a bad field", _refuse(400, "invalid_request_error", "unknown field 'foo'")),
    "http_401": Fault("error", "401, a wrong key", _refuse(401, "invalid_api_key", "incorrect API key provided")),
    "http_403": Fault("error", "403, not allowed", _refuse(403, "permission_denied", "no access to this model")),
    "http_404": Fault("error", "404, no such model", _refuse(404, "model_not_found", "the model does not exist")),
    "http_408": Fault("error", "408, timed out", _refuse(408, "timeout", "request timed out")),
    "http_413": Fault("error", "413, too large", _refuse(413, "request_too_large", "the request is too large")),
    "http_422": Fault("error", "422, unprocessable", _refuse(422, "invalid_request_error", "bad value")),
    "http_500": Fault("error", "500", _refuse(500, "server_error", "internal error")),
    "http_503": Fault("error", "503", _refuse(503, "unavailable", "try again later")),
    "http_504": Fault("error", "504, timed out upstream", _refuse(504, "timeout", "upstream timed out")),
    "overloaded": Fault("error", "529", _refuse(529, "overloaded_error", "overloaded")),
    "rate_limit": Fault(
        "error",
        "429, asks for a second",
        _refuse(429, "rate_limit_exceeded", "too many requests", retry_after="1"),
    ),
    "rate_limit_ms": Fault(
        "error",
        "429, asks for 200 ms",
        _refuse(429, "rate_limit_exceeded", "too many requests", retry_after_ms="200"),
    ),
    "quota": Fault(
        "error", "429, the account is empty", _refuse(429, "insufficient_quota", "you exceeded your current quota")
    ),
    "context": Fault(
        "error", "400, context window", _refuse(400, "context_length_exceeded", "maximum context length is 8192 tokens")
    ),
    "filtered_request": Fault(
        "error", "400, a content filter", _refuse(400, "content_filter", "blocked by our content management policy")
    ),
    "empty": Fault("outcome", "an empty answer", _empty),
    "null": Fault(
        "outcome", "null for an answer", lambda script, random: replace(_empty(script, random), content="null")
    ),
    "no_choices": Fault("outcome", "no choices at all", _with(choices=False)),
    "refusal": Fault("outcome", "the model refuses", _refusal),
    "filter": Fault("outcome", "a filter stops the answer", _ends("content_filter")),
    "length": Fault("outcome", "the answer stops at a length limit", _ends("length")),
    "html": Fault("outcome", "HTML with status 200", _with(body=_HTML)),
    "error_in_200": Fault("outcome", "an error object with status 200", _with(body='{"error": {"message": "gone"}}')),
    "broken": Fault(
        "outcome", "broken JSON, in mid-stream if streamed", _after_some("raw", 'data: {"choices": [{\n\n')
    ),
    "error_event": Fault("outcome", "an error event in mid-stream", _after_some("error", "the model failed")),
    "no_usage": Fault("outcome", "usage is missing", _with(usage=False)),
    "reset": Fault("behaviour", "the connection is reset before any answer", _at_once("reset")),
    "cut": Fault("behaviour", "the connection closes in mid-answer", _cut("close")),
    "cut_reset": Fault("behaviour", "the connection is reset in mid-answer", _cut("reset")),
    "short": Fault("behaviour", "a plain body shorter than announced", _with(short=True)),
    "heartbeats": Fault("behaviour", "harmless: comments between the pieces", _with(quirk="heartbeats")),
    "no_done": Fault("behaviour", "harmless: no [DONE] after the finish", _with(quirk="no_done")),
    "crlf": Fault("behaviour", "harmless: lines end in CR LF", _with(quirk="crlf")),
    "split": Fault("behaviour", "harmless: characters split between packets", _with(quirk="split")),
}
"""Every fault by its name."""

BATCH = {
    "batch_late": "takes ten times as long",
    "batch_expired": "this share of its lines is not done in time",
    "batch_broken": "this share of its results is cut off in mid-line",
    "batch_lost": "the answers to its creation and to the first look at it are lost; it is done all the same",
}
"""Faults of a whole batch, by their names: see `lab.sim.batches`. A single request knows nothing of them."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A fault as a model's name asks for it: on a `share` of requests, in bursts of about `burst`."""

    name: str
    share: float = 1.0
    burst: float = 1.0


_PART = re.compile(r"(?P<name>[a-z_0-9]+)(?::(?P<share>[0-9.]+)(?:x(?P<burst>[0-9.]+))?)?")


def parse(model: str) -> tuple[str, tuple[Chosen, ...]]:
    """`base+fault:share` -> base and faults. Raises `ValueError` for what is no fault."""
    base, *parts = model.split("+")
    chosen = []
    for part in parts:
        match = _PART.fullmatch(part)
        if match is None or match["name"] not in {*FAULTS, *BATCH}:
            raise ValueError(f"no fault {part!r}: one of {', '.join(FAULTS)}, as in steady+http_500:0.1 or +cut:0.2x10")
        fault = Chosen(match["name"], float(match["share"] or 1), float(match["burst"] or 1))
        if not 0 <= fault.share <= 1 or fault.burst < 1:
            raise ValueError(f"{part!r}: a share from 0 to 1, and bursts of at least 1")
        chosen.append(fault)
    return base, tuple(chosen)


class Bursts:
    """Whether each next request is hit: a two-state chain whose long-run share and mean burst are those asked for
    (Gilbert 1960). A burst of 1 is independence."""

    def __init__(self, chosen: Chosen, random: Random):
        self._share, self._random = chosen.share, random
        self._leave = 1 / chosen.burst
        rest = 1 - chosen.share
        self._enter = min(1.0, chosen.share * self._leave / rest) if rest > 0 else 1.0
        self._independent = chosen.burst == 1
        self._on = random.random() < chosen.share

    def next(self) -> bool:
        """The next request's lot."""
        if self._independent:
            return self._random.random() < self._share
        hit = self._on
        self._on = self._random.random() >= self._leave if hit else self._random.random() < self._enter
        return hit or self._share >= 1
