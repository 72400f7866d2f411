"""A flow: a function whose work outlives its caller, under a name by which a worker finds it again."""

from __future__ import annotations

import functools
import hashlib
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

from lab import errors

BUILT_IN = "lab"
"""The module that a flow of the lab's own belongs to."""
COMPARE, BATCH, WEBHOOK, SCHEDULE = "compare", "batch", "webhook", "schedule"
"""The lab's own: an experiment, requests through a batch service, a webhook's delivery, and what the clock begins,
which puts the job itself in line."""
BY_LEDGER = (COMPARE, BATCH)
"""Those whose progress is on a ledger, and so are run by a worker that has it."""
PREFIX = f"{WEBHOOK}:"
"""What the names of deliveries begin with."""


class Flow:
    """What `@lab.flow` makes of a function. Called, it runs at once, here, without a worker.

    `name` is `module:function`, and how workers know it; `version` is told by the caller, or a hash of the function's
    source (not of what it calls).
    """

    def __init__(self, function: Callable[..., Any], *, name: str | None = None, version: str | None = None):
        if not callable(function) or inspect.isclass(function):
            raise errors.InvalidRequestError(f"a flow is a function, not {function!r}")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise errors.InvalidRequestError("a flow returns its result: it can't be a generator")
        functools.update_wrapper(self, function)
        self.function = function
        self.module = BUILT_IN if name else function.__module__
        self.name = name or f"{self.module}:{function.__qualname__}"
        self.version = version or _version(function)
        self.owner: Any = None
        """The Lab whose flow it is."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run it at once, here."""
        return self.function(*args, **kwargs)

    def homeless(self) -> bool:
        """Whether no other process could import it: it was made in a notebook's cell, in a script that is run, or
        inside of another function."""
        return self.module == "__main__" or "<locals>" in self.name

    def check(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raises `InvalidRequestError` where it doesn't take these arguments."""
        try:
            inspect.signature(self.function).bind(*args, **kwargs)
        except TypeError as odd:
            raise errors.InvalidRequestError(f"{self.name}: {odd}") from odd

    def __repr__(self) -> str:
        return f"<Flow {self.name} version {self.version}>"


def _version(function: Callable[..., Any]) -> str:
    try:
        source = textwrap.dedent(inspect.getsource(function)).encode()
    except (OSError, TypeError):  # written nowhere: its code is all there is of it
        code = getattr(function, "__code__", None)
        source = repr(function).encode() if code is None else code.co_code + repr(code.co_consts).encode()
    return hashlib.sha256(source).hexdigest()[:8]
