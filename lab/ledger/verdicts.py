"""What gates have said, on the ledger: which model may stand in for another, on which eval set, with which prompt."""

from __future__ import annotations

import time
from typing import Any

from lab.ledger.file import Ledger
from lab.values import Call


def put(book: Ledger, **values: Any) -> None:
    """Keep one verdict: `values` are columns of the table `verdicts`."""
    names = ("given_at", *values)
    book.submit(
        (
            f"INSERT INTO verdicts ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
            (time.time(), *values.values()),
        )
    ).result()


def refused(book: Ledger, eval_set: str, call: Call, model: str) -> str | None:
    """Why `model` may not answer in this call's place: it has not passed the gate on `eval_set` with the call's version
    of its prompt. None where it has. The last verdict counts."""
    which = f"{call.prompt_name} version {call.prompt_version}" if call.prompt_name else "a prompt without a name"
    rows = book.query(
        "SELECT verdict FROM verdicts WHERE eval_set = ? AND model = ? AND prompt_name IS ? AND prompt_version IS ?"
        " ORDER BY given_at DESC, id DESC LIMIT 1",
        [eval_set, model, call.prompt_name, call.prompt_version],
    )
    if not rows:
        return f"it has not been through the gate on {eval_set} with {which}"
    verdict = rows[0]["verdict"]
    return None if verdict == "pass" else f"the gate on {eval_set} with {which} said {verdict}"
