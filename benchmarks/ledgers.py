"""A ledger of as many calls as you like, as a month of traffic would have left it: see `lab/ledger/rehearsal.py`.

python benchmarks/ledgers.py 1000000 /tmp/million.db     # 1,000,000 calls, 1,200,000 attempts; a few minutes
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from lab.ledger.rehearsal import pack
from lab.ledger.rehearsal import write as make

__all__ = ["make", "pack"]


def main() -> None:
    """Make one, and say how long it took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("calls", type=int)
    parser.add_argument("path", type=Path)
    options = parser.parse_args()
    start = time.perf_counter()
    make(options.path, options.calls)
    written, packed = time.perf_counter(), pack(options.path)
    size = options.path.stat().st_size / 1e6
    took = (
        f"{options.calls:,} calls in {written - start:.0f} s, {packed} packs in {time.perf_counter() - written:.0f} s"
    )
    print(f"{took}, {size:,.0f} MB")


if __name__ == "__main__":
    main()
