"""A summary as a person reads it: shares with their intervals, times, dollars, and "too few" where n can't carry it."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lab.show import units

if TYPE_CHECKING:
    import pandas as pd

FEW = "too few"
_MARKUP = re.compile(r"[\\`*_|!#]|\[(?=[^\]]*\]\()|(?<=\])\(")


def readable(summary: pd.DataFrame) -> pd.DataFrame:
    """The summary as texts: columns `prompt`, `model`, `done`, `success`, `valid`, `score`, `p50`, `p95`, `p99` (first
    tokens, where calls were streamed, apart), `cost`, `per good answer`, `extra` (retries, hedges, fallbacks, repairs).
    Columns that no row has anything in are left out."""
    import pandas as pd  # slow to import, and only readers need it

    rows = [_texts(row) for row in summary.to_dict("records")]
    frame = pd.DataFrame(rows)
    empty = [name for name in frame.columns if name not in ("prompt", "model") and frame[name].isin(["", "–"]).all()]
    return frame.drop(columns=empty)


def beneath(summary: pd.DataFrame) -> pd.DataFrame:
    """The figures that the columns of `readable` say, under their names and as numbers: what a table is sorted by."""
    names = {"done": "done", "success": "success", "valid": "valid", "score": "score"}
    names |= {name: f"latency_{name}" for name in ("p50", "p95", "p99")}
    names |= {f"first token {name}": f"ttft_{name}" for name in ("p50", "p95", "p99")}
    names |= {"cost": "cost", "per good answer": "cost_per_good"}
    return summary[[*names.values()]].set_axis([*names], axis="columns")


def _texts(row: Mapping[Any, Any]) -> dict[str, str]:
    texts = {
        "prompt": f"{row['prompt']} v{row['version']:.0f}" if row["version"] == row["version"] else str(row["prompt"]),
        "model": row["model"],
        "done": f"{row['done']:,}" if row["done"] == row["cells"] else f"{row['done']:,} of {row['cells']:,}",
    }
    for name in ("success", "valid", "score"):
        texts[name] = _share(row, name)
    for name in ("p50", "p95", "p99"):
        texts[name] = _time(row, f"latency_{name}")
    for name in ("p50", "p95", "p99"):
        first = "" if math.isnan(row["ttft_p50"]) else _time(row, f"ttft_{name}")
        texts[f"first token {name}"] = first
    texts["cost"] = _dollars(row["cost"])
    texts["per good answer"] = _dollars(row["cost_per_good"])
    extra = [f"{row[name]} {name}" for name in ("retries", "hedges", "fallbacks", "repairs") if row[name]]
    told = (("left_out", "saturated"), ("cached", "cached"), ("unscored", "unscored"))
    extra += [f"{row[name]} {word}" for name, word in told if row.get(name)]
    texts["extra"] = ", ".join(extra)
    return texts


def _share(row: Mapping[Any, Any], name: str) -> str:
    value = row[name]
    if math.isnan(value):
        return "–"
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return f"{value:.1%}" if math.isnan(low) else f"{value:.1%} [{low * 100:.0f}–{high * 100:.0f}]"


def _time(row: Mapping[Any, Any], name: str) -> str:
    value = row[name]
    if math.isnan(value):
        return FEW
    return f"{units.seconds(value)} [{_bare(row[f'{name}_low'], value)}–{_bare(row[f'{name}_high'], value)}]"


def _bare(value: float, beside: float) -> str:
    return f"{value * 1000:.0f}" if beside < 1 else f"{value:.2f}"


def _dollars(value: float) -> str:
    return "–" if value is None or math.isnan(value) else units.dollars(value)


def to_html(frame: pd.DataFrame, caption: str) -> str:
    """A table of texts, escaped, in the page's own colours."""
    cell = 'style="text-align:left;padding:.2em .8em .2em 0;white-space:nowrap"'
    head = "".join(f"<th {cell}>{html.escape(str(name))}</th>" for name in frame.columns)
    body = "".join(
        "<tr>" + "".join(f"<td {cell}>{html.escape(str(value))}</td>" for value in row) + "</tr>"
        for row in frame.itertuples(index=False)
    )
    return (
        f'<div style="overflow-x:auto"><div style="opacity:.75;font-size:90%">{html.escape(caption)}</div>'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def plain(text: str) -> str:
    """Text in Markdown that is text: on one line, without control characters, nothing of it a link or a picture."""
    line = " ".join("".join(character for character in text if character.isprintable() or character.isspace()).split())
    return _MARKUP.sub(r"\\\g<0>", line).replace("<", "&lt;")


def to_markdown(frame: pd.DataFrame) -> str:
    """A table of texts in Markdown."""

    def row(values: Any) -> str:
        return "| " + " | ".join(plain(str(value)) for value in values) + " |"

    lines = [
        row(frame.columns),
        "|" + "---|" * len(frame.columns),
        *(row(values) for values in frame.itertuples(index=False)),
    ]
    return "\n".join(lines)
