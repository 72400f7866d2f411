"""Candidate against baseline: the verdict, kept on the ledger, and the cases whose answers changed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lab import stats
from lab.evals import store
from lab.evals.experiment import Experiment, Group, opened
from lab.ledger import verdicts
from lab.ledger.file import Ledger

if TYPE_CHECKING:
    import pandas as pd


def evaluations(book: Ledger) -> pd.DataFrame:
    """The prompts and models of all experiments that have scores, under the names that `gate` takes."""
    frame = book.frame(
        "SELECT experiment, prompt_name AS prompt, prompt_version AS version, model, eval_set, count(*) AS cells"
        " FROM experiments JOIN cells USING (experiment) WHERE current"
        " AND json_extract(content, '$.scorers') NOT IN ('{}', '[]') GROUP BY 1, 2, 3, 4"
        " ORDER BY created_at DESC, place"
    )
    names = frame["experiment"] + "/" + frame["prompt"] + "@" + frame["version"].astype(str) + "/" + frame["model"]
    frame.insert(0, "name", names.astype(object))
    return frame


def changed(book: Ledger, baseline: str, candidate: str) -> pd.DataFrame:
    """The cases that did not score alike, the worst losses first: columns `case_id`, `repeat`, `before`, `after`
    (scores), `difference`, `tags`, `call_before`, `call_after`, `text_before`, `text_after`."""
    frames = []
    for group in (_group(book, baseline), _group(book, candidate)):
        cells = Experiment(group.experiment, book).df()
        mine = (cells["prompt"] == group.prompt) & (cells["version"] == group.version) & (cells["model"] == group.model)
        frames.append(cells[mine].set_index(["case_id", "repeat"])[["score", "call_id", "text", "tags"]])
    both = frames[0].join(frames[1].drop(columns="tags"), how="inner", lsuffix="_before", rsuffix="_after")
    both["difference"] = both["score_after"] - both["score_before"]
    cases = both[both["difference"].abs() > 1e-9].sort_values("difference", kind="stable").reset_index()
    cases = cases.rename(columns={"score_before": "before", "score_after": "after"})
    cases = cases.rename(columns={"call_id_before": "call_before", "call_id_after": "call_after"})
    return cases["case_id repeat before after difference tags call_before call_after text_before text_after".split()]


def gated(
    book: Ledger, baseline: Any, candidate: Any, margin: float, level: float, *, keep: bool = True
) -> stats.Verdict:
    """A verdict, kept on the ledger."""
    first, second = _group(book, baseline), _group(book, candidate)
    if (first.scorers or {}) != (second.scorers or {}):
        raise ValueError(
            f"{first.name} was scored by {', '.join(first.scorers or ['nothing'])}, {second.name} by "
            f"{', '.join(second.scorers or ['nothing'])}, or by other settings of the same: a gate compares like scores"
        )
    if first.eval_hash != second.eval_hash:
        raise ValueError(
            f"{first.name} was asked {first.eval_set or 'cases'} ({first.eval_hash}), {second.name} "
            f"{second.eval_set or 'cases'} ({second.eval_hash}): a gate compares answers to the same cases"
        )
    verdict = stats.gate(first, second, margin, level=level)
    if not keep:
        return verdict
    verdicts.put(
        book,
        eval_set=second.eval_set,
        eval_hash=second.eval_hash,
        prompt_name=second.prompt,
        prompt_version=second.version,
        model=second.model,
        baseline=first.name,
        candidate=second.name,
        **{name: getattr(verdict, name) for name in ("verdict", "margin", "difference", "low", "high", "n", "needed")},
    )
    return verdict


def _group(book: Ledger, given: Any) -> Group:
    """One side of a gate: an experiment of one prompt and model, one group of a larger one, or a name, such as
    `nightly` or, of a larger one, `nightly/prompt@2/model`."""
    if isinstance(given, Group):
        return given
    if isinstance(given, Experiment):
        return given.group()
    if not isinstance(given, str):
        raise TypeError(f"gate: {given!r}: an experiment, a group of one, or a name")
    parts = given.split("/")
    for many in range(len(parts), 0, -1):  # a name may have slashes in it
        name, rest = "/".join(parts[:many]), "/".join(parts[many:])
        if store.content(book, name) is not None:
            break
    else:
        name, rest = given, ""
    if not rest:
        return opened(book, name).group()
    versioned, _, model = rest.partition("/")
    prompt, marked, version = versioned.partition("@")
    if marked and not (version.isascii() and version.isdecimal() and len(version) < 10):
        raise ValueError(f"{given!r}: {version!r} is no version: write name/prompt@2/model")
    group = opened(book, name).group(
        prompt=prompt or None, version=int(version) if version else None, model=model or None
    )
    return replace(group, name=given)
