"""A real Chromium, and a playground for it to look at."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync"
).split()

if CHROMIUM is None and not os.environ.get("CI"):
    pytest.skip(
        "NO BROWSER TEST WAS RUN: there is no chromium here. Install it (Debian: apt install chromium).",
        allow_module_level=True,
    )


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    assert CHROMIUM, "CI must not leave the browser tests out: chromium is missing"
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield made
        made.close()


@contextmanager
def playground(ledger: Path, **more: str) -> Iterator[str]:
    """A playground on a free port, with this ledger, and `more` in its environment; its address."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    folder = ledger.parent
    env = {**os.environ, "LAB_DB": str(ledger), "HEADLESS": "1", "PORT": str(port), **more}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [str(Path(sys.executable).parent / "lab"), "playground"], env=env, stdout=log, stderr=log
        )
    address = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{address}/_stcore/health").close()
            break
        except OSError:
            assert server.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
    try:
        yield address
    finally:
        server.terminate()
        server.wait()


class Watched:
    """A page, and all that it complained of or asked for."""

    def __init__(self, page: Page, home: str):
        self.page = page
        self.complaints: list[str] = []
        self.outside: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: said.type == "error" and self.complaints.append(said.text))
        page.on("request", lambda sent: sent.url.startswith((home, "data:", "blob:")) or self.outside.append(sent.url))


def contrast(one: str, other: str) -> float:
    """WCAG's contrast of two colours, as the browser writes them."""

    def luminance(colour: str) -> float:
        parts = [float(part) / 255 for part in colour.split("(")[1].rstrip(")").split(",")[:3]]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)
