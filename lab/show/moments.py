"""Moments as the record has them, for tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def utc(seconds: pd.Series) -> pd.Series:
    """Unix seconds as UTC timestamps, to the microsecond. Whatever no calendar has (missing, infinite) is NaT; a year
    like 2262, where nanoseconds end, is a year like any other."""
    import numpy as np  # slow to import, and only readers need them
    import pandas as pd

    values = pd.to_numeric(seconds, errors="coerce").to_numpy(dtype=float)
    micro = np.where(np.abs(values) < 2e11, values * 1e6, np.nan)  # some 6,000 years: what Python's own dates hold
    known = ~np.isnan(micro)
    moments = np.full(len(micro), np.datetime64("NaT", "us"))
    moments[known] = np.round(micro[known]).astype(np.int64).astype("datetime64[us]")
    return pd.Series(moments, index=seconds.index, name=seconds.name).dt.tz_localize("UTC")
