"""What providers' own caches of prompts saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.ledger import queries
from lab.ledger.file import Ledger

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ["model", "requests", "sent", "read", "written", "hit_rate", "saved"]
_SUMS = """
    SELECT attempts.model AS model, count(*) AS requests,
        sum(coalesce(attempts.input_tokens, 0) + coalesce(attempts.cache_read_tokens, 0)
            + coalesce(attempts.cache_write_tokens, 0)) AS sent,
        sum(coalesce(attempts.cache_read_tokens, 0)) AS read,
        sum(coalesce(attempts.cache_write_tokens, 0)) AS written,
        sum(coalesce(attempts.cache_read_tokens, 0)
                * (json_extract(price, '$.input') - json_extract(price, '$.cache_read'))
            - coalesce(attempts.cache_write_tokens, 0)
                * (json_extract(price, '$.cache_write') - json_extract(price, '$.input'))) AS saved
    FROM attempts JOIN calls ON calls.call_id = attempts.call_id
"""
_CACHED = "(attempts.cache_read_tokens > 0 OR attempts.cache_write_tokens > 0)"
"""As the index of them says it."""


def prompt_caches(book: Ledger, **filters: Any) -> pd.DataFrame:
    """The requests in which a provider read a part of the prompt from its own cache, or wrote one to it, a row a model,
    most saved first: columns `model`, `requests`, `sent` (tokens in all), `read` and `written` (tokens), `hit_rate`
    (the share of `sent` that was read) and `saved` (US dollars against the plain price of what was sent, less what
    writing cost more; None where no price is known)."""
    where, values = queries.filtered(**filters)
    frame = book.frame(f"{_SUMS} {where} {'AND' if where else 'WHERE'} {_CACHED} GROUP BY attempts.model", values)
    frame["hit_rate"] = frame["read"] / frame["sent"].where(frame["sent"] > 0)
    return frame.sort_values("saved", ascending=False, ignore_index=True, na_position="last")[_COLUMNS]
