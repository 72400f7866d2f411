"""What of a call may be said otherwise, and which kept answer comes closest to it."""

from __future__ import annotations

import asyncio
import inspect
import json
import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import Any

from lab import errors
from lab.call.near.rule import RULE, Signature, signature
from lab.checks.fingerprint import fingerprint
from lab.ledger import answers, cached
from lab.policies.cache import Cache, Near, named
from lab.values import Call

Embed = Callable[[Any, str], Coroutine[Any, Any, bytes]]
"""By a model's name or a function, the embedding of a text, as it is kept."""
STEPS = (1.95, 1.93, 1.92, 1.91, 1.90, 0.95, 0.93, 0.92, 0.91, 0.90)
"""How close a hit has to be, most cautious first: the cosine, and 1 where the words come in the same order."""
LEAST = 0.90
"""Cosine below which nothing is a hit, whatever the words are."""
LONGEST = 20_000
"""Characters beyond which a request is looked for as it is alone."""
MESSAGES = "messages"
"""The lane of calls without a prompt."""


@dataclass(frozen=True, slots=True)
class Words:
    """What may be said otherwise: `text` is all of it, `signature` what the rule compares, `rest` a hash of what must
    be equal to the byte."""

    text: str
    signature: Signature
    rest: str


def words_of(call: Call, cache: Cache) -> Words | None:
    """The variables of a call's prompt, or the text of its last message from the user; None where there is none, where
    it is too long, or where tools and pictures leave more open than words."""
    contents = [message.get("content") for message in call.messages]
    if call.params.get("tools") or call.params.get("functions") or not all(isinstance(text, str) for text in contents):
        return None
    rest: list[Any]
    if call.prompt is not None:
        texts = [value if isinstance(value, str) else json.dumps(value) for _, value in sorted(call.variables.items())]
        rest = ["prompt", call.prompt.name, call.prompt.hash, sorted(call.variables)]
    else:
        if call.messages[-1].get("role") != "user":
            return None
        texts = [str(contents[-1])]
        last = {name: value for name, value in call.messages[-1].items() if name != "content"}
        rest = ["messages", *(dict(message) for message in call.messages[:-1]), last]
    if sum(map(len, texts)) > LONGEST:
        return None
    found = signature(texts)
    if found is None:
        return None
    try:
        hashed = answers.hashed(json.dumps([rest, answers.around(call, cache.scope)], sort_keys=True))
    except (TypeError, ValueError):
        return None
    return Words("\n".join(texts), found, hashed)


def lane_of(call: Call, near: Near) -> cached.Lane:
    """What the call's near hits are certified with."""
    name = MESSAGES if call.prompt is None else f"{call.prompt.name}@{call.prompt_version}"
    return cached.Lane(name=name, embedder=embedder_of(near), rule=RULE, share=near.false_hits)


def embedder_of(near: Near) -> str:
    """The name of what embeds; a function is another one once it is changed."""
    given = near.embed
    return given if isinstance(given, str) else f"{named(given)} {fingerprint(given)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Closest:
    """The kept answers that pass the rule; once one is `chosen`, the closest of them. `others`: one to the very same
    words doesn't count, for it is another repetition of the same case. `certificate`: the row of what covers such hits,
    if anything does."""

    words: Words
    others: bool
    certificate: dict[str, Any] | None
    rows: Sequence[tuple[str, str, bytes]] = field(repr=False)
    call_id: str = ""
    closeness: float = 0.0

    @classmethod
    def among(
        cls, db: sqlite3.Connection, words: Words, lane: cached.Lane, since: float, others: bool
    ) -> Closest | None:
        """Within a transaction: those that are kept since then; None where there is none."""
        rows = cached.alike(db, words.rest, words.signature.words, lane.embedder, since)
        certificate = cached.certificate(db, lane) if rows else None
        return cls(words=words, others=others, certificate=certificate, rows=rows) if rows else None

    def chosen(self, vector: bytes) -> Closest | None:
        """The closest to `vector`; None where none is close, or all were embedded otherwise."""
        best: tuple[float, str] = (0.0, "")
        for call_id, order, kept in self.rows:
            if not vector or len(kept) != len(vector) or (self.others and kept == vector):
                continue
            if (cosine := cosine_of(vector, kept)) >= LEAST:
                best = max(best, (min(cosine, 0.9999) + (order == self.words.signature.order), call_id))
        if not best[1]:
            return None
        return replace(self, rows=(), call_id=best[1], closeness=round(best[0], 4))


def cosine_of(one: bytes, other: bytes) -> float:
    """The cosine of two embeddings as they are kept."""
    import numpy as np  # slow to import, and only near hits need it

    return float(
        np.frombuffer(one, np.float16).astype(np.float32) @ np.frombuffer(other, np.float16).astype(np.float32)
    )


def packed(values: Any) -> bytes:
    """An embedding as it is kept: 16-bit floats of length 1. Raises `InvalidRequestError` for what is none."""
    import numpy as np

    try:
        vector = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        vector = np.zeros(0)
    norm = float(np.linalg.norm(vector)) if vector.ndim == 1 and vector.size else 0.0
    if not 0 < norm < float("inf"):
        raise errors.InvalidRequestError(
            f"embed: a list of numbers that are not all 0, and not {type(values).__name__} of shape {vector.shape}"
        )
    return bytes((vector / norm).astype(np.float16).tobytes())


async def embedded_by(function: Callable[[str], Any], text: str, pool: Executor) -> bytes:
    """What a function of the user's makes of a text; a plain one runs in a thread of `pool`. Raises
    `InvalidRequestError` where it fails."""
    try:
        if inspect.iscoroutinefunction(function):
            return packed(await function(text))
        values = await asyncio.get_running_loop().run_in_executor(pool, function, text)
        return packed(await values if inspect.isawaitable(values) else values)
    except errors.LabError:
        raise
    except Exception as failed:  # a user's function
        raise errors.InvalidRequestError(f"embed: it failed with {type(failed).__name__}: {failed}") from failed
