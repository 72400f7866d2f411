"""Every way a call can fail, one class a kind.

LabError
├── InvalidRequestError  invalid_request  missing variable, bad parameter, too large, 400/413/422
├── AuthError            auth             no key, 401, 403
├── QuotaError           quota            account or billing limit, also when it comes as a 429
├── RateLimitError       rate_limit       429
├── TransportError       transport        refused, reset, closed, cut short
├── ProviderError        provider         5xx, 529, an error object in a 200
├── TimeoutError         timeout          .phase: connect, first_token, idle, attempt, total, batch
├── MalformedError       malformed        a 200 that is not an answer: HTML, broken JSON, no choices
├── ContentError         content          .reason: refused, filtered, truncated, empty
├── ValidationError      validation       well-formed and wrong; .checks says what
├── UnsupportedError     unsupported      no such model, context window exceeded
├── BudgetError          budget           the caller's own limit
└── BusyError            busy             queue full, breaker open; .retry_after says how long
LedgerError              the ledger can't be opened or written; .reply holds a paid answer
JobError                 a job that ended without a result, and not by one of these
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from lab.values import Checked, Reply

Kind = Literal[
    "invalid_request",
    "auth",
    "quota",
    "rate_limit",
    "transport",
    "provider",
    "timeout",
    "malformed",
    "content",
    "validation",
    "unsupported",
    "budget",
    "busy",
]
Phase = Literal["connect", "first_token", "idle", "attempt", "total", "batch"]
Reason = Literal["refused", "filtered", "truncated", "empty"]


class LabError(Exception):
    """A call that failed, with its evidence.

    `status` is the provider's HTTP status and `body` what it said (both None where nothing was received);
    `attempts` counts the requests made; `cost` is US dollars spent, None when unknown; `retry_after` is
    the wait in seconds that the provider or the lab asks for; `partial` is the text that had arrived.
    """

    kind: ClassVar[Kind]

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        body: str | None = None,
        phase: Phase | None = None,
        reason: Reason | None = None,
        retry_after: float | None = None,
        partial: str = "",
        checks: tuple[Checked, ...] = (),
    ):
        super().__init__(message)
        self.status = status
        self.body = body
        self.phase = phase
        self.reason = reason
        self.retry_after = retry_after
        self.partial = partial
        self.checks = checks
        self.call_id: str | None = None
        self.attempts = 0
        self.cost: float | None = None

    def clean(self, text: Callable[[str], str]) -> None:
        """Put whatever it says, what the checks found too, through `text`, which takes out what must not be seen."""
        self.args = (text(str(self)),)
        self.body = text(self.body) if self.body else self.body
        self.partial = text(self.partial) if self.partial else self.partial
        self.checks = tuple(
            replace(
                check,
                message=text(check.message),
                parts=tuple(replace(part, text=text(part.text), why=text(part.why)) for part in check.parts),
            )
            for check in self.checks
        )


class InvalidRequestError(LabError):
    """The request itself is wrong; nothing about it changes by sending it again."""

    kind = "invalid_request"


class AuthError(LabError):
    """The key is missing, wrong, or not allowed to do this."""

    kind = "auth"


class QuotaError(LabError):
    """The account has no quota or credit left."""

    kind = "quota"


class RateLimitError(LabError):
    """Too many requests for now."""

    kind = "rate_limit"


class TransportError(LabError):
    """The connection failed, or the answer was cut before its end."""

    kind = "transport"


class ProviderError(LabError):
    """The provider failed."""

    kind = "provider"


class TimeoutError(LabError, builtins.TimeoutError):
    """A time limit passed; `phase` says which."""

    kind = "timeout"


class MalformedError(LabError):
    """The provider said success and sent something that is no answer."""

    kind = "malformed"


class ContentError(LabError):
    """An answer that can't be used as one; `reason` says why."""

    kind = "content"


class ValidationError(LabError):
    """A well-formed answer that failed its checks."""

    kind = "validation"


class UnsupportedError(LabError):
    """This model can't serve this call, now or later."""

    kind = "unsupported"


class BudgetError(LabError):
    """The caller's own limit refused the call."""

    kind = "budget"


class BusyError(LabError):
    """Refused at once for lack of capacity."""

    kind = "busy"


class LedgerError(Exception):
    """The ledger can't be opened, read or written. `reply` holds an answer that had been paid for, if any."""

    def __init__(self, message: str, *, reply: Reply[Any] | None = None):
        super().__init__(message)
        self.reply = reply


class JobError(Exception):
    """A job has no result: its flow raised an exception of its own, it was cancelled, its code has changed, or its
    workers died of it."""


BY_KIND: dict[str, type[LabError]] = {cls.kind: cls for cls in LabError.__subclasses__()}
