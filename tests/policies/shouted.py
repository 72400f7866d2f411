"""A layer that nobody needs: as much as it takes to write one."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lab.policies.kernel import Events, Layer, Proceed, Settings, Try, World


@dataclass(frozen=True)
class Shout:
    """The setting: what comes after each piece."""

    mark: str


def _around(world: World, below: Proceed) -> Proceed:
    shout = world.settings.of(Shout)
    if shout is None:
        return below

    async def proceed(attempt: Try) -> Events:
        events = below(attempt)
        try:
            async for event in events:
                yield replace(event, text=event.text.upper() + shout.mark) if event.kind == "piece" else event
        finally:
            await events.aclose()

    return proceed


def _says(settings: Settings) -> str | None:
    shout = settings.of(Shout)
    return shout and f"answers in capitals, with {shout.mark}"


LAYER = Layer("shout", _around, _says)
