"""Rules out of a file, as pydantic checks them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from lab.metrics.rule import BY, FIGURES, PERCENTILES, SHARE_OF, Rule
from lab.metrics.times import parse_span
from lab.show.forms import Form, Text, problems

Amount = Annotated[float, Field(ge=0)]
Span = Annotated[float, BeforeValidator(parse_span)]


class RuleForm(Form):
    """One `[[alert]]` of the file."""

    name: Text
    figure: Literal[FIGURES]  # type: ignore[valid-type]
    by: Literal[BY] = "model"  # type: ignore[valid-type]
    per: Literal["day", "month"] = "day"
    above: Amount | None = None
    times: Amount | None = None
    usd: Amount | None = None
    least: Annotated[int, Field(ge=0)] = 20
    over: Span = 900.0
    past: Span = 604_800.0


_VALID = {
    "name": "a text",
    "figure": f"one of {', '.join(FIGURES)}",
    "by": f"one of {', '.join(BY)}",
    "per": "one of day, month",
    **dict.fromkeys(("above", "times", "usd"), "a number of at least 0"),
    "least": "a whole number of at least 0",
}


def rule_of(table: Mapping[str, Any], where: str) -> Rule:
    """The rule in one table of the file. Raises `ValueError` that says what is wrong with it, and `where`."""
    odd = dict(problems(RuleForm, table))
    if unknown := sorted(name for name in odd if name not in RuleForm.model_fields):
        raise ValueError(f"{where}: {', '.join(unknown)}: one of {', '.join(Rule.__slots__)}")
    for name, why in odd.items():
        if name in _VALID:
            value = table.get(name)
            valid = "a text" if name == "figure" and not isinstance(value, str) else _VALID[name]
            raise ValueError(f"{where}: {name}={value!r}: {valid}")
        raise ValueError(f"{where}: {why.removeprefix('Value error, ')}")
    rule = Rule(**RuleForm.model_validate(table).model_dump(exclude_unset=True))
    if rule.above is None and rule.times is None:
        raise ValueError(f"{where}: above or times, or both: a limit")
    if rule.figure == "spent" and not rule.usd:
        raise ValueError(f"{where}: usd: the budget in US dollars")
    if rule.figure not in (*SHARE_OF, *PERCENTILES) and (rule.times is not None or rule.above is None):
        raise ValueError(f"{where}: {rule.figure} has no past to compare with: above")
    return rule
