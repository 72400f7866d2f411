"""What the benchmarks share: the machine they ran on, a table, and a JSON file beside each."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    names = [line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "litellm": version("litellm"),
        "day": datetime.now(UTC).date().isoformat(),
    }


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of `values` that a `share` of them does not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values) - 1e-9) - 1)]


def report(name: str, rows: list[dict[str, Any]]) -> None:
    """Print `rows` as a table, and keep them in `<name>.json` with the machine."""
    keys = list(rows[0])
    cells = [[f"{row[key]:.3f}" if isinstance(row[key], float) else str(row[key]) for key in keys] for row in rows]
    widths = [max(len(key), *(len(row[place]) for row in cells)) for place, key in enumerate(keys)]
    for row in [keys, *cells]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
    measured = {"machine": machine(), "rows": rows}
    (HERE / f"{name}.json").write_text(json.dumps(measured, indent=1) + "\n")


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().split("\n")
    except OSError:
        return []
