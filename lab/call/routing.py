"""What a router's layer is handed: the newest version on the ledger, and what it says of a call."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Any

from lab import errors
from lab.ledger import routers
from lab.ledger.answers import hashed
from lab.ledger.file import Ledger
from lab.policies.kernel import Memory
from lab.policies.route import Rule, router_of, sent
from lab.values import Call

if TYPE_CHECKING:
    from lab.stats.gains import GainModel

FRESH = 1.0
"""Seconds for which a router is as it was when the ledger was last looked at."""
Embed = Callable[[Any, str], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Chooser:
    """What the router's layer is handed of one call: all of the routers, and the embedding on its account."""

    routing: Routing
    embed: Embed

    async def ready(self, call: Call) -> None:
        """See `lab.policies.kernel.Changer`."""
        await self.routing.ready(call, self.embed)

    async def changed(self, call: Call) -> Call:
        """See `lab.policies.kernel.Changer`."""
        return await self.routing.choose(call, self.embed)


async def warmed(memory: Memory, embed: Embed, embedder: Any) -> None:
    """Return once the embedding that runs on this machine is loaded, which is no time of a call's."""
    loaded: set[str] = memory.of(set, "embedders")
    if isinstance(embedder, str) and embedder.startswith("local/") and embedder not in loaded:
        await embed(embedder, "-")
        loaded.add(embedder)


@dataclass(slots=True)
class Fitted:
    """A version of a router, ready to choose. `looked` is when the ledger was last asked for a newer one."""

    version: routers.Version
    rule: Rule
    model: GainModel | None = field(repr=False)
    looked: float


class Routing:
    """The routers of one Lab. Used on one event loop."""

    def __init__(self, book: Ledger, memory: Memory):
        self._book, self._memory = book, memory
        self._fitted: dict[str, Fitted] = {}

    async def ready(self, call: Call, embed: Embed) -> None:
        """Return once what the call's router is looked up and embedded with is loaded."""
        await warmed(self._memory, embed, (await self._of(call)).version.figures["embed"])

    async def choose(self, call: Call, embed: Embed) -> Call:
        """The call, of the model that its router chooses. Raises `InvalidRequestError` where there is no such router,
        or it was fitted on another prompt."""
        fitted = await self._of(call)
        if call.prompt is not None and call.prompt.hash != fitted.version.prompt_hash:
            return sent(call, fitted.rule.dearest(f"another version of {fitted.version.prompt_name}"))
        gains: list[float] = []
        if fitted.rule.cut is not None and fitted.rule.wrong is None:
            gains = await self._gains(fitted, call, embed)
        return sent(call, fitted.rule.choose(lambda: gains, self._lot(call)))

    async def each(self, call: Call) -> list[Call]:
        """The call, of each model that its router may choose; as it is where no router chooses."""
        if router_of(call.model) is None:
            return [call]
        return [replace(call, model=model) for model in (await self._of(call)).rule.models]

    def answered(self, call: Call, answered_by: str | None) -> None:
        """A routed call was answered by this version of its model: where its router wasn't fitted on that, it chooses
        no more."""
        way = call.routed
        if way is None or answered_by is None or (fitted := self._fitted.get(way.router)) is None:
            return
        known = fitted.version.figures.get("answered_by", {}).get(way.model)
        if way.version != fitted.version.version or fitted.rule.wrong is not None or not known or answered_by in known:
            return
        wrong = f"{way.model} is answered by {answered_by}, and was by {', '.join(known)} when it was fitted"
        fitted.rule = replace(fitted.rule, wrong=wrong)
        routers.stop(self._book, way.router, way.version, wrong)

    async def _of(self, call: Call) -> Fitted:
        name = router_of(call.model) or ""
        fitted = self._fitted.get(name)
        if fitted is None or time.monotonic() > fitted.looked + FRESH:
            fitted = await asyncio.to_thread(self._looked_up, name, fitted)
        version = fitted.version
        if call.prompt_name != version.prompt_name:
            asked = f"the prompt {call.prompt_name}" if call.prompt_name else "no prompt"
            raise errors.InvalidRequestError(
                f"{call.model} was fitted on the prompt {version.prompt_name}, and this call has {asked}: ask with"
                f" {version.prompt_name}, or fit a router on the other"
            )
        return fitted

    def _looked_up(self, name: str, known: Fitted | None) -> Fitted:
        """The newest version, and whether it still chooses."""
        looked, number = time.monotonic(), known.version.version if known else 0
        newer = routers.newest(self._book, name, number)
        if newer is None and known is None:
            there = ", ".join(f"route/{other}" for other in routers.names(self._book))
            hint = f": there is {there}" if there else f": lab.router({name!r}, models=[...], evalset=...) fits one"
            raise errors.InvalidRequestError(f"no router {name!r} on this ledger{hint}")
        if newer is None:
            assert known is not None
            known.looked = looked
            known.rule = replace(known.rule, wrong=routers.wrong(self._book, name, number))
            return known
        fitted = self._fitted[name] = Fitted(newer, _rule(newer), _learnt(newer), looked)
        return fitted

    def _lot(self, call: Call) -> Callable[[], float]:
        """A number from 0 to 1; of a cell of an experiment always the same, so that it is asked of the same model."""
        return self._memory.random.random if call.cell is None else Random(call.cell).random

    async def _gains(self, fitted: Fitted, call: Call, embed: Embed) -> list[float]:
        """What the dearest model is predicted to gain over each of the others."""
        import numpy as np  # slow to import, and only routers need it

        from lab.stats.gains import Requests

        assert fitted.model is not None
        text = text_of(call.variables)
        vector = await embed(fitted.version.figures["embed"], text)
        group = group_of(call.variables, fitted.version.figures.get("category"))
        requests = Requests(
            vectors=np.frombuffer(vector, np.float16).astype(float)[None], plain=np.array([plain(text)]), groups=[group]
        )
        try:
            predicted = fitted.model.predict(requests)
        except ValueError as odd:
            raise errors.InvalidRequestError(f"{call.model}: its embedding is another one now: fit it again") from odd
        return [float(gain) for gain in predicted[0]]


def _rule(version: routers.Version) -> Rule:
    values: dict[str, Any] = {"models": version.models, "cut": version.cut, "explore": version.explore}
    return Rule(router=version.name, version=version.version, wrong=version.wrong, **values)


def _learnt(version: routers.Version) -> GainModel | None:
    if version.learnt is None:
        return None
    from lab.stats.gains import GainModel

    return GainModel.read(version.learnt)


def text_of(variables: Mapping[str, Any]) -> str:
    """What a router looks at of a call: all that its prompt was filled in with, by the names of the variables."""
    values = [value for _name, value in sorted(variables.items())]
    texts = [value if isinstance(value, str) else json.dumps(value, default=str) for value in values]
    return "\n".join(texts) or "-"


def group_of(variables: Mapping[str, Any], category: str | None) -> str | None:
    """The category of a call, by a hash of what the variable that holds it says, for that may be nobody's to keep; None
    where no variable does."""
    return None if category is None or category not in variables else hashed(str(variables[category]))[:16]


_WORD, _NUMBER, _MARK = re.compile(r"\w+"), re.compile(r"\d+"), re.compile(r"[^\w\s]")
_NO = re.compile(r"\b(?:no|not|never|nothing|nobody|none|neither|nor|without|\w+n't)\b", re.IGNORECASE)


def plain(text: str) -> list[float]:
    """Twelve plain features of a text: how long it is and of what it is made."""
    shown = text[:20_000]
    words = _WORD.findall(shown)
    n, letters = max(1, len(words)), max(1, len(shown))
    lengths = [len(word) for word in words] or [0]
    return [
        len(shown) ** 0.5,
        n**0.5,
        sum(lengths) / n,
        max(lengths),
        len({word.lower() for word in words}) / n,
        len(_NUMBER.findall(shown)) / n,
        len(_MARK.findall(shown)) / n,
        shown.count("?") / n,
        shown.count("\n") / n,
        sum(letter.isupper() for letter in shown) / letters,
        sum(ord(letter) > 127 for letter in shown) / letters,
        len(_NO.findall(shown)) / n,
    ]
