"""The simulated models: what each one's latency looks like, and what it charges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from lab.sim.answers import Skill


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """How long a model thinks before it answers, in tokens, and how well it does then."""

    tokens: int
    skill: Skill


def _depth(tokens: int, easy: float, medium: float, hard: float) -> Depth:
    return Depth(tokens=tokens, skill=Skill(accuracy={"easy": easy, "medium": medium, "hard": hard}))


def _shares(depth: Depth) -> str:
    return "/".join(f"{share:.0%}" for share in depth.skill.accuracy.values())


DEPTHS = {
    "none": _depth(0, 0.86, 0.62, 0.34),
    "minimal": _depth(40, 0.89, 0.68, 0.42),
    "low": _depth(150, 0.94, 0.8, 0.58),
    "medium": _depth(300, 0.96, 0.88, 0.72),
    "high": _depth(600, 0.97, 0.9, 0.78),
}
"""What `reasoning_effort` buys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimModel:
    """First-token times from a lognormal body (`median` seconds, `sigma` of its logarithm) and stragglers.

    A `stragglers` share of requests is slower by a factor drawn log-uniformly from `factor`. In a `congestion`
    share of two-second windows all requests are slower, by the least of these factors: stragglers that come
    together. After the first token, `rate` tokens a second, `length` of them where it is given. More than `at_once`
    requests at a time are refused with 429. `depths` are how deeply it can be asked to think. `embeds`: it is for
    embeddings. `skill` says how well it answers the cases of eval sets. Prices are simulated US dollars a million
    tokens.
    """

    about: str
    median: float
    sigma: float
    stragglers: float = 0.0
    factor: tuple[float, float] = (3.0, 10.0)
    congestion: float = 0.0
    rate: float = 60.0
    length: int | None = None
    at_once: int | None = None
    skill: Skill | None = None
    depths: Mapping[str, Depth] | None = None
    embeds: bool = False
    price_in: float = 0.15
    price_out: float = 0.60

    def first_token(self, random: Random) -> float:
        """One draw of the time to the first token, in seconds."""
        time = self.median * math.exp(random.gauss(0.0, self.sigma))
        straggles = random.random() < self.stragglers
        low, high = (math.log(bound) for bound in self.factor)
        return time * math.exp(random.uniform(low, high)) if straggles else time

    def deep(self, wanted: str | int | None) -> Depth | None:
        """How deeply it thinks where an effort is asked for by name, or a budget in tokens; None where it doesn't.
        Raises `ValueError` for an effort that is none."""
        if self.depths is None:
            return None
        if isinstance(wanted, str) and wanted not in {*self.depths, "xhigh", "max", ""}:
            raise ValueError(f"no effort {wanted!r}: one of {', '.join(self.depths)}")
        if isinstance(wanted, int):
            fitting = [depth for depth in self.depths.values() if depth.tokens <= max(0, wanted) * 600 // 4096]
            return max(fitting, key=lambda depth: depth.tokens)
        return self.depths[{"xhigh": "high", "max": "high", None: "medium", "": "medium"}.get(wanted, str(wanted))]

    def facts(self) -> dict[str, float]:
        """Prices and limits under the names of LiteLLM's price list."""
        return {
            "input_cost_per_token": self.price_in / 1e6,
            "output_cost_per_token": self.price_out / 1e6,
            "input_cost_per_token_batches": self.price_in / 2e6,
            "output_cost_per_token_batches": self.price_out / 2e6,
            "cache_read_input_token_cost": 0.1 * self.price_in / 1e6,
            "cache_creation_input_token_cost": 1.25 * self.price_in / 1e6,
            "max_input_tokens": 128_000,
        }


MODELS = {
    "steady": SimModel(
        about="no surprises: first token near 0.54 s, hardly any spread", median=0.536, sigma=0.12, rate=60.0
    ),
    "heavy-tail": SimModel(
        about="the same median, and one request in 25 is 3 to 10 times slower",
        median=0.541,
        sigma=0.38,
        stragglers=0.04,
        rate=60.0,
    ),
    "congested": SimModel(
        about="the same median; in one two-second window in 20, all requests are 3 times slower together",
        median=0.541,
        sigma=0.2,
        congestion=0.05,
        rate=60.0,
    ),
    "stragglers": SimModel(
        about="one request in 25 is exactly 10 times slower, each on its own",
        median=0.5,
        sigma=0.12,
        stragglers=0.04,
        factor=(10.0, 10.0),
        rate=5000.0,
        length=8,
    ),
    "fifty": SimModel(
        about="first token after 50 ms, always, then 19 more in 0.3 s", median=0.05, sigma=0.0, rate=60.0, length=20
    ),
    "flat": SimModel(
        about="20 tokens after 200 ms, always: for measuring whoever asks",
        median=0.2,
        sigma=0.0,
        rate=5000.0,
        length=20,
    ),
    "crowded": SimModel(
        about="takes 8 requests at once, a fifth of a second each, and refuses more with 429",
        median=0.2,
        sigma=0.1,
        rate=5000.0,
        at_once=8,
    ),
    **{
        name: SimModel(
            about=f"{about}: right in {easy:.0%} of easy, {medium:.0%} of medium, {hard:.0%} of hard cases",
            median=median,
            sigma=0.25,
            rate=rate,
            price_in=price,
            price_out=4 * price,
            skill=Skill(
                accuracy={"easy": easy, "medium": medium, "hard": hard},
                example=example,
                faults=faults,
                refusals=refusals,
            ),
        )
        for name, about, (easy, medium, hard), example, faults, refusals, median, rate, price in (
            ("small", "cheap and quick", (0.95, 0.82, 0.55), 0.04, 0.06, 0.01, 0.2, 150.0, 0.1),
            ("medium", "between the two", (0.97, 0.9, 0.72), 0.03, 0.03, 0.005, 0.4, 100.0, 0.5),
            ("large", "dear and good", (0.99, 0.95, 0.85), 0.01, 0.01, 0.002, 0.7, 70.0, 2.5),
            ("large-update", "`large` after a silent update", (0.94, 0.9, 0.8), 0.01, 0.01, 0.002, 0.6, 80.0, 2.5),
            ("sure", "never wrong: for measuring whoever asks", (1.0, 1.0, 1.0), 0.0, 0.0, 0.0, 0.2, 150.0, 0.5),
            ("careless", "`small`, careless of form", (0.95, 0.82, 0.55), 0.04, 0.4, 0.04, 0.2, 150.0, 0.1),
        )
    },
    "thinker": SimModel(
        about="thinks before it answers, as `reasoning_effort` says (tokens; right in easy, medium, hard cases): "
        + "; ".join(f"{name} {depth.tokens}, {_shares(depth)}" for name, depth in DEPTHS.items()),
        median=0.3,
        sigma=0.25,
        rate=300.0,
        price_in=0.5,
        price_out=2.0,
        skill=DEPTHS["medium"].skill,
        depths=DEPTHS,
    ),
    "instant": SimModel(
        about="answers at once: for tests of everything but latency", median=0.001, sigma=0.0, rate=5000.0
    ),
    "embedder": SimModel(
        about="embeds texts: those that share words are near",
        median=0.001,
        sigma=0.0,
        rate=5000.0,
        price_in=0.02,
        price_out=0.0,
        embeds=True,
    ),
    "twenty": SimModel(about="answers at once, in 20 pieces", median=0.001, sigma=0.0, rate=5000.0, length=20),
}
