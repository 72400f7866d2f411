"""Evaluations and verdicts on paper: Markdown for people, JUnit XML for a build server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from lab.evals.experiment import Experiment
from lab.show import tables
from lab.show.text import one_line
from lab.stats import Verdict

if TYPE_CHECKING:
    import pandas as pd

_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
WORST = 10
"""Cases that a report names."""


def evaluation_markdown(experiment: Experiment) -> str:
    """The summary, and the cases that did worst."""
    frame = experiment.df()
    parts = [f"# {tables.plain(experiment.name)}", tables.to_markdown(experiment.table())]
    bad = _worst(frame)
    if len(bad):
        parts += ["## Cases that scored lowest", tables.to_markdown(bad)]
    return "\n\n".join(parts) + "\n"


def _worst(frame: pd.DataFrame) -> pd.DataFrame:
    bad = frame[frame["score"] < 1].sort_values("score", kind="stable").head(WORST)
    shown = bad[["case_id", "prompt", "model", "score"]].copy()
    texts = bad["text"].where(bad["status"] == "ok", bad["kind"])
    shown["answer"] = [one_line(text if isinstance(text, str) else "", 80) for text in texts]
    return shown


def verdict_markdown(verdict: Verdict) -> str:
    """What a gate said, and on what grounds."""
    needed = "" if verdict.needed is None else f"\n\nAbout {verdict.needed:,} cases would decide it."
    rows = [
        ("baseline", f"{tables.plain(verdict.names[0])}: {verdict.baseline:.1%}"),
        ("candidate", f"{tables.plain(verdict.names[1])}: {verdict.candidate:.1%}"),
        ("difference", f"{verdict.difference:+.1%} [{verdict.low:+.1%}, {verdict.high:+.1%}]"),
        ("margin", f"{verdict.margin:.1%}"),
        ("cases", f"{verdict.n} in {verdict.clusters} clusters; {verdict.left_out} left out"),
        ("interval", f"{verdict.level:.0%}, {verdict.method}"),
    ]
    if verdict.p is not None:
        rows.append(("exact McNemar test", f"p = {verdict.p:.3g}"))
    table = "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])
    return f"# Gate: {verdict.verdict}\n\n{table}{needed}\n"


def evaluation_junit(experiment: Experiment) -> str:
    """A test case a cell: failed where the score is below 1, an error where the call failed."""
    frame = experiment.df()
    suite = ElementTree.Element("testsuite", name=_xml(experiment.name), tests=str(len(frame)))
    counts = {"failures": 0, "errors": 0, "skipped": 0}
    for row in frame.to_dict("records"):
        name = f"{row['case_id']} #{row['repeat']}"
        seconds = row["latency"] if row["latency"] == row["latency"] else 0.0
        where = f"{row['prompt']}@{row['version']:.0f}.{row['model']}"
        case = ElementTree.SubElement(suite, "testcase", name=_xml(name), classname=_xml(where), time=f"{seconds:.3f}")
        if row["status"] == "unanswered":
            counts["skipped"] += 1
            ElementTree.SubElement(case, "skipped")
        elif row["status"] != "ok":
            counts["errors"] += 1
            ElementTree.SubElement(case, "error", type=_xml(str(row["kind"])), message=_xml(str(row["error"])[:500]))
        elif row["score"] == row["score"] and row["score"] < 1:
            counts["failures"] += 1
            failure = ElementTree.SubElement(case, "failure", message=f"score {row['score']:g}")
            failure.text = _xml(str(row["text"])[:2000])
    for name, count in counts.items():
        suite.set(name, str(count))
    return _written(suite)


def verdict_junit(verdict: Verdict) -> str:
    """One test case: a gate that is not passed fails, one that can't tell is an error."""
    count = {"pass": (0, 0), "fail": (1, 0), "inconclusive": (0, 1)}[verdict.verdict]
    suite = ElementTree.Element("testsuite", name="gate", tests="1", failures=str(count[0]), errors=str(count[1]))
    name = f"{verdict.names[1]} against {verdict.names[0]}"
    case = ElementTree.SubElement(suite, "testcase", name=_xml(name), classname="lab.gate")
    if verdict.verdict != "pass":
        kind = "failure" if verdict.verdict == "fail" else "error"
        ElementTree.SubElement(case, kind, type=verdict.verdict, message=_xml(str(verdict)))
    return _written(suite)


def _written(suite: ElementTree.Element) -> str:
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"


def _xml(text: str) -> str:
    """Text without the characters that XML can't hold, escaped or not."""
    return _UNWRITABLE.sub("�", text)
