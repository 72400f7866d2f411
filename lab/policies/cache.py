"""An answer that is there already: to the same request, or to one that may have the same answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from lab import errors
from lab.policies.kernel import Events, Kept, Layer, Proceed, Settings, Try, World, delayed
from lab.policies.validate import among, number, whole_number
from lab.values import Event

Scope = Literal["all", "user", "prompt"]
LOOK = (0.02, 0.25)
"""Seconds between two looks at whether another process has its answer: the first, and the longest."""
PIECES = 32
"""Pieces in which a stored answer is streamed, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """Answers to requests that are said in other words, once it is known how often that spoils one.

    `false_hits`: the share of near hits that may be wrong, above 0 and below 1; nothing is served before labels certify
    it, with 95 % confidence. `shadow`: the share of would-be hits that is asked all the same and compared, from then on
    (before, all are). `labels`: how many labels the first look waits for; by default as few as can certify the share,
    if none is wrong (59 for 5 %, 149 for 2 %). `same` says whether two answers that aren't equal do the same: a
    function of the two texts, the kept one first, or the name of a model that is asked; by default values under a
    schema and short labels have to be equal, and of longer texts a person says it, on the page Cache. `embed`:
    `local/minilm` on this machine, a LiteLLM embedding model, or a function of a text that returns numbers.
    """

    false_hits: float = 0.02
    shadow: float = 0.1
    labels: int | None = None
    same: str | Callable[[str, str], Any] | None = None
    embed: str | Callable[[str], Any] = "local/minilm"

    def __post_init__(self) -> None:
        for name, least in (("false_hits", "above 0"), ("shadow", "above 0")):
            share = getattr(self, name)
            right = isinstance(share, int | float) and not isinstance(share, bool) and share > 0
            if not right or (share >= 1 if name == "false_hits" else share > 1):
                limit = "and below 1" if name == "false_hits" else "and at most 1"
                raise ValueError(f"Near({name}={share!r}): a share {least} {limit}, such as 0.02")
        whole_number(self, "labels", least=1, optional=True)
        for name in ("same", "embed"):
            value: Any = getattr(self, name)
            if isinstance(value, dict):
                raise ValueError(
                    f"Near({name}=...): {next(iter(value.values()), 'it')} is a function, which a policy that was"
                    " written down has lost: make the policy anew"
                )
            named = isinstance(value, str) and value.strip()
            if not (named or callable(value) or (value is None and name == "same")):
                raise ValueError(f"Near({name}={value!r}): the name of a model, or a function")
            if callable(value) and getattr(type(value), "__hash__", None) is None:
                raise ValueError(f"Near({name}={value!r}): a function, or an object that can be hashed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """Answers that passed their checks are kept, and given again to the same request.

    The same is: model, messages, parameters, schema, checks, prompt version, headers, address, and whose key it is. A
    cell of an experiment is the same as the same cell of another one. `ttl`:
    seconds for which an answer may be given again; None is for ever. `scope`: whom it may be given to, `all`, the same
    `user`, or calls of the same `prompt` (calls without a user, or a prompt, are not kept then). `near`: requests in
    other words, too. `entries` and `megabytes` bound what is kept in this ledger; the oldest go first.
    """

    ttl: float | None = 86_400.0
    scope: Scope = "all"
    near: Near | None = None
    entries: int = 100_000
    megabytes: float = 500.0

    def __post_init__(self) -> None:
        number(self, "ttl", above=True, optional=True)
        among(self, "scope", get_args(Scope))
        whole_number(self, "entries", least=1)
        number(self, "megabytes", above=True)
        given: Any = self.near  # JSON brings a dictionary
        if isinstance(given, dict):
            object.__setattr__(self, "near", Near(**given))
        elif given is not None and not isinstance(given, Near):
            raise ValueError(f"Cache(near={given!r}): a Near(...), or None for the same requests alone")

    def content(self) -> dict[str, Any]:
        """As plain JSON values; of a function its name alone, which can't be read back."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        if self.near is not None:
            plain["near"] = {field.name: _written(getattr(self.near, field.name)) for field in fields(self.near)}
        return plain


def _written(value: Any) -> Any:
    return {"function": named(value)} if callable(value) else value


def named(function: Any) -> str:
    """A function's name, with the module it is from."""
    kind = function if hasattr(function, "__qualname__") else type(function)
    return f"{kind.__module__}.{kind.__qualname__}"


async def cached(kept: Kept, attempt: Try, proceed: Proceed) -> Events:
    """The answer that is kept for this request, or for one that may have the same; else that of `proceed`, which is
    kept then. Whoever asks the same meanwhile waits for it, and asks for himself where that fails."""
    wait, waited = LOOK[0], False
    now = asyncio.get_running_loop().time
    while (claim := await kept.take()).state != "mine":
        if claim.state == "done":
            done = await kept.stored()
            if done is None:
                continue
            for event in _again(done, attempt):
                yield event
            return
        if not waited:
            attempt, _ready = await delayed(attempt, kept.ready())
            waited = True
        if attempt.deadline is not None and now() + wait > attempt.deadline:
            raise errors.TimeoutError(
                f"{attempt.call.model}: the call was not finished in time, waiting for the same request", phase="total"
            )
        if not await kept.other(wait, attempt.deadline):
            break
        wait = min(LOOK[1], wait * 1.5)
    events = _asked(kept, attempt, proceed)
    try:
        async for event in events:
            yield event
    finally:
        await events.aclose()


async def _asked(kept: Kept, attempt: Try, proceed: Proceed) -> Events:
    """The answer to a request in other words, or that of `proceed`."""
    renewing, failed = asyncio.create_task(kept.renew()), False
    try:
        done = await kept.near(attempt.deadline)
        if done is not None:
            for event in _again(done, attempt):
                yield event
            return
        events = proceed(attempt)
        try:
            async for event in events:
                if event.reply is not None:
                    kept.answered(event)
                yield event
        finally:
            await events.aclose()
    except errors.LabError:
        failed = True
        raise
    finally:
        renewing.cancel()
        kept.release(failed)


def _again(done: Event, attempt: Try) -> list[Event]:
    """A stored answer as the events of one that comes now."""
    assert done.reply is not None
    text = done.reply.text
    size = max(16, -(-len(text) // PIECES)) if attempt.call.streamed else max(1, len(text))
    pieces = [Event("piece", done.at, text=text[start : start + size]) for start in range(0, len(text), size)]
    return [*pieces, done]


def _around(world: World, below: Proceed) -> Proceed:
    keeps = world.kept
    if keeps is None or world.settings.of(Cache) is None:
        return below

    def proceed(attempt: Try) -> Events:
        kept = keeps(attempt.call)
        return below(attempt) if kept is None else cached(kept, attempt, below)

    return proceed


def _says(settings: Settings) -> str | None:
    cache = settings.of(Cache)
    if cache is None:
        return None
    time = "for ever" if cache.ttl is None else f"for {cache.ttl:g} s"
    near = f"; in other words, too, with at most {cache.near.false_hits:.1%} wrong" if cache.near else ""
    whom = {"all": "to anyone", "user": "to the same user", "prompt": "to calls of the same prompt"}[cache.scope]
    return f"an answer to the same request is given again, {whom}, {time}{near}"


LAYER = Layer("cache", _around, _says)
