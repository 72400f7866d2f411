"""The child's side of a server that lives and dies with the process that started it: it says where it listens in one
line of JSON, and leaves when its standard input closes, which happens however the parent ends."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Mapping
from typing import Any


def say(url: str, models: Mapping[str, Mapping[str, Any]]) -> None:
    """The child's side: tell the parent where it listens, then stop when the parent is gone."""
    print(json.dumps({"url": url, "models": dict(models)}), flush=True)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def say_error(message: str) -> None:
    """The child's side: tell the parent, in one sentence, why there will be no server."""
    print(json.dumps({"error": message}), flush=True)


def _leave_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)
