"""The playground in a real Chromium: it works, it is quiet, and a hostile answer is only ever text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from lab import Lab
from playground.screenshots.driven import chromium, playground
from tests.browsing import Watched, contrast, in_both_themes, watching
from tests.servers import DONE, END, STREAM, RawServer, chunk

HOSTILE = (
    "<script>document.title='owned'</script><img src='https://outside.invalid/pixel.png' onerror='document.title=1'>\n"
    "![image](https://outside.invalid/image.png) [link](https://outside.invalid/) **bold** $x^2$ :material/home:\n"
    "\x1b[31mred \u202eright to left <style>body{display:none}</style>"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserContext]:
    """A browser that has been here before: what it has loaded once, all tests have."""
    with chromium() as opened:
        yield opened.new_context()


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The playground's ledger."""
    return tmp_path_factory.mktemp("playground") / "lab.db"


@pytest.fixture(scope="module")
def url(ledger: Path) -> Iterator[str]:
    with playground(ledger) as address:
        yield address


@pytest.fixture
def watched(browser: BrowserContext, url: str) -> Iterator[Watched]:
    """The playground, quiet to the end."""
    with watching(browser, url) as seen:
        yield seen


def _pick(page: Page, *models: str) -> None:
    """Replace the picked models, typing each name."""
    page.get_by_role("button", name="Clear all").click()
    box = page.get_by_role("combobox", name="Models")
    for model in models:
        box.fill(model)
        box.press("Enter")
    box.press("Escape")


def test_models_answer_side_by_side_and_the_calls_are_listed(watched: Watched) -> None:
    page = watched.page
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_text("The capital of France is Paris.")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("This is heavy-tail, a simulation.")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("Where the time went")).to_be_visible(timeout=60_000)
    assert page.get_by_text("✓ ok", exact=True).count() == 3
    tops = {round(page.get_by_text("Outcome", exact=True).nth(index).bounding_box()["y"]) for index in range(3)}
    assert len(tops) == 1, "the figures stand in line"
    page.get_by_role("link", name="Calls").click()
    expect(page.get_by_text("calls in lab.db")).to_be_visible(timeout=30_000)
    canvas = page.locator("[data-testid=stDataFrame] canvas").first.bounding_box()
    page.mouse.click(canvas["x"] + 15, canvas["y"] + 55)
    expect(page.get_by_role("heading", name="Call ")).to_be_visible(timeout=30_000)
    assert "call=" in page.url
    page.get_by_role("link", name="Compare").click()
    expect(page.get_by_test_id("stBaseButton-primary")).to_be_visible(timeout=30_000)
    answer = page.locator(".lab-answer").filter(has_text="The capital of France is Paris.")
    expect(answer).to_be_visible(timeout=30_000)  # it is still there


def test_one_failure_leaves_the_others_alone_and_can_be_read(watched: Watched) -> None:
    """In both themes, with WCAG's contrast of at least 4.5, and at 800 pixels."""
    page = watched.page
    _pick(page, "groq/llama-3.1-8b-instant", "sim/steady")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_text("set GROQ_API_KEY in the environment or in .env")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("This is steady, a simulation.")).to_be_visible(timeout=60_000)
    bad = page.locator(".lab-facts .bad")
    for _ in in_both_themes(page):
        colours = bad.evaluate(
            "node => [getComputedStyle(node).color, getComputedStyle(document.querySelector('.stApp')).backgroundColor]"
        )
        assert contrast(*colours) >= 4.5, colours
    page.set_viewport_size({"width": 800, "height": 900})
    expect(page.get_by_test_id("stBaseButton-primary")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 800, "nothing hangs over the side"


def test_stop_ends_what_runs(watched: Watched) -> None:
    page = watched.page
    _pick(page, "sim/steady+trickle")  # a second between two words: it can't be over before the click
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_text("This is")).to_be_visible(timeout=60_000)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("□ stopped", exact=True)).to_be_visible(timeout=30_000)
    figures = page.locator(".lab-facts").inner_text().split("\n")
    measured = dict(zip(figures[::2], figures[1::2], strict=False))
    assert measured["First token"] != "–", "what was measured until then, as Calls has it"
    assert measured["Total"] != "–"
    assert measured["Cost"].startswith("$0.0")
    assert measured["Attempts"] == "1"


def test_a_hostile_answer_is_only_text(watched: Watched, ledger: Path) -> None:
    """Script, image, link and style change nothing but their own box, and nothing is fetched."""
    page = watched.page
    with RawServer() as server:
        server.plays(STREAM, chunk(HOSTILE), chunk("x" * 300_000), chunk(finish="stop"), DONE, END)
        _ask_elsewhere(server, ledger)
    title = page.title()
    page.get_by_role("link", name="Calls").click()
    expect(page.get_by_text("calls in lab.db")).to_be_visible(timeout=30_000)
    canvas = page.locator("[data-testid=stDataFrame] canvas").first.bounding_box()
    page.mouse.click(canvas["x"] + 15, canvas["y"] + 55)
    asked = page.get_by_test_id("stText").filter(has_text="<script>document.title")
    answer = page.locator(".lab-answer").filter(has_text="<script>document.title")
    expect(asked).to_have_count(1, timeout=30_000)
    expect(answer).to_have_count(1, timeout=30_000)
    assert "![image](https://outside.invalid/image.png)" in answer.inner_text()
    assert asked.locator("img, a, script, strong").count() == 0
    assert answer.locator("img, a, script, style").count() == 0, "Markdown, and of that what can't load or lead away"
    assert answer.locator("strong").inner_text() == "bold"
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    assert page.title() == title.replace("Compare", "Calls")


def _ask_elsewhere(server: RawServer, ledger: Path) -> None:
    """A hostile question and answer onto the playground's ledger, as a colleague's script would put them there."""
    with Lab(ledger) as lab:
        list(lab.stream(HOSTILE, model="openai/m", api_base=server.url, api_key="k"))
