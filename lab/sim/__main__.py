"""`python -m lab.sim`: the simulated provider in a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import gc
from pathlib import Path

from lab.sim.answers import EVALS
from lab.sim.catalogue import MODELS
from lab.sim.lifeline import say
from lab.sim.server import Sim, serve


def main() -> None:
    """Serve until stopped; with `--child`, until the parent is gone."""
    parser = argparse.ArgumentParser(prog="python -m lab.sim")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--evals", type=Path, default=EVALS)
    parser.add_argument("--child", action="store_true")
    asyncio.run(_serve(parser.parse_args()))


async def _serve(options: argparse.Namespace) -> None:
    _, url = await serve(Sim(options.seed, options.speed, options.evals), options.port)
    gc.collect()
    gc.freeze()  # or a full run of the collector, 20 to 40 ms, would be a slow answer that no fault asked for
    if options.child:
        say(url, {name: model.facts() for name, model in MODELS.items()})
    else:
        print(f"simulated provider at {url}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    main()
