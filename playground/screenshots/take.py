"""Take the README's pictures of the playground, in both themes: `make screenshots`.

Starts a playground on a ledger of its own and drives Debian's Chromium.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).parent
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync"
).split()


def compare(page: Page, url: str) -> None:
    """Three models, answered."""
    page.goto(url)
    page.get_by_role("button", name="Run").click(timeout=60_000)
    page.get_by_text("Where the time went").wait_for(timeout=60_000)
    page.mouse.move(0, 0)
    page.get_by_text("Where the time went").click()


def calls(page: Page, url: str) -> None:
    """The list, with one call opened."""
    page.goto(f"{url}/calls")
    page.get_by_text("calls in lab.db").wait_for(timeout=60_000)
    box = page.locator("[data-testid=stDataFrame] canvas").first.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 15, box["y"] + 55)
    page.get_by_role("heading", name="Call ").wait_for(timeout=60_000)
    page.mouse.move(0, 0)


def main() -> None:
    """Both pages in both themes."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
        probe.close()
        env = {**os.environ, "LAB_DB": f"{folder}/lab.db", "HEADLESS": "1", "PORT": str(port)}
        server = subprocess.Popen([str(Path(sys.executable).parent / "lab"), "playground"], env=env)
        url = f"http://127.0.0.1:{port}"
        _wait(url)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            warm = browser.new_page()
            compare(warm, url)  # the first start of the models is not what the picture is of
            for theme in ("light", "dark"):
                for name, draw, height in (("compare", compare, 1080), ("calls", calls, 860)):
                    page = browser.new_page(
                        viewport={"width": 1280, "height": height}, color_scheme=theme, device_scale_factor=1.25
                    )
                    draw(page, url)
                    time.sleep(1.5)  # charts fade in
                    page.screenshot(path=HERE / f"{name}-{theme}.png")
                    page.close()
            browser.close()
        server.terminate()
        server.wait()


def _wait(url: str) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{url}/_stcore/health").close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the playground did not start")


if __name__ == "__main__":
    main()
