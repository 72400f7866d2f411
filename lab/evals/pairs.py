"""Two evaluations beside each other: which can be, what changed from one to the other, by case, by tag and by label;
and how scores went over time."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lab import stats
from lab.evals import grid
from lab.evals.grid import Answer, Grid, Row
from lab.ledger.file import Ledger
from lab.ledger.outcomes import ANSWERED
from lab.show.moments import utc

if TYPE_CHECKING:
    import pandas as pd

MOST_LABELS = 20
"""Different expectations that a set of labels has at most."""
ALL = "(all cases)"
NEITHER = "(none of them)"
"""What an answer is called that has no label in it."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One prompt and model of an experiment, with scores: what a gate compares. `name` is what the gate calls it,
    `cases` are the identifiers of those that were answered, `shared` what others must have in common with it."""

    name: str
    experiment: str
    prompt: str
    version: int
    model: str
    created_at: float
    eval_set: str | None
    shared: tuple[str | None, str | None]
    cases: frozenset[str]

    @property
    def column(self) -> grid.Column:
        """The column of a grid that it is."""
        return self.prompt, self.version, self.model

    def said(self) -> str:
        """As a person reads it."""
        return f"{self.prompt} v{self.version} · {self.model} ({self.experiment})"

    def comparable(self, other: Evaluation) -> bool:
        """Whether a gate can compare them: of the same set, scored alike, with cases that both have answered."""
        return self.name != other.name and self.shared == other.shared and not self.cases.isdisjoint(other.cases)


def evaluations(book: Ledger, most: int = 100) -> list[Evaluation]:
    """Those of the `most` newest experiments that have scores, newest first."""
    recent = book.rows(
        "SELECT experiment, created_at, eval_set, eval_hash, json_extract(content, '$.scorers') FROM experiments WHERE"
        " json_extract(content, '$.scorers') NOT IN ('{}', '[]') ORDER BY created_at DESC LIMIT ?",
        [most],
    )
    names = json.dumps([row[0] for row in recent])
    answered = set(
        book.rows(
            "SELECT experiment, cell FROM calls WHERE experiment IN (SELECT value FROM json_each(?)) AND cell IS NOT"
            f" NULL AND {ANSWERED}",
            [names],
        )
    )
    cells = book.rows(
        "SELECT experiment, cell, prompt_name, prompt_version, model, case_id FROM cells WHERE current AND experiment"
        " IN (SELECT value FROM json_each(?)) ORDER BY place",
        [names],
    )
    columns: dict[str, dict[tuple[str, int, str], set[str]]] = {}
    for experiment, cell, prompt, version, model, case in cells:
        if (experiment, cell) in answered:
            columns.setdefault(experiment, {}).setdefault((prompt, version, model), set()).add(case)
    return [
        Evaluation(
            f"{experiment}/{prompt}@{version}/{model}",
            *(experiment, prompt, version, model, at, eval_set),
            shared=(eval_hash, scorers),
            cases=frozenset(cases),
        )
        for experiment, at, eval_set, eval_hash, scorers in recent
        for (prompt, version, model), cases in columns.get(experiment, {}).items()
    ]


def pair(book: Ledger, before: Evaluation, after: Evaluation) -> Grid:
    """Both as a grid of two columns, baseline and candidate, of the cases that both have answered
    and that have a score in both, as the gate has it."""
    first = grid.of(book, before.experiment)
    second = first if after.experiment == before.experiment else grid.of(book, after.experiment)
    one, other = first.columns.index(before.column), second.columns.index(after.column)
    later = {row.case_id: row.answers[other] for row in second.rows}
    rows: list[Row] = []
    for row in first.rows:
        answers = (row.answers[one], later.get(row.case_id))
        if all(answer is not None and answer.status != "unanswered" and answer.score is not None for answer in answers):
            rows.append(replace(row, answers=answers))
    titles = (f"baseline, {before.experiment}", f"candidate, {after.experiment}")
    return Grid(f"{before.name} and {after.name}", (before.column, after.column), tuple(rows), True, titles)


def by_tag(shown: Grid) -> pd.DataFrame:
    """The scores of both by tag of the cases (`ALL` is all of them): columns `tag`, `cases`, `before`, `after` (mean
    scores), `difference` with `low` and `high` (95 %, as the gate's: it knows which cases go together), the largest
    losses first."""
    import pandas as pd  # slow to import, and only readers need it

    groups: dict[str | None, list[tuple[float, float, str]]] = {None: []}
    for row in shown.rows:
        first, second = row.answers
        if first is None or second is None or first.score is None or second.score is None:
            continue
        for tag in (None, *dict.fromkeys(row.tags)):
            groups.setdefault(tag, []).append((first.score, second.score, row.cluster))
    rows = []
    for tag, scores in groups.items():
        if not scores:
            continue
        before, after, clusters = zip(*scores, strict=True)
        change = stats.paired([late - early for early, late in zip(before, after, strict=True)], clusters)
        rows.append(
            {
                **{"tag": ALL if tag is None else tag, "cases": len(scores)},
                **{"before": sum(before) / len(scores), "after": sum(after) / len(scores)},
                **{"difference": change.estimate, "low": change.low, "high": change.high},
            }
        )
    names = "tag cases before after difference low high".split()
    frame = pd.DataFrame(rows, columns=names)
    return frame.sort_values(["difference", "cases"], ascending=[True, False], ignore_index=True)


def labels(shown: Grid) -> list[str] | None:
    """The labels that are expected, if it is labels: texts, not many, each of several cases."""
    wanted = [row.expected for row in shown.rows if row.expected is not None]
    known = dict.fromkeys(label for label in wanted if isinstance(label, str) and 0 < len(label) <= 40)
    if not known or len(known) > MOST_LABELS or len(known) > len(wanted) / 2:
        return None
    return sorted(known) if all(isinstance(label, str) for label in wanted) else None


def confusion(shown: Grid, column: int, known: Sequence[str]) -> pd.DataFrame:
    """Which label was said where which was expected, of one column: columns `expected`, `said` (one of the labels, or
    `NEITHER`), `cases`, `share` (of those expected so)."""
    import pandas as pd  # slow to import, and only readers need it

    counts: Counter[tuple[str, str]] = Counter()
    for row in shown.rows:
        answer = row.answers[column]
        if isinstance(row.expected, str) and answer is not None:
            counts[row.expected, said_label(answer, known)] += 1
    wanted = Counter[str]()
    for (expected, _said), many in counts.items():
        wanted[expected] += many
    rows = [
        {"expected": expected, "said": said, "cases": many, "share": many / wanted[expected]}
        for (expected, said), many in sorted(counts.items())
    ]
    return pd.DataFrame(rows, columns=["expected", "said", "cases", "share"])


def said_label(answer: Answer, known: Sequence[str]) -> str:
    """The label that an answer is, or the only one that it has in it."""
    text = (answer.text or "").strip().strip("\"'.").casefold() if answer.status == "ok" else ""
    exact = [label for label in known if label.casefold() == text]
    if exact:
        return exact[0]
    inside = [label for label in known if re.search(rf"(?<!\w){re.escape(label.casefold())}(?!\w)", text)]
    return inside[0] if len(inside) == 1 else NEITHER


def over_time(book: Ledger, eval_set: str, most: int = 100) -> pd.DataFrame:
    """The scores of a set's evaluations of the `most` newest experiments, oldest first: columns `at` (UTC, when it was
    planned), `experiment`, `prompt`, `version`, `model`, `score` with `low` and `high` (95 %), `n` (answers), `change`
    (what is new since the one before it of the same prompt and model: the version, or nothing)."""
    import pandas as pd  # slow to import, and only readers need it

    frame = book.frame(
        "SELECT created_at AS at, cells.experiment, cells.prompt_name AS prompt, cells.prompt_version AS version,"
        " cells.model, cells.cluster, cells.cell, max(calls.id) AS id, calls.status, (SELECT avg(score) FROM scores"
        " WHERE scores.call_id = calls.call_id) AS score FROM experiments JOIN cells USING (experiment) JOIN calls ON"
        f" calls.experiment = cells.experiment AND calls.cell = cells.cell AND {ANSWERED}"
        " WHERE current AND cells.experiment IN (SELECT experiment FROM experiments WHERE eval_set = ? AND"
        " json_extract(content, '$.scorers') NOT IN ('{}', '[]') ORDER BY created_at DESC LIMIT ?)"
        " GROUP BY cells.experiment, cells.cell",
        [eval_set, most],
    )
    frame.loc[frame["status"] == "failed", "score"] = 0.0
    frame = frame[frame["score"].notna()]
    rows = []
    key: Any
    for key, group in frame.groupby(["at", "experiment", "prompt", "version", "model"], sort=True):
        at, experiment, prompt, version, model = key
        interval = stats.share(group["score"].to_numpy(dtype=float), group["cluster"].tolist())
        rows.append(
            {
                **{"at": at, "experiment": experiment, "prompt": prompt, "version": int(version), "model": model},
                **{"score": interval.estimate, "low": interval.low, "high": interval.high, "n": len(group)},
            }
        )
    known: dict[tuple[str, str], Mapping[str, Any]] = {}
    for row in rows:
        before = known.get((row["prompt"], row["model"]))
        moved = before is not None and before["version"] != row["version"]
        row["change"] = f"v{row['version']}" if moved or before is None else ""
        known[row["prompt"], row["model"]] = row
    columns = "at experiment prompt version model score low high n change".split()
    listed = pd.DataFrame(rows, columns=columns)
    listed["at"] = utc(listed["at"].astype(float))
    return listed
