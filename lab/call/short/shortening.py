"""A call with less in it: what its prompt was filled in with, or messages that are marked, made shorter."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any, TypeVar

from lab import errors
from lab.call.near.words import cosine_of
from lab.call.prompts import BETWEEN, Prompt
from lab.call.routing import warmed
from lab.call.short import passages
from lab.call.short.lossless import shorter
from lab.policies.compress import Compress
from lab.policies.kernel import Memory
from lab.show.text import plain_text
from lab.values import Call, Shortened

Embed = Callable[[Any, str], Awaitable[bytes]]
Count = Callable[[str], Awaitable[int]]
MINILM = "local/minilm"
Told = Callable[[Sequence[str]], None]
T = TypeVar("T")
LONG = 20_000
"""Characters of a text that is read in a thread."""
KEPT = 20_000
"""Embeddings of passages that are remembered, by their content."""


class Shortening:
    """What the layer is handed of one call. `embed` is a text's embedding by a model's name or a function, `count` its
    tokens; `told` is told what of the messages is not sent."""

    def __init__(self, compress: Compress, memory: Memory, embed: Embed, count: Count, told: Told):
        self._vectors: dict[tuple[str, bytes], bytes] = memory.of(dict, "passages")
        self._compress, self._memory, self._embed, self._count, self._told = compress, memory, embed, count, told

    async def ready(self, call: Call) -> None:
        """See `lab.policies.kernel.Changer`."""
        held = call.passages or (call.prompt is not None and call.prompt.passages)
        if self._compress.to is not None and held:
            await warmed(self._memory, self._embed, self._compress.embed)

    async def changed(self, call: Call) -> Call:
        """See `lab.policies.kernel.Changer`."""
        call = await self.shorten(call, self._compress)
        if call.shortened is not None:
            self._told(call.shortened.left_out)
        return call

    async def shorten(self, call: Call, compress: Compress) -> Call:
        """The call with less in it; as it is where nothing is gained. Messages up to the last one that is marked for
        the provider's own cache stay as they are. Raises `InvalidRequestError` for a question that isn't there."""
        left_out: list[str] = []
        messages = (
            await self._filled(call, call.prompt, compress, left_out)
            if isinstance(call.prompt, Prompt)
            else await self._marked(call, compress, left_out)
        )
        stays = _cached_by_provider(call.messages)
        messages = (*call.messages[:stays], *messages[stays:])
        if list(messages) == list(call.messages):
            return call
        if stays:  # what is left out of one message may stand in another that stays
            text = plain_text(messages)
            left_out = [passage for passage in left_out if passage not in text]
        before, after = [await self._count(plain_text(each)) for each in (call.messages, messages)]
        return replace(
            call, messages=messages, shortened=Shortened(before=before, after=after, left_out=tuple(left_out))
        )

    async def _filled(
        self, call: Call, prompt: Prompt, compress: Compress, left_out: list[str]
    ) -> tuple[Mapping[str, Any], ...]:
        changed: dict[str, Any] = dict(call.variables)
        for name, value in call.variables.items():
            if name in prompt.passages:
                several = isinstance(value, list | tuple)
                parts = [_text(part) for part in value] if several else await aside(passages.split, _text(value))
                kept = await self._needed(parts, _question(call, prompt), compress, left_out)
                changed[name] = BETWEEN.join(kept) if len(kept) < len(parts) else value
            elif compress.lossless:
                changed[name] = await aside(shorter, _text(value))
        messages = prompt.fill(**changed).messages
        return tuple({key: part for key, part in message.items() if key != "passages"} for message in messages)

    async def _marked(self, call: Call, compress: Compress, left_out: list[str]) -> tuple[Mapping[str, Any], ...]:
        """Messages that are marked as passages; the question is the last of the user's that isn't."""
        messages = list(call.messages)
        if not call.passages:
            return call.messages
        asked = [
            plain_text([message])
            for number, message in enumerate(messages)
            if message["role"] == "user" and number not in call.passages
        ]
        question = asked[-1] if asked else ""
        for number in call.passages:
            content = messages[number]["content"]
            if isinstance(content, str):
                parts = await aside(passages.split, content)
                kept = await self._needed(parts, question, compress, left_out)
                messages[number] = {
                    **messages[number],
                    "content": BETWEEN.join(kept) if len(kept) < len(parts) else content,
                }
            else:
                texts = [part for part in content if isinstance(part.get("text"), str)]
                kept = await self._needed([part["text"] for part in texts], question, compress, left_out)
                stay = [part for part in content if part not in texts or part["text"] in kept]
                messages[number] = {**messages[number], "content": stay}
        return tuple(messages)

    async def _needed(self, parts: Sequence[str], question: str, compress: Compress, left_out: list[str]) -> list[str]:
        """The passages that stay: each once, and of them those that the question needs."""
        once = list(dict.fromkeys(parts)) if compress.lossless else list(parts)
        if compress.to is None:
            return once
        if not question.strip():
            raise errors.InvalidRequestError("compress: the question is empty, and passages are chosen by it")
        if len(once) < 2:
            return once
        picky = english(compress.embed)
        if picky and passages.foreign(question):
            return once
        unread, parts_of = await asyncio.to_thread(_read, once, picky)
        looked_at = [part for place, part in enumerate(once) if place not in unread]
        if not looked_at:
            return once
        asked = await self._vector(compress.embed, question)
        meaning = []
        for part in looked_at:
            vectors = [await self._vector(compress.embed, window) for window in parts_of[part]]
            meaning.append(max(cosine_of(asked, vector) if len(vector) == len(asked) else 0.0 for vector in vectors))
        words = await asyncio.to_thread(passages.by_words, looked_at, question)
        places = passages.needed(words, meaning, [len(part) for part in looked_at], compress.to)
        kept = {looked_at[place] for place in places}
        stay = [place in unread or part in kept for place, part in enumerate(once)]
        left_out += [part for part, stays in zip(once, stay, strict=True) if not stays]
        return [part for part, stays in zip(once, stay, strict=True) if stays]

    async def _vector(self, embedder: Any, text: str) -> bytes:
        key = (str(embedder), sha256(text.encode("utf-8", "replace")).digest())
        vector = self._vectors.pop(key, None)
        if vector is None:
            vector = await self._embed(embedder, text)
        self._vectors[key] = vector
        while len(self._vectors) > KEPT:
            del self._vectors[next(iter(self._vectors))]
        return vector


def _read(parts: Sequence[str], picky: bool) -> tuple[set[int], dict[str, list[str]]]:
    """The places of the passages that can't be judged, and the windows of each of the others."""
    unread = {place for place, part in enumerate(parts) if picky and passages.foreign(part)}
    return unread, {part: passages.windows(part) for place, part in enumerate(parts) if place not in unread}


def english(embedder: Any) -> bool:
    """Whether an embedding reads English alone: what is in another language can't be judged by it, and stays."""
    return bool(embedder == MINILM)


async def aside(make: Callable[[str], T], text: str) -> T:
    """What `make` makes of a text, of a long one in a thread."""
    return await asyncio.to_thread(make, text) if len(text) > LONG else make(text)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _question(call: Call, prompt: Prompt) -> str:
    """What passages are chosen by: the variable that is said to hold it, or all that hold no passages."""
    names = [prompt.question] if prompt.question else [name for name in prompt.variables if name not in prompt.passages]
    return "\n".join(_text(call.variables[name]) for name in names)


def _cached_by_provider(messages: Sequence[Mapping[str, Any]]) -> int:
    """How many messages, from the first, the provider's own cache may hold: those up to the last mark for it."""
    stays = 0
    for number, message in enumerate(messages, 1):
        content = message.get("content")
        parts = content if isinstance(content, list) else []
        if "cache_control" in message or any("cache_control" in part for part in parts):
            stays = number
    return stays
