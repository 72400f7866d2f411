"""A ledger of as many calls as you like, as months of traffic would have left it: seeded, so the same each time.

    python benchmarks/ledgers.py 1000000 /tmp/million.db     # 1,000,000 calls, 1,200,000 attempts; a few minutes

Eight models of different speed, tails and prices; prompts in versions, 200 users, tags, retries, hedges, fallbacks,
failures of every kind, experiments with scores, and an evening on which one model was in trouble.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from lab import packs
from lab.ledger import prepare

MODELS = {  # median first token (s), spread, tokens a second, US dollars a token in and out
    "openai/gpt-4o-mini": (0.54, 0.35, 60, 0.15e-6, 0.6e-6),
    "openai/gpt-4o": (0.64, 0.38, 70, 2.5e-6, 10e-6),
    "anthropic/claude-haiku": (0.54, 0.5, 90, 1e-6, 5e-6),
    "anthropic/claude-sonnet": (0.94, 0.5, 60, 3e-6, 15e-6),
    "gemini/gemini-flash": (0.48, 0.3, 150, 0.3e-6, 2.5e-6),
    "deepseek/deepseek-chat": (1.48, 0.2, 30, 0.28e-6, 0.42e-6),
    "groq/llama": (0.2, 0.25, 300, 0.05e-6, 0.08e-6),
    "local/smollm2": (0.1, 0.2, 80, 0.0, 0.0),
}
FAILURES = {"timeout": 30, "rate_limit": 25, "provider": 20, "content": 10, "validation": 10, "transport": 5}
WORDS = (
    "order refund ticket summary invoice policy update answer question model route label detail record trace".split()
)
DAYS = 30
SCORED = 0.02
_CALLS = """call_id started_at ended_at status kind phase reason error model answered_by streamed n_attempts latency
    ttft queue cost input_tokens output_tokens finish_reason prompt_name prompt_version config user tags lane cached
    hedged fell_back experiment valid cell""".split()
_ATTEMPTS = """call_id number role model way started_at status kind phase http_status retry_after wait connect ttft
    latency won cost input_tokens output_tokens loop_lag saturated""".split()


def make(path: Path, calls: int, *, until: float | None = None, seed: int = 0) -> None:
    """Write the ledger. It ends at `until` (Unix seconds; now), so that recent figures have something in them."""
    prepare(path)
    db = sqlite3.connect(path)
    db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA cache_size = -200000")
    lot, end = random.Random(seed), time.time() if until is None else until
    db.execute("INSERT INTO configs VALUES ('c1', '{\"params\": {}}')")
    for name, versions in (("triage", 3), ("orders", 2), ("passages", 1)):
        for version in range(1, versions + 1):
            text = json.dumps([{"role": "user", "content": f"{name} {version}: {{{{text}}}}"}])
            row = (name, version, f"{name}{version}", text, end - DAYS * 86_400, "")
            db.execute(
                "INSERT INTO prompts (name, version, hash, template, created_at, changed) VALUES (?,?,?,?,?,?)", row
            )
    for start in range(0, calls, 20_000):
        lots = list(_calls(lot, range(start, min(calls, start + 20_000)), calls, end))
        _put(db, "calls", ["id", *_CALLS], [(one["id"], *(one[name] for name in _CALLS)) for one in lots])
        _put(
            db,
            "attempts",
            _ATTEMPTS,
            [tuple(try_[name] for name in _ATTEMPTS) for one in lots for try_ in one["tries"]],
        )
        texts = [(one["id"], one["messages"], one["prompt"], one["answer"], 1) for one in lots]
        _put(db, "texts", ["id", "messages", "prompt", "answer", "done"], texts)
        _put(
            db,
            "scores",
            ["call_id", "scorer", "score"],
            [(one["call_id"], "label", one["score"]) for one in lots if one["score"] is not None],
        )
        db.commit()
    db.execute("INSERT INTO texts_fts (texts_fts) VALUES ('rebuild')")
    experiments = db.execute("SELECT DISTINCT experiment FROM calls WHERE experiment IS NOT NULL").fetchall()
    for (name,) in experiments:
        content = json.dumps({"models": list(MODELS), "scorers": {"label": "label"}})
        db.execute("INSERT INTO experiments VALUES (?, ?, 'triage', 'hash', 0, ?)", (name, end - 86_400, content))
    db.execute(
        "INSERT INTO cells (experiment, cell, place, prompt_name, prompt_version, model, case_id, cluster, repeat,"
        " expected) SELECT experiment, cell, id, prompt_name, prompt_version, model, 'case' || (id % 100),"
        " 'case' || (id % 100), 0, 'x' FROM calls WHERE cell IS NOT NULL"
    )
    db.commit()
    db.close()


def pack(path: Path) -> int:
    """Make all packs at once, as a Lab makes them one by one while it writes; how many."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    made = packs.pack(db)
    db.execute("COMMIT")
    db.close()
    return made


def _put(db: sqlite3.Connection, table: str, names: list[str], rows: list[tuple]) -> None:
    db.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})", rows)


def _calls(lot: random.Random, numbers: range, total: int, end: float) -> Iterator[dict]:
    names = list(MODELS)
    weights = [24, 12, 16, 10, 14, 8, 10, 6]
    for number in numbers:
        started = end - DAYS * 86_400 * (1 - (number + 0.5) / total) - 60
        model = lot.choices(names, weights)[0]
        trouble = model == names[3] and end - 9 * 3600 < started < end - 6 * 3600
        scored = lot.random() < SCORED
        yield _call(lot, number, started, model, trouble, scored)


def _call(lot: random.Random, number: int, started: float, model: str, trouble: bool, scored: bool) -> dict:
    median, spread, speed, price_in, price_out = MODELS[model]
    call_id = f"{int(started * 1000):013x}{number:09x}"
    sent, made = lot.randint(40, 900), lot.randint(10, 300)

    def times() -> tuple[float, float]:
        first = lot.lognormvariate(math.log(median), spread) * (lot.uniform(3, 30) if lot.random() < 0.02 else 1)
        first *= 6 if trouble else 1
        return first, first + made / speed

    cached = lot.random() < 0.01
    failed = lot.random() < (0.25 if trouble else 0.015)
    tries, at, queue = [], 0.0, lot.expovariate(200)
    extra = 0 if cached else (lot.random() < 0.17) + (lot.random() < 0.03)
    for place in range(0 if cached else 1 + extra):
        last, (ttft, latency) = place == extra, times()
        kind = None if last and not failed else lot.choices(list(FAILURES), list(FAILURES.values()))[0]
        hedge = place > 0 and lot.random() < 0.3
        wait = 0.0 if not place else lot.uniform(0.2, 1.0)
        if kind is not None and not last and hedge:
            kind = None  # a loser
        cost = sent * price_in + made * price_out * (1 if kind is None else 0.3)
        tries.append(
            {
                **dict.fromkeys(_ATTEMPTS),
                **{"call_id": call_id, "number": place + 1, "model": model, "way": "wire"},
                "role": "first" if not place else "hedge" if hedge else "fallback" if lot.random() < 0.05 else "retry",
                "started_at": started + queue + at,
                "status": "ok" if last and not failed else "failed" if kind else "cancelled",
                **{"kind": kind, "phase": lot.choice(["first_token", "attempt"]) if kind == "timeout" else None},
                "http_status": {"rate_limit": 429, "provider": 503}.get(kind or "", 200),
                "retry_after": 2.0 if kind == "rate_limit" else None,
                **{"wait": wait, "connect": 0.02, "ttft": ttft if kind is None else None, "latency": latency},
                **{"won": int(last and not failed), "cost": cost, "loop_lag": 0.001},
                **{"input_tokens": sent, "output_tokens": made, "saturated": int(lot.random() < 0.003)},
            }
        )
        at += wait + latency
    winner = tries[-1] if tries and not failed else None
    kind = tries[-1]["kind"] if failed and tries else None
    prompt = lot.choice([("triage", lot.randint(1, 3)), ("orders", lot.randint(1, 2)), ("passages", 1), (None, None)])
    said = " ".join(lot.choices(WORDS, k=12))
    good = failed or not scored or lot.random() < 0.85
    return {
        "id": number + 1,
        **{"call_id": call_id, "started_at": started, "ended_at": started + queue + at, "error": kind},
        **{"status": "failed" if kind else "ok", "kind": kind, "phase": tries[-1]["phase"] if kind else None},
        "reason": "refused" if kind == "content" else None,
        **{"model": model, "answered_by": model.split("/")[1], "streamed": 1, "n_attempts": len(tries)},
        **{"latency": winner and winner["latency"], "ttft": winner and winner["ttft"], "queue": queue},
        **{"cost": sum(one["cost"] for one in tries), "input_tokens": sent, "output_tokens": made},
        **{"finish_reason": "stop", "prompt_name": prompt[0], "prompt_version": prompt[1], "config": "c1"},
        "user": f"user{int(lot.paretovariate(0.9)) % 200:03d}",
        "tags": json.dumps(lot.choice([[], ["nightly"], ["web", "de"], ["web", "en"]])),
        **{"lane": "batch" if scored else "interactive", "cached": int(cached)},
        "hedged": int(any(one["role"] == "hedge" for one in tries)),
        "fell_back": int(any(one["role"] == "fallback" for one in tries)),
        "experiment": f"nightly-{number % 20}" if scored and prompt[0] else None,
        "cell": f"cell{number}" if scored and prompt[0] else None,
        "valid": None if not prompt[0] or kind else 1,
        "score": None if not scored or not prompt[0] or kind else float(good),
        "messages": json.dumps([{"role": "user", "content": f"{said} {number}"}]),
        **{"prompt": f"{said} {number}", "answer": " ".join(lot.choices(WORDS, k=30)), "tries": tries},
    }


def main() -> None:
    """Make one, and say how long it took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("calls", type=int)
    parser.add_argument("path", type=Path)
    options = parser.parse_args()
    start = time.perf_counter()
    make(options.path, options.calls)
    made, packed = time.perf_counter(), pack(options.path)
    size = options.path.stat().st_size / 1e6
    took = f"{options.calls:,} calls in {made - start:.0f} s, {packed} packs in {time.perf_counter() - made:.0f} s"
    print(f"{took}, {size:,.0f} MB")


if __name__ == "__main__":
    main()
