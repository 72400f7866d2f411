"""What a router can promise from 200, 500 and 2,000 scored cases, and whether it is kept: `python benchmarks/route.py`.

Requests are the tickets of `data/evals/tickets.jsonl`, each split drawn anew; scores are drawn from a truth that is
known, and that is none of the predictors' own form:

- tickets: the simulated models' accuracy, which hangs on a difficulty that shows in the words;
- regions: the nearest of 12 tickets drawn at random decides, in steps;
- nothing: the cheaper model is 6 points worse, whatever is asked;
- three models: the tickets, with one between the two. Which of them is cheap or quick makes no difference to the rule.

APGR is the area under the share of the quality gap that is recovered (0.5 is chance), on the tickets that were not
fitted on; a promise is broken where the truth of those loses more than the margin. `most` is the largest share that
would have kept it with this order, known afterwards.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: threads cost more than they bring

import common
import numpy as np

from lab.call.routing import plain
from lab.provider.minilm import minilm
from lab.sim.catalogue import MODELS
from lab.stats import gains, routes

TICKETS = Path(__file__).resolve().parent.parent / "data" / "evals" / "tickets.jsonl"
EXPLORE = 0.01


def requests() -> tuple[gains.Requests, np.ndarray, np.ndarray]:
    """The tickets as a router sees them, and the accuracy of `sim/small`, `sim/medium` and `sim/large` on each."""
    rows = [json.loads(line) for line in TICKETS.read_text(encoding="utf-8").splitlines()][1:]
    vectors = np.array([minilm().embed(row["input"]) for row in rows], dtype=float)
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    features = np.array([plain(row["input"]) for row in rows])
    skills = [MODELS[name].skill for name in ("small", "medium", "large")]
    truth = np.array(
        [[skill.right(row["tags"][0]) * (1 - skill.faults) * (1 - skill.refusals) for skill in skills] for row in rows]
    )
    return gains.Requests(vectors=vectors, plain=features, groups=[None] * len(rows)), truth, vectors


def regions(vectors: np.ndarray) -> np.ndarray:
    """The cheaper model does as well in half of 12 regions, and worse in the others by up to 40 points."""
    random = np.random.default_rng(12)
    nearest = (vectors @ vectors[random.choice(len(vectors), 12, replace=False)].T).argmax(axis=1)
    worse = np.repeat([0.0, 0.0, 0.1, 0.4], 3)[random.permutation(12)][nearest]
    return np.column_stack([0.9 - worse, np.full(len(vectors), 0.9)])


def most(predicted: np.ndarray, truth: np.ndarray, margin: float) -> float:
    """The largest share that keeps the margin with this order, by the truth."""
    loss = (truth[:, -1] - truth[:, 0])[np.argsort(predicted[:, 0], kind="stable")]
    return float(((np.cumsum(loss) / len(loss)) <= margin).mean())


def split(known: gains.Requests, truth: np.ndarray, n: int, seed: int, margins: tuple[float, ...]) -> list[float]:
    """One fit on `n` tickets: APGR, then for each margin the share promised, sent, possible, and the loss."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(truth))
    mine, others = np.sort(order[:n]), np.sort(order[n:])
    scores = (random.random((n, truth.shape[1])) < truth[mine]).astype(float)
    fitting, fresh = known.of(mine), known.of(others)
    predicted = gains.out_of_fold(fitting, scores, range(n))
    drawn = gains.GainModel.read(gains.fitted(fitting, scores).written()).predict(fresh)
    figures = [gains.recovered(drawn[:, 0], truth[others, 0], truth[others, -1])]
    gap = truth[others, -1:] - truth[others]
    for margin in margins:
        promise = routes.promised(predicted, scores, range(n), margin, EXPLORE)
        where = routes.places(drawn, promise.cut)
        loss = 0.0 if promise.cut is None else routes.mixed(gap, where, EXPLORE).mean()
        figures += [promise.share, (where < gap.shape[1] - 1).mean(), most(drawn, truth[others], margin), loss]
    return figures


def main(splits: int = 200) -> None:
    """A row a world, size and margin; a fifth of the splits with 2,000 cases."""
    known, tickets, vectors = requests()
    flat = np.column_stack([np.full(len(tickets), 0.84), np.full(len(tickets), 0.9)])
    margins, rows = (0.02, 0.05), []
    two = {"tickets": tickets[:, [0, 2]], "regions": regions(vectors), "nothing": flat}
    for name, truth in {**two, "three models": tickets}.items():
        for n in (200, 500, 2000) if name in two else (200, 500):
            many = splits if n < 2000 else max(1, splits // 5)
            figures = np.array([split(known, truth, n, seed, margins) for seed in range(many)])
            for place, margin in enumerate(margins):
                promised, sent, best, loss = figures[:, 1 + 4 * place : 5 + 4 * place].T
                row = {"world": name, "cases": n, "margin": margin, "splits": many, "apgr": figures[:, 0].mean()}
                row |= {"promised": promised.mean(), "sent": sent.mean(), "most": best.mean()}
                rows.append(row | {"lost": loss.mean(), "broken": (loss > margin).mean()})
                print(rows[-1], file=sys.stderr)
    common.report("route", [{k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()} for row in rows])


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
