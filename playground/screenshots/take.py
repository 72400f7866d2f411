"""Take the README's pictures of the playground, in both themes: `make screenshots`.

Starts playgrounds on ledgers of their own and drives Debian's Chromium.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from playwright.sync_api import Browser, Page

from lab import EvalSet, Lab, Prompt, rehearsal
from lab.sim.answers import EVALS
from playground.screenshots.driven import chromium, playground

HERE = Path(__file__).parent


def compare(page: Page, url: str) -> None:
    """Three models, answered."""
    page.goto(url)
    page.get_by_role("button", name="Run").first.click(timeout=60_000)
    page.get_by_text("Where the time went").wait_for(timeout=60_000)
    page.get_by_text("Copy link").wait_for(timeout=60_000)
    page.mouse.move(640, 500)
    page.mouse.wheel(0, -5000)


def reading(name: str, mark: str) -> Callable[[Page, str], None]:
    """A page of the record, drawn to its end."""

    def draw(page: Page, url: str) -> None:
        page.goto(f"{url}/{name}")
        page.get_by_text(mark).first.wait_for(timeout=60_000)
        page.mouse.move(0, 0)

    return draw


def calls(page: Page, url: str) -> None:
    """The list, with one call opened."""
    page.goto(f"{url}/calls?user=importer")
    page.get_by_text("calls in lab.db").wait_for(timeout=60_000)
    time.sleep(2)
    box = page.locator("[data-testid=stDataFrame] canvas").first.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 15, box["y"] + 55)
    page.get_by_role("heading", name="Call ").wait_for(timeout=60_000)
    page.mouse.move(0, 0)


def grid(page: Page, url: str) -> None:
    """The answers of an experiment, where they differ most."""
    page.goto(f"{url}/?mode=Over+a+set&grid_shown=nightly")
    page.locator("td[data-call]").first.wait_for(timeout=60_000)
    page.get_by_text("Answer by answer").scroll_into_view_if_needed()
    time.sleep(1)
    top = page.get_by_text("Answer by answer").bounding_box()
    assert top is not None
    page.mouse.move(640, 400)
    page.mouse.wheel(0, top["y"] - 80)


def asked(path: Path) -> None:
    """An experiment with two prompts and three models."""
    with Lab(path) as lab:
        prompts = [Prompt.load(EVALS.parent / "prompts" / name) for name in ("triage.md", "triage-example.md")]
        models = ["sim/small", "sim/medium", "sim/large"]
        cases = EvalSet.load(EVALS / "triage.jsonl")
        lab.compare(prompts, models, cases, scorers=["label"], concurrency=200, name="nightly", progress=None)


def jobs(page: Page, url: str) -> None:
    """What runs and waits, with one that is done opened."""
    page.goto(f"{url}/jobs?job=order-7")
    page.get_by_text("What came of it").wait_for(timeout=60_000)
    page.get_by_text("Oldest first").wait_for(timeout=60_000)
    page.mouse.move(0, 0)


def working(path: Path, browser: Browser) -> None:
    """Jobs of three users, while a worker runs them."""
    os.environ["LAB_DB"] = str(path)
    from playground.screenshots import flows  # its Lab is that of the environment

    worker = flows.lab.worker(concurrency=3)
    try:
        flows.lab.submit(flows.report, "tides", id="order-7", user="ann").result(60)
        for number, user in enumerate(("ann", "bob", "eve", "bob", "eve")):
            flows.lab.submit(flows.triage, 12 + number, user=user)
        flows.lab.submit(flows.triage, 20, user="eve", lane="batch")
        with playground(path) as url:
            shoot(browser, url, (("jobs", jobs, 1000),))
    finally:
        worker.close()
        flows.lab.close()


READING = (
    ("tails", reading("tails", "What hedges, timeouts"), 1180),
    ("cost", reading("cost", "Quality against cost"), 1180),
    ("calls", calls, 980),
)


def main() -> None:
    """Compare on a ledger of its own; the others on a made-up month with an incident; in both themes."""
    with tempfile.TemporaryDirectory() as folder:
        new = Path(folder) / "new" / "lab.db"
        new.parent.mkdir()
        with playground(new) as url, chromium() as browser:
            warm = browser.new_page()
            compare(warm, url)  # the first start of the models is not what the picture is of
            shoot(browser, url, (("compare", compare, 1240),))
        asked(new)
        with playground(new) as url, chromium() as browser:
            shoot(browser, url, (("grid", grid, 900),))
        busy = Path(folder) / "busy" / "lab.db"
        busy.parent.mkdir()
        with chromium() as browser:
            working(busy, browser)
        path = Path(folder) / "month" / "lab.db"
        path.parent.mkdir()
        rehearsal.write(path, 20_000, incident=rehearsal.Incident(), hits=rehearsal.Hits(), scored=0.12)
        with playground(path) as url, chromium() as browser:
            shoot(browser, url, READING)


def shoot(browser: Browser, url: str, pages: Sequence[tuple[str, Callable[[Page, str], None], int]]) -> None:
    """Each page in both themes."""
    for theme in ("light", "dark"):
        for name, draw, height in pages:
            page = browser.new_page(
                viewport={"width": 1280, "height": height}, color_scheme=theme, device_scale_factor=1.25
            )
            draw(page, url)
            time.sleep(3)  # charts fade in
            page.screenshot(path=HERE / f"{name}-{theme}.png")
            page.close()


if __name__ == "__main__":
    main()
