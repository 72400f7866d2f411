"""One answer of several beside each other: as it arrives, and as the ledger has it afterwards."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from lab import Lab, checks, errors
from lab.call.stream import Stream
from lab.ledger import queries
from lab.ledger.outcomes import ABANDONED

LOOKS = 50
"""Looks at the ledger, at most, for the end of a call that was stopped."""


@dataclass
class Lane:
    """A model's answer to a prompt (`prompt` is its label, if it has one): of a stream that runs or did in this
    session, or of a call that is on the ledger. `asked` are the messages of the request, as far as they are known,
    `words` whether those of the answer were kept."""

    model: str
    call_id: str
    prompt: str = ""
    stream: Stream[Any] | None = None
    since: float = field(default_factory=time.monotonic)
    row: dict[str, Any] | None = None
    said: str | None = None
    thought: str = ""
    asked: tuple[Any, ...] = ()
    words: bool = True
    looks: int = 0

    @classmethod
    def kept(cls, lab: Lab, call_id: str, prompt: str = "") -> Lane | None:
        """One of a call on the ledger; None where it is gone."""
        try:
            row = queries.call(lab.ledger, call_id)
        except ValueError:
            return None
        lane = cls(row["model"], call_id, prompt, row=row)
        lane.read(lab)
        return lane

    def read(self, lab: Lab) -> None:
        """What the ledger has of its words."""
        texts = queries.texts(lab.ledger, self.call_id) or {}
        self.said, self.asked = texts.get("answer") or "", tuple(texts.get("messages") or ())
        self.thought = texts.get("reasoning") or ""
        self.words = bool(texts.get("kept", True))

    @property
    def text(self) -> str:
        """What has arrived."""
        return self.stream.text if self.stream is not None else self.said or ""

    @property
    def reasoning(self) -> str:
        """What has been thought before it, as far as the model says."""
        return self.stream.reasoning.text if self.stream is not None else self.thought

    def runs(self, lab: Lab) -> bool:
        """Whether more is to come. Once nothing is, `row` is the call as the ledger has it, if it has."""
        if self.stream is None:
            return self._runs_elsewhere(lab)
        if not self.stream.done:
            return True
        if self.row is None:
            try:
                self.row = queries.call(lab.ledger, self.call_id)
            except (ValueError, errors.LedgerError):
                self.row = {}
        self.looks += 1
        if self.row.get("status") == "running" and self.looks < LOOKS:  # stopped this moment: its end is being written
            self.row = None
        return self.row is None

    def _runs_elsewhere(self, lab: Lab) -> bool:
        """Whether a call of another tab, or process, still runs; looked up every second, and read when it has ended."""
        row = self.row or {}
        if row.get("status") != "running" or time.time() - row["started_at"] > ABANDONED:
            return False
        if time.monotonic() - self.since > 1.0:
            self.since = time.monotonic()
            self.row = queries.call(lab.ledger, self.call_id)
            if self.row["status"] != "running":
                self.read(lab)
        return self.row is not None and self.row["status"] == "running"

    @property
    def failure(self) -> tuple[str, str] | None:
        """Why there is no good answer: the kind, with its detail, and the reason in words."""
        failed = self.stream.error if self.stream is not None else None
        if isinstance(failed, errors.LabError):
            detail = failed.phase or failed.reason
            return failed.kind.replace("_", " ") + (f" ({detail})" if detail else ""), str(failed)
        if failed is not None:
            return "not recorded" if isinstance(failed, errors.LedgerError) else "error", str(failed)
        row = self.row or {}
        if row.get("status") == "failed":
            detail = row.get("phase") or row.get("reason")
            kind = str(row.get("kind") or "error").replace("_", " ")
            return kind + (f" ({detail})" if detail else ""), str(row.get("error") or "")
        return None

    @property
    def outcome(self) -> str:
        """The name of its colour."""
        row = self.row or {}
        return str(row.get("kind") or row.get("status") or "running")

    @property
    def stopped(self) -> bool:
        """Whether it was stopped before its end."""
        closed = self.stream is not None and self.stream.closed
        return closed or (self.row or {}).get("status") == "cancelled"

    @property
    def good(self) -> bool:
        """Whether it ended with a whole answer."""
        ended = self.stream is None or self.stream.done
        return ended and self.failure is None and not self.stopped and (self.row or {}).get("status") == "ok"

    def close(self) -> None:
        """Stop it; what had arrived stays."""
        if self.stream is not None:
            self.stream.close()

    def value(self, schema: Any) -> Any:
        """What the answer is as a value, where one was asked for; None where it is none."""
        if schema is None or not self.good:
            return None
        try:
            return checks.Schema.of(schema).read(self.text)[0]
        except (ValueError, errors.LabError):
            return None

    def checked(self, lab: Lab) -> pd.DataFrame:
        """What the checks found in its last answer."""
        findings = lab.checks(self.call_id)
        return findings[findings["attempt"] == findings["attempt"].max()] if len(findings) else findings
