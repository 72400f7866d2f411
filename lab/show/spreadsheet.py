"""Values that are safe to open in a spreadsheet."""

from __future__ import annotations

from typing import Any

_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


def safe_cell(value: Any) -> Any:
    """A value for a CSV: a text that a spreadsheet would take for a formula has a `'` before it (OWASP, CSV Injection);
    lists and mappings are texts, too."""
    if value is None or isinstance(value, int | float):
        return value
    text = value if isinstance(value, str) else str(value)
    return f"'{text}" if text and text.lstrip(" \u00a0")[:1] in _FORMULA else text
