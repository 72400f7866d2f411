"""What people do all day, in a real Chromium: the grid by keyboard, a call that Back closes, a time that is brushed, a
file of one's own, a look around."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from lab import Lab, Prompt, rehearsal
from lab.ledger import evalsets
from playground.screenshots.driven import chromium, playground
from tests.browsing import still

HOSTILE = (
    "<script>document.title='owned'</script><img src='https://outside.invalid/p.png' onerror='document.title=1'>"
    " ![image](https://outside.invalid/image.png) [link](https://outside.invalid/) **bold**"
)
GRID = "/?mode=Over+a+set&grid_shown=hostile"


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A month of calls, and an experiment with hostile words in it."""
    path = tmp_path_factory.mktemp("living") / "living.db"
    rehearsal.write(path, 1500, scored=0.2)
    cases = [{"id": f"{n} {HOSTILE}", "input": {"x": f"{HOSTILE} {n}"}, "expected": HOSTILE} for n in range(60)]
    with Lab(path, provider=lambda call: HOSTILE if call.model == "good" else f"{HOSTILE} more") as lab:
        lab.compare([Prompt("p", "{{x}}")], ["good", "bad"], cases, scorers=["exact"], name="hostile", progress=None)
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserContext]:
    with chromium() as opened:
        yield opened.new_context(viewport={"width": 1440, "height": 1000})


@pytest.fixture(scope="module")
def url(ledger: Path) -> Iterator[str]:
    with playground(ledger) as address:
        yield address


@pytest.fixture
def page(browser: BrowserContext) -> Iterator[Page]:
    opened = browser.new_page()
    outside: list[str] = []
    opened.on("request", lambda sent: outside.append(sent.url) if "outside.invalid" in sent.url else None)
    yield opened
    assert opened.get_by_test_id("stException").count() == 0
    assert opened.get_by_text("This page met an error").count() == 0
    assert "owned" not in opened.title()
    assert outside == []
    opened.close()


def settled(page: Page) -> None:
    expect(page.locator(".stApp[data-test-script-state=notRunning]")).to_be_attached(timeout=60_000)


def pick(page: Page, box: str, option: str) -> None:
    combobox = page.get_by_role("combobox", name=box)
    place = still(combobox)  # a menu closes when its page scrolls
    page.mouse.click(place["x"] + 10, place["y"] + 10)
    page.get_by_role("option", name=option).first.click()
    settled(page)


def test_the_grid_is_text_alone_paged_and_opens_a_call_by_keyboard(page: Page, url: str) -> None:
    page.goto(url + GRID)
    cells = page.locator("td[data-call]")
    expect(cells).to_have_count(100, timeout=60_000)  # 50 rows of a page
    settled(page)
    holder = page.locator(".holder")
    assert holder.locator("script, img, a, strong").count() == 0
    assert holder.get_by_text("**bold**").count() > 0
    assert page.locator("td.right").count() == 50
    assert page.locator("td.wrong").count() == 50
    pick(page, "Words that differ from", "what was expected")
    expect(page.locator("td.wrong ins").first).to_have_text(re.compile("more"), timeout=30_000)
    assert page.locator("td.right ins").count() == 0
    cells.first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    focused = page.evaluate(
        "document.querySelector('.holder, *').getRootNode() && (() => {"
        "let at = document.activeElement; while (at && at.shadowRoot) at = at.shadowRoot.activeElement;"
        "return [at.dataset.row, at.dataset.column]})()"
    )
    assert focused == ["1", "1"]
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("Open in Compare")).to_be_visible(timeout=30_000)
    assert dialog.locator("script, img[src*=outside], a[href*=outside]").count() == 0
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0, timeout=30_000)


def test_a_row_is_rated_and_put_into_a_set(page: Page, url: str, ledger: Path) -> None:
    page.goto(url + GRID)
    page.get_by_role("button", name="Rate the answers of this row").first.click(timeout=60_000)
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("radio", name="all are good").or_(dialog.get_by_text("all are good")).first.click(timeout=30_000)
    dialog.get_by_role("button", name="Keep").click(timeout=30_000)
    expect(dialog).to_have_count(0, timeout=30_000)
    page.get_by_role("button", name="Add this case to a set").first.click(timeout=30_000)
    dialog.get_by_role("combobox", name="Set").fill("mine")
    page.keyboard.press("Enter")
    dialog.get_by_role("button", name="Add", exact=True).click(timeout=30_000)
    expect(dialog.get_by_text("In mine now")).to_be_visible(timeout=30_000)
    with Lab(ledger) as lab:
        assert lab.ratings("hostile")["both"].tolist() == [1]
        (case,) = evalsets.cases(lab.ledger, "mine")
        assert case["expected"] == HOSTILE


def test_a_call_opens_beside_the_list_and_back_closes_it(page: Page, url: str) -> None:
    page.goto(f"{url}/calls")
    canvas = still(page.locator("[data-testid=stDataFrame] canvas").first)
    settled(page)
    page.mouse.click(canvas["x"] + 15, canvas["y"] + 55)
    expect(page.get_by_role("heading", name="Call ")).to_be_visible(timeout=30_000)
    settled(page)
    first = page.url
    page.get_by_role("button", name="Next").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("first => location.href !== first", arg=first, timeout=30_000)
    second = page.url
    assert "call=" in second
    expect(page.get_by_role("heading", name=f"Call {second.rpartition('=')[2]}")).to_be_visible(timeout=30_000)
    page.go_back()
    expect(page.get_by_role("heading", name=f"Call {first.rpartition('=')[2]}")).to_be_visible(timeout=30_000)
    page.go_back()
    expect(page.get_by_role("heading", name="Call ")).to_have_count(0, timeout=30_000)


def test_a_time_that_is_brushed_is_listed(page: Page, url: str) -> None:
    page.goto(f"{url}/calls")
    box = still(page.locator("[data-testid=stVegaLiteChart] svg").first)
    settled(page)
    every = page.get_by_text(re.compile(r"of [\d,]+ calls in living\.db")).inner_text()
    page.mouse.move(box["x"] + 300, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] + 500, box["y"] + 85, steps=6)
    page.mouse.up()
    page.wait_for_url("**/calls?*between=*", timeout=30_000)
    expect(page.get_by_text("Those between")).to_be_visible(timeout=30_000)
    expect(page.get_by_text(every)).to_have_count(0, timeout=30_000)
    page.get_by_role("button", name="All times").click()
    expect(page.get_by_text(every)).to_be_visible(timeout=30_000)


def test_a_file_of_ones_own_is_seen_at_once_and_its_faults_where_they_are(page: Page, url: str, tmp_path: Path) -> None:
    page.goto(f"{url}/?mode=Over+a+set")
    expect(page.get_by_role("combobox", name="Cases")).to_be_visible(timeout=60_000)
    settled(page)
    pick(page, "Cases", "a file of yours")
    page.get_by_label("Or a new one").fill("Which? {{ticket}}")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Variables: ticket")).to_be_visible(timeout=30_000)
    settled(page)
    broken = tmp_path / "broken.csv"
    broken.write_text("text,label\none,billing\ntwo\n")
    chooser = page.locator("input[type=file]")
    chooser.set_input_files(broken)
    expect(page.get_by_text("line 3, column 2: 1 cells, where there are 2 columns")).to_be_visible(timeout=30_000)
    good = tmp_path / "good.csv"
    good.write_text("text,label\none,billing\ntwo,bug\n")
    chooser.set_input_files(good)
    expect(page.get_by_text("The first 2 of 2 rows.")).to_be_visible(timeout=30_000)
    expect(page.get_by_text("2 cases", exact=False).first).to_be_visible(timeout=30_000)
    assert page.get_by_role("combobox", name="What is expected").input_value() in ("label", "")


def test_one_looks_around_in_a_month_that_never_was_and_leaves_it(browser: BrowserContext, tmp_path: Path) -> None:
    with playground(tmp_path / "empty.db") as address:
        page = browser.new_page()
        page.goto(f"{address}/calls")
        page.get_by_role("button", name="Look around with a made-up month").click(timeout=60_000)
        expect(page.get_by_text("20,000 calls in made-up.db")).to_be_visible(timeout=120_000)
        for name in ("Evals", "Cost"):
            page.get_by_role("link", name=name).click()
            expect(page.get_by_text("A made-up month.")).to_be_visible(timeout=60_000)
            settled(page)
            assert page.get_by_text("This page met an error").count() == 0, name
        page.get_by_role("button", name="Leave it").click()
        expect(page.get_by_text("A made-up month.")).to_have_count(0, timeout=60_000)
        page.get_by_role("link", name="Calls").click()
        expect(page.get_by_text("No calls yet.")).to_be_visible(timeout=60_000)
        page.close()
    with Lab(tmp_path / "empty.db") as lab:
        assert lab.count() == 0
