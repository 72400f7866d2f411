"""Texts to vectors: in batches, each a call on the ledger; what is there already is not asked again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from lab import errors
from lab.call import intake
from lab.call.engine import Engine
from lab.ledger import embeddings
from lab.ledger.answers import hashed
from lab.ledger.file import Ledger
from lab.policies import Policy
from lab.show import units
from lab.values import Call, Reply

if TYPE_CHECKING:
    import numpy as np

BATCH = 64
"""Texts of one request: what every provider takes."""
AT_ONCE = 4
"""Batches that are asked at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Embeddings:
    """Vectors of texts, in their order: `vectors` has a row (float32) for each. `call_ids` are the calls that were made
    for them, `cost` what these cost in US dollars (None where a price is unknown), `tokens` what was sent, and `known`
    how many texts were on the ledger already. numpy takes it as the array it is."""

    model: str
    vectors: np.ndarray = field(repr=False)
    call_ids: tuple[str, ...] = ()
    cost: float | None = 0.0
    tokens: int = 0
    known: int = 0

    def __len__(self) -> int:
        return len(self.vectors)

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self.vectors)

    def __repr__(self) -> str:
        size = self.vectors.shape[1] if len(self.vectors) else 0
        calls, known = len(self.call_ids), f", {self.known} texts known before" if self.known else ""
        asked = f"{calls} call{'' if calls == 1 else 's'}{known}"
        return f"<Embeddings {len(self.vectors)} x {size} of {self.model}, {asked}, {units.dollars(self.cost)}>"

    def __getitem__(self, place: Any) -> Any:
        return self.vectors[place]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        import numpy as np

        return np.array(self.vectors, dtype=dtype, copy=copy)


def asked(texts: Any, *, model: Any, batch: Any, more: Mapping[str, Any]) -> list[Call]:
    """The batches of different texts, each as a call. Raises `InvalidRequestError`, naming what is wrong."""
    if not isinstance(texts, list | tuple):
        raise errors.InvalidRequestError(f"texts={type(texts).__name__}: a list of texts")
    if odd := [place for place, text in enumerate(texts) if not isinstance(text, str) or not text.strip()]:
        raise errors.InvalidRequestError(f"texts[{odd[0]}] is no text, or is empty: there is nothing to embed")
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
        raise errors.InvalidRequestError(f"batch={batch!r}: texts of one request, 1 or more")
    different = list(dict.fromkeys(texts))
    return [
        replace(
            intake.call_of(
                [{"role": "user", "content": text} for text in different[start : start + batch]],
                model=model,
                streamed=False,
                **more,
            ),
            embeds=True,
        )
        for start in range(0, len(different), batch)
    ]


async def embedded(
    engine: Engine, book: Ledger, policy: Policy, texts: Sequence[str], calls: Sequence[Call]
) -> Embeddings:
    """The vectors of `texts`, whose batches are `calls`. Where one fails those under way are brought to their end, and
    kept; then its failure is raised."""
    import numpy as np  # slow to import, and only who embeds needs it

    plain = replace(policy, cache=None, compress=None, fallback=None, hedge=None, repair=None)
    vectors: dict[str, bytes] = {}
    replies: list[Reply[Any]] = []
    failures: list[errors.LabError | errors.LedgerError] = []
    turn = asyncio.Semaphore(AT_ONCE)

    async def run(call: Call) -> None:
        async with turn:
            if failures:
                return
            try:
                reply = await engine.run(call, plain)
            except (errors.LabError, errors.LedgerError) as failure:
                failures.append(failure)
                return
        replies.append(reply)
        paid = zip(embeddings.texts_of(call), reply.value, strict=True)
        vectors.update({hashed(text): vector.tobytes() for text, vector in paid})

    known, waiting = 0, []
    for call in calls:
        request = embeddings.request_of(call)
        hashes = [hashed(text) for text in embeddings.texts_of(call)]
        on_record = await asyncio.wrap_future(book.transact(partial(embeddings.known, request=request, texts=hashes)))
        vectors |= on_record
        known += len(on_record)
        left = tuple(message for message in call.messages if hashed(message["content"]) not in on_record)
        if left:
            waiting.append(replace(call, messages=left))
    await asyncio.gather(*(run(call) for call in waiting))
    if failures:
        raise failures[0]
    rows = [np.frombuffer(vectors[hashed(text)], dtype="<f4") for text in texts]
    if len({len(row) for row in rows}) > 1:
        raise errors.MalformedError(
            f"{calls[0].model}: its embeddings are not all as long: is it still the same model?"
        )
    costs = [reply.cost for reply in replies]
    return Embeddings(
        model=calls[0].model if calls else "",
        vectors=np.vstack(rows) if rows else np.empty((0, 0), dtype="f4"),
        call_ids=tuple(reply.call_id for reply in replies),
        cost=None if None in costs else sum(usd or 0.0 for usd in costs),
        tokens=sum(reply.usage.input for reply in replies),
        known=known,
    )
