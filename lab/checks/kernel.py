"""What a check is: it looks at one whole answer and says what it found."""

from __future__ import annotations

import asyncio
import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab import values
from lab.checks.fingerprint import fingerprint
from lab.show.text import shortened
from lab.values import Checked

INLINE = 20_000
"""Characters up to which a schema alone is checked on the event loop; more, and other checks, in a thread."""


@dataclass(frozen=True, slots=True)
class Output:
    """One answer: its text, the value a schema made of it (the text itself where there is none), and what the
    prompt's variables were filled with."""

    text: str
    value: Any
    variables: Mapping[str, Any] = field(default_factory=dict)

    def at(self, path: str | None) -> Iterator[tuple[str, Any]]:
        """The parts of the value at `path`, each with its own path: `items.0.sku`, or `items.*.sku` for all of them.

        Raises `LookupError`, naming it, where there is none.
        """
        yield from _walk(self.value, path.split(".") if path else [], "")


def _walk(value: Any, path: Sequence[str], so_far: str) -> Iterator[tuple[str, Any]]:
    if not path:
        yield so_far, value
        return
    step, *rest = path
    if step == "*":
        value = _plain(value)
        inner = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, _LISTS) else None
        if inner is None:
            raise LookupError(f"{so_far or 'the answer'} is no list")
        for key, part in inner:
            yield from _walk(part, rest, f"{so_far}.{key}".lstrip("."))
        return
    yield from _walk(_step(value, step, so_far), rest, f"{so_far}.{step}".lstrip("."))


_LISTS = (list, tuple, set, frozenset)


def _plain(value: Any) -> Any:
    """What a pydantic root model holds; anything else as it is."""
    return value.root if hasattr(value, "model_dump") and hasattr(value, "root") else value


def _step(value: Any, step: str, so_far: str) -> Any:
    value = _plain(value)
    if isinstance(value, Mapping) and step in value:
        return value[step]
    if isinstance(value, list | tuple) and step.lstrip("-").isdigit() and -len(value) <= int(step) < len(value):
        return value[int(step)]
    if not isinstance(value, Mapping | list | tuple | str) and not step.startswith("_") and hasattr(value, step):
        return getattr(value, step)
    raise LookupError(f"{f'{so_far}.{step}'.lstrip('.')} is missing")


class Check(ABC):
    """A test of one answer. `name` is what the ledger calls it."""

    @property
    def name(self) -> str:
        """The class's name, as the function that makes it is called: `one_of`."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(self).__name__).lower()

    @abstractmethod
    def examine(self, output: Output) -> Checked | Awaitable[Checked]:
        """What is wrong with `output`, if anything."""

    def content(self) -> str:
        """What tells this check from another one, the same in every process, and without the words it is made of."""
        return f"{self.name}:{fingerprint(self)}"


@dataclass(frozen=True, slots=True)
class That(Check):
    """Any function of the value. True or None passes; False or a sentence fails, and so does an `AssertionError` or a
    `ValueError`, in its words. Whatever else it raises fails the call without asking the model again."""

    function: Callable[[Any], Any]
    message: str = ""

    @property
    def name(self) -> str:
        """The function's own name."""
        return getattr(self.function, "__name__", type(self.function).__name__).strip("<>")

    def examine(self, output: Output) -> Checked | Awaitable[Checked]:
        """Call it, and await what it returns where it is asynchronous."""
        try:
            verdict = self.function(output.value)
        except (AssertionError, ValueError) as wrong:
            return self._failed(self.message or str(wrong))
        return self._later(verdict) if inspect.isawaitable(verdict) else self._read(verdict)

    def content(self) -> str:
        """Its name and what it does: a changed function is another check."""
        return f"{self.name}:{fingerprint(self.function)}:{self.message}"

    async def _later(self, verdict: Awaitable[Any]) -> Checked:
        try:
            return self._read(await verdict)
        except (AssertionError, ValueError) as wrong:
            return self._failed(self.message or str(wrong))

    def _read(self, verdict: Any) -> Checked:
        if isinstance(verdict, Checked):
            return verdict
        if verdict is None or (isinstance(verdict, bool) and verdict):
            return Checked(name=self.name, passed=True)
        return self._failed(verdict if isinstance(verdict, str) else self.message)

    def _failed(self, message: str) -> Checked:
        return Checked(name=self.name, passed=False, message=message or f"it fails the check `{self.name}`")


def that(function: Callable[[Any], Any], message: str = "") -> That:
    """A check out of any function of the value; `message` is what the model is told where it fails."""
    return That(function, message)


def as_check(given: Any) -> Check:
    """A check, or a function as one. Raises `TypeError` for anything else."""
    if isinstance(given, Check):
        return given
    if callable(given) and not isinstance(given, type):
        return That(given)
    raise TypeError(f"checks={given!r}: checks such as one_of('a', 'b'), or functions of the value")


@dataclass(frozen=True, slots=True)
class Examined:
    """What became of one answer: its value, and what each check found."""

    value: Any
    checks: tuple[Checked, ...]

    @property
    def passed(self) -> bool:
        """Whether all of them passed."""
        return all(check.passed for check in self.checks)

    @property
    def broken(self) -> bool:
        """Whether a check failed itself."""
        return any(check.broken for check in self.checks)

    def wrong(self) -> list[str]:
        """What is wrong, a line a check."""
        return [check.message for check in self.checks if not check.passed]


async def examined(
    text: str, schema: values.Schema | None, checks: Sequence[values.Check], variables: Mapping[str, Any] | None = None
) -> Examined:
    """`text` read by the schema, if there is one, then looked at by each check. Without a value no check is asked."""
    if schema is not None and not checks and len(text) <= INLINE:
        value, read = _read(schema, text)
        return Examined(value, (read,))
    value, checked, left = await asyncio.to_thread(_in_thread, text, schema, checks, variables or {})
    for place, later in left:
        checked[place] = await _guarded(checks[place], later)
    first = () if schema is None else (checked.pop(-1),)
    return Examined(value, (*first, *(checked[place] for place in sorted(checked))))


def _in_thread(
    text: str, schema: values.Schema | None, checks: Sequence[values.Check], variables: Mapping[str, Any]
) -> tuple[Any, dict[int, Checked], list[tuple[int, Awaitable[Checked]]]]:
    """The value, what the checks found by their place (-1 is the schema), and what is still to be awaited."""
    value: Any = text
    checked: dict[int, Checked] = {}
    left: list[tuple[int, Awaitable[Checked]]] = []
    if schema is not None:
        value, checked[-1] = _read(schema, text)
        if not checked[-1].passed:
            return value, checked, left
    output = Output(text, value, variables)
    for place, check in enumerate(checks):
        try:
            outcome = check.examine(output)
        except LookupError as missing:
            outcome = _missing(check, missing)
        except (Exception, SystemExit) as bug:  # a user's function
            outcome = _broken(check, bug)
        if isinstance(outcome, Checked):
            checked[place] = outcome
        else:
            left.append((place, outcome))
    return value, checked, left


def _read(schema: values.Schema, text: str) -> tuple[Any, Checked]:
    """The schema's value; one that fails by itself (a validator of the user's, a schema that leads to itself) is a
    check that is broken."""
    try:
        return schema.read(text)
    except (Exception, SystemExit) as bug:
        message = f"the schema itself failed with {type(bug).__name__}: {shortened(str(bug), 200)}"
        return None, Checked(name="schema", passed=False, message=message, broken=True)


async def _guarded(check: values.Check, later: Awaitable[Checked]) -> Checked:
    try:
        return await later
    except (Exception, SystemExit) as bug:  # a judge's call, or a user's function
        return _broken(check, bug)


def _missing(check: values.Check, missing: LookupError) -> Checked:
    if isinstance(missing, KeyError | IndexError):  # a function's own, not a path's
        return _broken(check, missing)
    return Checked(name=check.name, passed=False, message=str(missing))


def _broken(check: values.Check, bug: Exception | SystemExit) -> Checked:
    message = f"the check `{check.name}` itself failed with {type(bug).__name__}: {shortened(str(bug), 200)}"
    return Checked(name=check.name, passed=False, message=message, broken=True)


def shown(value: Any) -> str:
    """A value as a message quotes it: short, on one line, cut between words (half a word may be half a secret)."""
    return shortened(repr(value), 80)
