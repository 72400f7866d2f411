"""Traffic that never was: a ledger as months, or one bad day, would have left it. Seeded, so the same each time.

For learning the figures on, for tests, and for measuring how the lab bears a million calls. Nothing is asked of any
model: the rows are drawn. Eight models of different speed, tails and prices; prompts in versions, 200 users, tags,
retries, hedges, fallbacks, failures of every kind, experiments with scores; and an incident, whose truth is in
`Incident`.
"""

from __future__ import annotations

import json
import math
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.ledger import madeup, packs
from lab.ledger.opening import prepare

DAY = 86_400.0
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
_SHARES = (24, 12, 16, 10, 14, 8, 10, 6)
FAILURES = {"timeout": 30, "rate_limit": 25, "provider": 20, "content": 10, "validation": 10, "transport": 5}
_STATUS = {"rate_limit": 429, "provider": 503}
SCORED = 0.02
"""The share of calls that are cells of experiments: those are run one after the other."""
CASES, GRID = 60, ("openai/gpt-4o-mini", "anthropic/claude-haiku", "gemini/gemini-flash")
"""Of each experiment: its cases, each asked of these models with the prompt's newest version."""
RIGHT = {1: 0.78, 2: 0.88, 3: 0.93}
"""How often an answer to a version of the triage prompt is right; of the second model a little more often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One user's import runs into a model's rate limit: for `minutes`, from `ago` seconds before the end on. Of the
    calls in that time `share` are its; `refused` is the chance that a request to the `model` is told 429. What was
    refused twice is asked of `other`, which is dearer."""

    ago: float = 9 * 3600.0
    minutes: float = 40.0
    model: str = "openai/gpt-4o-mini"
    other: str = "openai/gpt-4o"
    user: str = "importer"
    tag: str = "import"
    share: float = 0.6
    refused: float = 0.6

    def during(self, started: float, end: float) -> bool:
        """Whether a moment lies in it."""
        return end - self.ago <= started < end - self.ago + self.minutes * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Hits:
    """A share of the calls comes out of the cache, `exact` and `near`; of the near ones every tenth was asked all the
    same and compared, and a share of `wrong` ones found, where 2 % are allowed."""

    exact: float = 0.09
    near: float = 0.03
    wrong: float = 0.012

    def kind(self, number: int) -> str | None:
        """Whether a call is one, by its own lot."""
        drawn = random.Random(f"hit {number}").random()
        return "exact" if drawn < self.exact else "near" if drawn < self.exact + self.near else None


def write(
    path: Path,
    calls: int,
    *,
    days: float = 30.0,
    until: float | None = None,
    seed: int = 0,
    incident: Incident | None = None,
    hits: Hits | None = None,
    scored: float = SCORED,
) -> None:
    """Write the ledger at `path`: so many calls in the `days` up to `until` (Unix seconds; now), of which a share
    `scored` are cells of experiments."""
    prepare(path)
    db = sqlite3.connect(path)
    db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA cache_size = -200000")
    lot, end = random.Random(seed), time.time() if until is None else until
    db.execute("INSERT INTO configs VALUES ('c1', '{\"params\": {}}')")
    _prompts(db, end - days * DAY)
    drawn = _Drawn(calls, days, end, incident, hits, scored)
    for start in range(0, calls, 20_000):
        lots = list(drawn.calls(lot, range(start, min(calls, start + 20_000))))
        _put(db, "calls", [call["row"] for call in lots])
        _put(db, "attempts", [row for call in lots for row in call["attempts"]])
        _put(db, "texts", [call["text"] for call in lots])
        _put(db, "scores", [call["score"] for call in lots if call["score"]])
        db.commit()
    db.execute("INSERT INTO texts_fts (texts_fts) VALUES ('rebuild')")
    _experiments(db, end)
    if hits is not None:
        _comparisons(db, hits, end - days * DAY)
    db.commit()
    db.close()


def _comparisons(db: sqlite3.Connection, hits: Hits, first: float) -> None:
    """Near hits of the newest triage prompt: certified at the start by a thousand labels, compared since."""
    lane = ("triage@3", "local/minilm", 1, 0.02)
    db.execute(
        "INSERT INTO cache_certificates (given_at, lane, embedder, rule, share, labels, n, wrong, high, closeness,"
        " spent) VALUES (?, ?, ?, ?, ?, 1000, 868, 7, 0.0151, 1.9, 0.04)",
        (first, *lane),
    )
    calls = db.execute(
        "SELECT call_id, started_at, answer FROM calls JOIN texts ON texts.id = calls.id WHERE prompt_name = 'triage'"
        " AND cached_as IS NULL AND status = 'ok' ORDER BY calls.id"
    ).fetchall()
    lot = random.Random(7)
    for number in range(10, len(calls), 10):
        fresh, at, said = calls[number]
        kept = calls[number - lot.randint(1, 9)][0]
        wrong = None if number > len(calls) - 30 else int(lot.random() < hits.wrong)
        if wrong is not None:  # told by what they say
            alike = [call for call, _at, other in calls[max(0, number - 60) : number] if (other != said) == bool(wrong)]
            kept = alike[-1] if alike else kept
        how = "person" if wrong is None else "value"
        db.execute(
            "INSERT INTO cache_labels (at, lane, embedder, rule, share, closeness, wrong, how, call_id, kept_from)"
            " VALUES (?, ?, ?, ?, ?, 1.96, ?, ?, ?, ?)",
            (at, *lane, wrong, how, fresh, kept),
        )
    db.execute(
        "UPDATE cache_certificates SET checked = (SELECT count(wrong) FROM cache_labels), checked_wrong ="
        " (SELECT coalesce(sum(wrong), 0) FROM cache_labels)"
    )


def pack(path: Path) -> int:
    """Make all packs of columns at once, as a Lab makes them one by one while it writes; how many."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    count = packs.pack(db)
    db.execute("COMMIT")
    db.close()
    return count


def _put(db: sqlite3.Connection, table: str, rows: list[dict[str, Any]]) -> None:
    if rows:
        names = list(rows[0])
        sql = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        db.executemany(sql, [tuple(row.values()) for row in rows])


def _prompts(db: sqlite3.Connection, first: float) -> None:
    for name, versions in (("triage", 3), ("orders", 2), ("passages", 1)):
        for version in range(1, versions + 1):
            text = json.dumps(madeup.template(name, version))
            row = {"name": name, "version": version, "hash": f"{name}{version}", "template": text}
            _put(db, "prompts", [{**row, "created_at": first, "changed": ""}])


def _experiments(db: sqlite3.Connection, end: float) -> None:
    content = json.dumps({"models": list(GRID), "scorers": {"label": "label"}})
    db.execute(
        "INSERT INTO experiments SELECT experiment, min(started_at) - 5, 'triage', 'hash', 0, ? FROM calls"
        " WHERE experiment IS NOT NULL GROUP BY experiment",
        (content,),
    )
    db.execute(
        "INSERT INTO cells (experiment, cell, place, prompt_name, prompt_version, model, case_id, cluster, tags,"
        " repeat, expected) SELECT experiment, cell, id, prompt_name, prompt_version, model, substr(cell, 1, 7),"
        " substr(cell, 1, 7), json_array(CASE WHEN substr(cell, 5, 3) % 3 THEN 'web' ELSE 'mail' END), 0, 'x'"
        " FROM calls WHERE cell IS NOT NULL"
    )
    for case in range(CASES):
        asked, label = madeup.ticket(random.Random(f"case {case}"))
        line = {"id": f"case{case:03}", "input": {"ticket": asked}, "expected": label}
        _put(db, "cases", [{"eval_hash": "hash", "case_id": line["id"], "content": json.dumps(line)}])


class _Drawn:
    """Calls as they are drawn one after the other, and how many cells of experiments there were among them."""

    def __init__(
        self, total: int, days: float, end: float, incident: Incident | None, hits: Hits | None, scored: float
    ):
        self._total, self._days, self._end = total, days, end
        self._incident, self._hits, self._scored = incident, hits, scored
        self._cells = 0

    def calls(self, lot: random.Random, numbers: range) -> Iterator[dict[str, Any]]:
        """The calls of these numbers, in their order."""
        for number in numbers:
            started = self._end - self._days * DAY * (1 - (number + 0.5) / self._total) - 60
            during = self._incident is not None and self._incident.during(started, self._end)
            hit = self._hits.kind(number) if self._hits else None
            incident = self._incident if during else None
            yield _call(lot, number, started, incident, hit, self._scored, self._cell)

    def _cell(self) -> tuple[str, str, int, str]:
        """The next cell: its experiment, itself, the version of the prompt, and the model."""
        experiment, place = divmod(self._cells, CASES * len(GRID))
        self._cells += 1
        version = min(3, 1 + experiment // 2)
        case, column = divmod(place, len(GRID))
        return f"nightly-{experiment + 1}", f"case{case:03}-{column}-{experiment}", version, GRID[column]


def _call(
    lot: random.Random,
    number: int,
    started: float,
    incident: Incident | None,
    hit: str | None,
    share: float,
    next_cell: Callable[[], tuple[str, str, int, str]],
) -> dict[str, Any]:
    model = lot.choices(list(MODELS), _SHARES)[0]
    user, tags = (
        f"user{int(lot.paretovariate(0.9)) % 200:03d}",
        lot.choice([[], ["nightly"], ["web", "de"], ["web", "en"]]),
    )
    prompt = lot.choice([("triage", lot.randint(1, 3)), ("orders", lot.randint(1, 2)), ("passages", 1), (None, None)])
    scored = prompt[0] is not None and incident is None and lot.random() < share
    experiment, cell, right = None, None, None
    if scored:
        experiment, cell, version, model = next_cell()
        prompt, right = ("triage", version), min(0.98, RIGHT[version] + (0.05 if model == GRID[1] else 0.0))
    if incident is not None and lot.random() < incident.share:
        model, user, tags, prompt = incident.model, incident.user, [incident.tag], ("orders", 2)
    call_id = f"{int(started * 1000):013x}{number:09x}"
    sent, received, queue = lot.randint(40, 900), lot.randint(10, 300), lot.expovariate(200)
    cached = lot.random() < 0.01
    price_in, price_out = MODELS[model][3:]
    saved = sent * price_in + received * price_out if hit else None
    cached = cached or hit is not None
    tries = [] if cached else list(_attempts(lot, call_id, started + queue, model, sent, received, incident))
    winner = next((attempt for attempt in tries if attempt["won"]), None)
    last = tries[-1] if tries and winner is None else None
    ended = winner or last
    words = random.Random(f"words {number}")
    good = True
    if cell is not None and right is not None:
        asked, label = madeup.ticket(random.Random(f"case {int(cell[4:7])}"))
        answer, good = madeup.said(words, label, right)
        texts = asked, answer
    else:
        texts = madeup.words(prompt[0], words)
    row = {
        **{"id": number + 1, "call_id": call_id, "started_at": started},
        "ended_at": started + queue if ended is None else ended["started_at"] + ended["latency"],
        **{"status": "failed" if last else "ok", "kind": last and last["kind"], "phase": last and last["phase"]},
        **{"reason": "refused" if last and last["kind"] == "content" else None, "error": last and last["error"]},
        **{"model": model, "answered_by": winner and winner["model"].split("/")[1], "streamed": 1},
        **{"n_attempts": len(tries), "latency": winner and winner["latency"], "ttft": winner and winner["ttft"]},
        **{"queue": queue, "cost": sum(attempt["cost"] for attempt in tries)},
        **{"input_tokens": sent, "output_tokens": received},
        **{"finish_reason": "stop" if winner else None, "prompt_name": prompt[0], "prompt_version": prompt[1]},
        **{"config": "c1", "user": user, "tags": json.dumps(tags), "lane": "batch" if scored else "interactive"},
        **{"cached_as": hit or ("key" if cached else None), "saved": saved},
        "saved_seconds": MODELS[model][0] + received / MODELS[model][2] if hit else None,
        **{"cached": int(cached), "hedged": int(any(attempt["role"] == "hedge" for attempt in tries))},
        "fell_back": int(any(attempt["role"] == "fallback" for attempt in tries)),
        **{"experiment": experiment, "cell": cell},
        "valid": 1 if prompt[0] and winner else None,
    }
    score = {"call_id": call_id, "scorer": "label", "score": float(good)}
    messages = json.dumps([{"role": "user", "content": texts[0]}])
    text = {
        "id": number + 1,
        "messages": messages,
        "prompt": texts[0],
        "answer": texts[1] if winner or cached else None,
    }
    return {"row": row, "attempts": tries, "text": {**text, "done": 1}, "score": score if scored and winner else None}


def _attempts(
    lot: random.Random, call_id: str, at: float, model: str, sent: int, received: int, incident: Incident | None
) -> Iterator[dict[str, Any]]:
    """The requests of one call, in their order: retried after failures, hedged now and then, fallen back at last."""
    kinds, weights = list(FAILURES), list(FAILURES.values())
    hedged, role, wait = lot.random() < 0.06, "first", 0.0
    for number in range(1, 5):
        refused = incident is not None and model == incident.model and lot.random() < incident.refused
        kind = "rate_limit" if refused else lot.choices(kinds, weights)[0] if lot.random() < 0.13 else None
        median, spread, speed, price_in, price_out = MODELS[model]
        ttft = lot.lognormvariate(math.log(median), spread) * (lot.uniform(3, 30) if lot.random() < 0.02 else 1)
        latency = ttft + received / speed
        if kind is not None:
            latency = 10.0 if kind == "timeout" else lot.uniform(0.05, 0.4)
        loses = kind is None and number == 1 and hedged
        free = kind in ("rate_limit", "transport")
        cost = 0.0 if free else sent * price_in + received * price_out * (0.3 if kind else 1)
        yield {
            **{"call_id": call_id, "number": number, "role": role, "model": model, "way": "wire", "started_at": at},
            "status": "cancelled" if loses else "failed" if kind else "ok",
            **{"kind": kind, "phase": "first_token" if kind == "timeout" else None},
            "error": kind and f"{model}: made up: {kind.replace('_', ' ')}",
            "http_status": None if kind in ("timeout", "transport") else _STATUS.get(kind or "", 200),
            "retry_after": 2.0 if kind == "rate_limit" else None,
            **{"wait": wait, "connect": 0.02, "ttft": None if kind else ttft, "latency": latency},
            **{"won": int(kind is None and not loses), "cost": cost, "input_tokens": sent, "output_tokens": received},
            **{"loop_lag": 0.001, "saturated": int(lot.random() < 0.003)},
        }
        if kind is None and not loses:
            return
        if kind in ("content", "validation") and number > 1:
            return
        if loses:
            role, wait, at = "hedge", 0.0, at + median * 2
        elif incident is not None and number == 2 and model == incident.model:
            role, model, wait, at = "fallback", incident.other, 0.0, at + latency
        elif number == 3:
            return
        else:
            wait = lot.uniform(2.0, 2.5) if kind == "rate_limit" else lot.uniform(0.2, 1.0)
            role, at = "retry", at + latency + wait
