"""What an experiment will probably take, from what its models have taken before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from lab import errors
from lab.evals import store
from lab.evals.plan import Cell, Estimate, Plan
from lab.evals.spec import Spec
from lab.ledger.file import Ledger
from lab.values import Price

ASSUMED = 200
"""Tokens of an answer where neither `max_tokens` nor earlier calls say."""


def default_name(prefix: str, *parts: Any) -> str:
    """A name made of what is asked: the same again is the same experiment, and goes on where it stopped."""
    content = json.dumps(parts, sort_keys=True, default=str)
    return f"{prefix}-{hashlib.sha256(content.encode('utf-8', 'replace')).hexdigest()[:8]}"


def planned(book: Ledger, cells: Sequence[Cell], spec: Spec, prices: Mapping[str, Price | None]) -> Plan:
    """The estimate of the cells that are not answered yet. Raises `BudgetError` where it is over the budget."""
    assert spec.name is not None
    known = store.answered(book, spec.name)
    left = [cell for cell in cells if cell.id not in known]
    by_model = tuple(_estimate(book, model, left, price, spec.params) for model, price in prices.items())
    looks = store.looks(book, spec.cases, spec.name) if spec.cases.held_out else 0
    plan = Plan(
        name=spec.name,
        cells=len(cells),
        left=len(left),
        by_model=by_model,
        concurrency=spec.concurrency,
        budget=spec.budget,
        eval_set=spec.cases.name or None,
        looks=looks,
        batch=spec.batch,
    )
    if spec.budget is not None and plan.usd is not None and plan.usd > spec.budget:
        raise errors.BudgetError(f"{plan}: over the budget; ask fewer cells or cheaper models, or raise it")
    return plan


def _estimate(
    book: Ledger, model: str, left: Sequence[Cell], price: Price | None, params: Mapping[str, Any]
) -> Estimate:
    mine = [cell for cell in left if cell.model == model]
    sent = sum(_size(cell) for cell in mine)
    (past,) = book.query(
        "SELECT count(output_tokens) AS n, avg(output_tokens) AS tokens, avg(latency) AS seconds FROM"
        " (SELECT output_tokens, latency FROM calls WHERE model = ? AND +status = 'ok' AND NOT cached"
        " ORDER BY started_at DESC LIMIT 200)",
        [model],
    )
    limit = params.get("max_completion_tokens") or params.get("max_tokens")
    each, based = past["tokens"], f"{past['n']} earlier calls"
    if each is None:
        each, based = (limit, "max_tokens") if limit else (ASSUMED, f"{ASSUMED} tokens an answer, assumed")
    generated = len(mine) * float(each)
    return Estimate(
        model=model,
        cells=len(mine),
        input_tokens=sent,
        output_tokens=generated,
        usd=None if price is None else sent * price.input + generated * price.output,
        seconds=None if past["seconds"] is None else len(mine) * past["seconds"],
        based_on=based,
    )


def _size(cell: Cell) -> float:
    """Tokens of a cell's messages, at four characters each."""
    return sum(len(str(message.get("content"))) for message in cell.prompt.messages) / 4 + 4
