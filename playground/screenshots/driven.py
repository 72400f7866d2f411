"""A playground on a free port, and a Chromium to look at it: for tests, benchmarks and pictures."""

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

from playwright.sync_api import Browser, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync"
    # what an address bar suggests is a page of its own, loaded with every window: it costs as much as the playground's
    " --disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup,OptimizationHints,PaintHolding,HttpsUpgrades"
).split()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    assert CHROMIUM, "chromium is missing (Debian: apt install chromium)"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


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
        try:
            server.wait(40)
        except subprocess.TimeoutExpired:
            server.kill()
            raise
