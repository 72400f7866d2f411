"""What a cache of near hits brings and spoils, on made-up traffic whose truth is known, and what a look-up costs.

    python benchmarks/cache.py    # prints the tables, writes benchmarks/cache.json, cache_watch.json, cache_cost.json

The traffic is a help desk's: a request is what is wanted (an action, a thing, a circumstance), said in one of many
ways, with courtesies, synonyms and slips of the keyboard. What it means is known, for it was said on purpose; nothing
of the rule on what differs, or of the embedding, went into it. Some circumstances differ by a preposition alone ("by
email", "to my email"), some wants by a tense or by whose thing it is, which that rule lets pass: its false hits.
"""

from __future__ import annotations

import math
import random
import resource
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import common
import numpy as np

from lab import Cache, Lab, Near, Policy
from lab.call.near.rule import RULE, signature
from lab.call.near.words import STEPS, packed
from lab.ledger import cached
from lab.provider.minilm import minilm
from lab.stats import certificates
from lab.stats.certificates import certify

REQUESTS = 12_000
"""Of one stream; the first third only fills the cache."""
CALIBRATIONS = 200
SIZES = (1_000, 10_000, 100_000)

ACTIONS = {
    "reset": ("reset",),
    "cancel": ("cancel", "call off"),
    "change": ("change", "modify", "edit"),
    "delete": ("delete", "remove", "erase"),
    "renew": ("renew", "extend"),
    "pay": ("pay", "pay for", "settle"),
    "return": ("return", "send back"),
    "track": ("track", "follow"),
    "download": ("download",),
    "upload": ("upload",),
    "share": ("share",),
    "export": ("export",),
    "book": ("book", "reserve"),
    "upgrade": ("upgrade",),
    "downgrade": ("downgrade",),
    "activate": ("activate", "turn on", "enable"),
    "deactivate": ("deactivate", "turn off", "disable"),
    "transfer": ("transfer", "move"),
}
THINGS = {
    "password": ("password", "pass word"),
    "subscription": ("subscription", "plan"),
    "order": ("order", "purchase"),
    "invoice": ("invoice", "bill"),
    "address": ("address",),
    "account": ("account",),
    "parcel": ("parcel", "package", "delivery"),
    "ticket": ("ticket", "tickets"),
    "photo": ("photos", "pictures", "photo"),
    "contract": ("contract",),
    "card": ("card", "cards"),
    "phone number": ("phone number", "telephone number"),
    "newsletter": ("newsletter",),
    "appointment": ("appointment",),
    "licence": ("licence", "license"),
    "backup": ("backup", "back-up"),
    "playlist": ("playlist",),
    "warranty": ("warranty", "guarantee"),
    "voucher": ("voucher", "coupon"),
    "membership": ("membership",),
}
CIRCUMSTANCES = (
    *("", "", "", "", "", "", "in the app", "on the website", "for free", "without a fee", "before Friday"),
    *("after Friday", "by email", "to my email", "with my card", "without my card", "from my phone", "for my company"),
    *("at once", "twice", "in Spain", "in France", "for two people", "for three people", "under 18", "over 18"),
    *("on weekends", "at night", "from home to work", "from work to home", "within 30 days", "within 14 days"),
)
WANTS = {
    "how": (
        *("how do I {} {}", "how can I {} {}", "how could I {} {}", "what is the way to {} {}", "how to {} {}"),
        *("please tell me how to {} {}", "I want to know how to {} {}", "can you explain how I {} {}"),
        *("how would I {} {}", "I need to {} {}, how?", "could you help me {} {}", "I'd like to {} {}"),
    ),
    "may": ("can I {} {}", "may I {} {}", "could I {} {}", "am I allowed to {} {}", "is it possible to {} {}"),
    "must": ("must I {} {}", "do I have to {} {}", "should I {} {}"),
    "did": ("did I {} {}", "have I managed to {} {}"),
    "why": ("why can't I {} {}", "why is it not possible to {} {}"),
}
SHARES = {"how": 0.72, "may": 0.15, "must": 0.05, "did": 0.02, "why": 0.06}
WHOSE = (("my", 0.80), ("the", 0.14), ("a", 0.05), ("his", 0.005), ("her", 0.005))


@dataclass(frozen=True)
class Request:
    """A text, and what is meant by it."""

    text: str
    meaning: tuple[str, ...]


def traffic(seed: int, many: int) -> list[Request]:
    """A stream of requests; what is wanted is popular in the way words are (Zipf)."""
    draw = random.Random(seed)
    wants = [
        (want, action, thing, where)
        for want in WANTS
        for action in ACTIONS
        for thing in THINGS
        for where in dict.fromkeys(CIRCUMSTANCES)
    ]
    order = random.Random(0)
    order.shuffle(wants)
    weights = [SHARES[want[0]] * CIRCUMSTANCES.count(want[3]) / (place + 20) ** 0.9 for place, want in enumerate(wants)]
    return [said(draw, wanted) for wanted in draw.choices(wants, weights, k=many)]


def said(draw: random.Random, wanted: tuple[str, ...]) -> Request:
    """One of the ways to say it."""
    want, action, thing, where = wanted
    whose = draw.choices([word for word, _ in WHOSE], [share for _, share in WHOSE])[0]
    words = draw.choice(THINGS[thing])
    text = draw.choice(WANTS[want]).format(draw.choice(ACTIONS[action]), f"{whose} {words}")
    if where:
        text = f"{where}, {text}" if draw.random() < 0.12 else f"{text} {where}"
    text = draw.choice(("", "", "", "", "hi, ", "hello! ", "please, ", "quick question: ")) + text
    if draw.random() < 0.04 and len(text) > 12:  # a slip of the keyboard
        place = draw.randrange(3, len(text) - 3)
        text = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
    text += draw.choice(("?", "?", "?", "", ".", "? thanks"))
    owner = whose if whose in ("his", "her") else "my"
    return Request(text[0].upper() + text[1:] if draw.random() < 0.6 else text, (*wanted, owner))


class Embedded:
    """Texts and their embeddings, made once."""

    def __init__(self) -> None:
        self._known: dict[str, np.ndarray] = {}

    def of(self, text: str) -> np.ndarray:
        """The embedding as it is kept."""
        if text not in self._known:
            self._known[text] = np.frombuffer(packed(minilm().embed(text)), np.float16).astype(np.float32)
        return self._known[text]


def would_be_hits(stream: list[Request], embedded: Embedded) -> tuple[list[tuple[float, bool]], int, int]:
    """One pass: for each later request with no equal one before it, how close the closest that passes the rule comes
    and whether its answer would be wrong; how many later requests there were, and how many of them had their meaning
    asked before in other words."""
    kept: dict[str, list[tuple[str, np.ndarray, tuple[str, ...]]]] = {}
    texts, meanings = set(), set()
    hits, later, possible = [], 0, 0
    for place, request in enumerate(stream):
        fresh = request.text not in texts
        marks = signature([request.text])
        if place >= len(stream) // 3:
            later += 1
            possible += fresh and request.meaning in meanings
            if fresh and marks is not None and marks.words in kept:
                vector = embedded.of(request.text)
                best = max(
                    (float(vector @ other) + (order == marks.order) if float(vector @ other) >= 0.9 else 0.0, meaning)
                    for order, other, meaning in kept[marks.words][-32:]
                )
                if best[0] >= 0.9:
                    hits.append((round(best[0], 4), best[1] != request.meaning))
        texts.add(request.text)
        meanings.add(request.meaning)
        if fresh and marks is not None:
            kept.setdefault(marks.words, []).append((marks.order, embedded.of(request.text), request.meaning))
    return hits, later, possible


def by_cosine(stream: list[Request], embedded: Embedded, least: tuple[float, ...]) -> list[dict[str, float]]:
    """The same stream by similarity alone: hits and false ones at each threshold."""
    third = len(stream) // 3
    matrix = np.array([embedded.of(request.text) for request in stream])
    texts: dict[str, int] = {}
    best = np.zeros(len(stream))
    nearest = np.zeros(len(stream), dtype=int)
    for start in range(third, len(stream), 500):
        block = matrix[start : start + 500] @ matrix[: start + 500].T
        for row in range(len(block)):
            nearest[start + row] = int(block[row, : start + row].argmax())
            best[start + row] = block[row, nearest[start + row]]
    first = [texts.setdefault(request.text, place) == place for place, request in enumerate(stream)]
    rows = []
    for threshold in least:
        hit = [place for place in range(third, len(stream)) if first[place] and best[place] >= threshold]
        false = sum(stream[place].meaning != stream[nearest[place]].meaning for place in hit)
        rows.append({"least": threshold, "hits": len(hit) / (len(stream) - third), "false": false / max(1, len(hit))})
    return rows


_PLAIN = {"obtained": "", "broken": ""}


def quality() -> list[dict[str, object]]:
    """Hit rates and false shares: similarity alone, the rule, and certified ones, over many calibrations."""
    embedded = Embedded()
    stream = traffic(1, REQUESTS)
    hits, later, possible = would_be_hits(stream, embedded)
    base = {"possible": possible / later}
    rows: list[dict[str, object]] = [
        {"what": f"cosine alone >= {row['least']:.2f}", "hits": row["hits"], "false": row["false"], **base, **_PLAIN}
        for row in by_cosine(stream, embedded, (0.90, 0.95, 0.98))
    ]
    closeness, wrong = np.array([hit[0] for hit in hits]), np.array([hit[1] for hit in hits])
    for least, name in ((1.9, "rule, same order, >= .90"), (0.9, "rule, same words, >= .90")):
        within = closeness >= least
        share = float(wrong[within].mean())
        rows.append({"what": name, "hits": float(within.sum() / later), "false": share, **base, **_PLAIN})
    draw = np.random.default_rng(0)
    for n, share in ((300, 0.05), (300, 0.02), (1000, 0.05), (1000, 0.02), (1000, 0.01)):
        served, false, broken, obtained = [], [], 0, 0
        for _ in range(CALIBRATIONS):
            taken = draw.integers(0, len(hits), n)
            certificate = certify(closeness[taken], wrong[taken], STEPS, share)
            within = closeness >= (math.inf if certificate.step is None else certificate.step)
            served.append(within.sum() / later)
            false += [wrong[within].mean()] if within.any() else []
            obtained += certificate.step is not None
            broken += bool(within.any() and wrong[within].mean() > share)
        rows.append(
            {
                "what": f"certified, N = {n}, at most {share:.0%} wrong",
                "hits": float(np.mean(served)),
                "false": float(np.mean(false)) if false else 0.0,
                **base,
                "obtained": obtained / CALIBRATIONS,
                "broken": broken / CALIBRATIONS,
            }
        )
    return rows


def drift() -> list[dict[str, object]]:
    """Checks from a change in the traffic until serving stops, by the ledger's own watch."""
    draw, rows = np.random.default_rng(5), []
    for allowed, drifted in ((0.02, 0.1), (0.02, 0.2), (0.05, 0.2), (0.05, 0.3)):
        counts = []
        for _ in range(400):
            known = 1.0
            for _ in range(300):  # before: half of what is allowed
                known = certificates.evidence(known, bool(draw.random() < allowed / 2), allowed)
                known = 1.0 if known >= certificates.PATIENCE else known
            count = 0
            while known < certificates.PATIENCE and count < 5000:
                known = certificates.evidence(known, bool(draw.random() < drifted), allowed)
                count += 1
            counts.append(count)
        rows.append(
            {
                "allowed": allowed,
                "drifted to": drifted,
                "median": statistics.median(counts),
                "p95": float(np.quantile(counts, 0.95)),
            }
        )
    return rows


KINDS: dict[str, tuple[str, str | bool, Policy | None]] = {
    "without the cache": ("question number {} of mine", False, Policy()),
    "miss, exact alone": ("other question{0} entirely{0}", False, Policy(cache=Cache(entries=200_000))),
    "miss": ("another question{0} thing{0}", False, None),
    "exact hit": ("the same request", "exact", None),
    "near hit": ("How can I reset my thing{}?", "near", None),
}
"""What is asked, by number; as what it comes back; and under which policy, if not the Lab's."""


def cost() -> list[dict[str, object]]:
    """Milliseconds and CPU of a call from a function: without the cache, a miss, an exact hit, and a near hit among
    many."""
    minilm().embed("warm")
    policy = Policy(cache=Cache(near=Near(false_hits=0.05, shadow=1e-9), entries=200_000))
    rows: list[dict[str, object]] = []
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            with Lab(Path(folder) / "lab.db", provider=lambda _call: "an answer", policy=policy) as lab:
                fill(lab, size)
                lab.ask("the same request", model="m")
                rows += [{"entries": size, "what": kind, **asked(lab, kind)} for kind in KINDS]
    return rows


def asked(lab: Lab, kind: str) -> dict[str, float]:
    """Medians of a hundred calls of one kind, after ten that warm up."""
    text, expected, policy = KINDS[kind]
    walls: list[float] = []
    before = 0.0
    for number in range(110):
        if number == 10:
            walls, before = [], _cpu()
        start = time.perf_counter()
        reply = lab.ask(text.format(number), model="m", policy=policy)
        walls.append((time.perf_counter() - start) * 1000)
        assert reply.cached == expected, (kind, number, reply.cached)
    return {"ms": statistics.median(walls), "cpu ms": (_cpu() - before) * 10}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def fill(lab: Lab, size: int) -> None:
    """So many entries of one kind, of which the first hundred are asked for in other words; and a certificate."""
    for number in range(110):
        lab.ask(f"How do I reset my thing{number}?", model="m")
    rest, embedder = lab.ledger.rows("SELECT rest, embedder FROM cache_entries WHERE rest IS NOT NULL LIMIT 1")[0]
    call_id = lab.calls(limit=1)["call_id"].iloc[0]
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(1000, 384))
    bounds = cached.Bounds(None, 10**9, 1e12)

    def put(db: object, start: int, end: int) -> None:
        for number in range(start, end):
            marks = signature([f"How do I reset my gadget{number} today?"])
            assert marks is not None
            like = cached.Likeness(
                rest=rest,
                words=marks.words,
                order=marks.order,
                embedder=embedder,
                vector=packed(vectors[number % 1000]),
            )
            cached.put(db, f"request {number}", call_id, 100, like, bounds)  # type: ignore[arg-type]

    for start in range(0, size - 110, 5000):
        lab.ledger.transact(lambda db, start=start: put(db, start, min(size - 110, start + 5000))).result()  # type: ignore[misc]
    lane = cached.Lane(name="messages", embedder=embedder, rule=RULE, share=0.05)
    row = {"labels": 59, "n": 59, "wrong": 0, "high": 0.05, "closeness": 0.9, "spent": 0.05}
    lab.ledger.transact(lambda db: cached.put_certificate(db, lane, row)).result()


def main() -> None:
    """All of it."""
    common.report("cache", quality())
    common.report("cache_watch", drift())
    common.report("cache_cost", cost())


if __name__ == "__main__":
    main()
