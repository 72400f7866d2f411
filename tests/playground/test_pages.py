"""Every page in a real Chromium, on a month of traffic with hostile words in it: quiet, readable, only ever text."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import BrowserContext, Error, Page, expect

from benchmarks import ledgers
from lab import Lab, Prompt, errors
from lab.ledger import cached
from playground.screenshots.driven import chromium, playground
from tests.browsing import Watched, contrast, in_both_themes, still, watching
from tests.jobs.working import working

MARKUP = "<script>document.title='owned'</script><img src='https://outside.invalid/p.png' onerror='document.title=1'>"
HOSTILE = (
    f"{MARKUP}\n![image](https://outside.invalid/image.png) [link](https://outside.invalid/) **bold** $x^2$ :red[red]"
    " :material/home: `code`\n\x1b[31mred \u202eright to left\u202c <style>body{display:none}</style>"
)
LINE = "[link](https://outside.invalid/) **bold** :red[red] <img src='https://outside.invalid/p.png'>"
PAGES = {  # what each has when it is drawn to its end
    "Tails": "What hedges, timeouts and fallbacks did",
    "Cost": "Quality against cost",
    "Cache": "The last near hits that were wrong",
    "Failures": "Try a policy",
    "Calls": "calls in pages.db",
    "Jobs": "Oldest first",
    "Prompts": "Labels",
    "Evals": "Eval sets",
    "Health": "UTC: ",
    "Compare": "Saved prompts",
}
SECRETS = {"OPENAI_API_KEY": "planted-secret-4c7f", "ANTHROPIC_API_KEY": "planted-secret-9a1b"}


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A month of traffic; then hostile words wherever words can be, the last call among them."""
    path = tmp_path_factory.mktemp("pages") / "pages.db"
    ledgers.make(path, 1500)
    with Lab(path, provider=lambda call: HOSTILE) as lab:
        cases = [{"id": f"{n} {LINE}", "input": HOSTILE, "expected": "x"} for n in range(3)]
        prompt = Prompt("hostile", HOSTILE.replace("$x^2$", "{{x}}"))
        lab.compare([prompt], [LINE, "sim/other"], cases, name=f"e {LINE}", scorers=["contains"], progress=None)

        def fails(call: object) -> str:
            raise errors.ProviderError(HOSTILE)

        with Lab(path, provider=fails) as other, pytest.raises(errors.ProviderError):
            other.ask(HOSTILE, model=LINE, user=LINE, tags=[LINE])
        with Lab(path, provider=lambda call: "x" * 1_000_000) as other:
            other.ask("a megabyte on one line", model="m")
        kept = lab.ask(HOSTILE, model="m", user=LINE)
        fresh = lab.ask(HOSTILE, model=LINE, user=LINE, tags=[LINE])
        lane = cached.Lane(name=f"{LINE}@1", embedder=LINE, rule=1, share=0.02)
        for wrong in (True, None):  # compared, and to be compared by a person
            lab.ledger.transact(
                lambda db, wrong=wrong: cached.put_label(db, lane, 1.95, wrong, "value", fresh.call_id, kept.call_id)
            ).result()
        hostile_jobs(lab)
    return path


async def said(words: str) -> dict[str, str]:
    """What it was given."""
    return {words: words}


async def broken(words: str) -> None:
    """A failure in these words."""
    raise ValueError(words)


def hostile_jobs(lab: Lab) -> None:
    """One that is done, and one that failed, in such words."""
    with working(lab):
        done = lab.submit(lab.flow(said), HOSTILE, id=f"done {LINE}", user=LINE)
        failed = lab.submit(lab.flow(broken), HOSTILE, id=f"failed {LINE}", user=LINE)
        done.result(30)
        with pytest.raises(ValueError, match="owned"):
            failed.result(30)


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserContext]:
    """A browser that has been here before: what it has loaded once, all tests have."""
    with chromium() as opened:
        yield opened.new_context()


@pytest.fixture(scope="module")
def url(ledger: Path) -> Iterator[str]:
    with playground(ledger, **SECRETS) as address:
        yield address


@pytest.fixture
def watched(browser: BrowserContext, url: str) -> Iterator[Watched]:
    """The playground, quiet to the end."""
    with watching(browser, url) as seen:
        yield seen


def visit(page: Page, name: str) -> None:
    """Go there by its link, and wait until it is drawn to its end."""
    page.get_by_role("link", name=name).first.click()
    expect(page.get_by_text(PAGES[name]).first).to_be_attached(timeout=60_000)
    expect(page.locator(".stApp[data-test-script-state=notRunning]")).to_be_attached(timeout=60_000)


def test_every_page_is_quiet_fits_and_is_only_text(watched: Watched) -> None:
    """No exception, no console error, nothing fetched from elsewhere, nothing over the side at 1280 and 800 pixels, no
    markup of a model's or a user's, text that can be read in both themes. Keys are in nothing that any page sends: no
    frame of its websocket, no answer of the server."""
    page = watched.page
    came = frames(page)
    page.reload()
    for name in PAGES:
        visit(page, name)
        assert page.get_by_test_id("stException").count() == 0, name
        assert page.get_by_text("This page met an error").count() == 0, name
        for width in (1440, 1024, 800):
            page.set_viewport_size({"width": width, "height": 1000})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
        page.set_viewport_size({"width": 1280, "height": 1000})
        assert page.locator("a[href*=outside], img[src*=outside], script:text('owned')").count() == 0, name
        assert page.locator(":not(.lab-answer *) > strong:text-is('bold')").count() == 0, name
        assert "owned" not in page.title()
        for _ in in_both_themes(page):
            faint = [(text, front, back) for text, front, back in page.evaluate(_TEXTS) if contrast(front, back) < 4.5]
            assert faint == [], name
    whole = b"".join(came)
    assert len(whole) > 100_000
    assert b"Average seconds in each phase" in whole, "frames are read"
    assert b"planted-secret" not in whole


@pytest.mark.parametrize("which", ["done", "failed"])
def test_a_job_opens_as_text_alone(browser: BrowserContext, url: str, which: str) -> None:
    page = browser.new_page()
    page.goto(f"{url}/jobs?job={quote(f'{which} {LINE}')}")
    expect(page.get_by_text("What came of it")).to_be_visible(timeout=60_000)
    expect(page.get_by_role("button", name="Run again")).to_be_visible(timeout=60_000)
    assert page.get_by_test_id("stException").count() == 0
    assert page.locator("a[href*=outside], img[src*=outside], script:text('owned')").count() == 0
    assert page.locator("strong:text-is('bold')").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    for _ in in_both_themes(page):
        faint = [(text, front, back) for text, front, back in page.evaluate(_TEXTS) if contrast(front, back) < 4.5]
        assert faint == []
    page.close()


def test_one_of_the_slowest_opens_as_a_call(watched: Watched) -> None:
    page = watched.page
    visit(page, "Tails")
    canvas = page.locator(".st-key-table-stragglers canvas").first
    canvas.scroll_into_view_if_needed()
    box = still(canvas)
    page.mouse.click(box["x"] + 15, box["y"] + 55)
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="On the Calls page").click(timeout=30_000)
    page.wait_for_url("**/calls?*call=*", timeout=30_000)
    expect(page.get_by_text(PAGES["Calls"]).first).to_be_attached(timeout=60_000)


_TEXTS = """() => {
    // of every text in the page's main part: its colour as it is seen, and what is behind it
    const parse = (colour) => (colour.match(/[\\d.]+/g) || []).map(Number);
    const over = (front, back, alpha) => front.slice(0, 3).map((level, at) => level * alpha + back[at] * (1 - alpha));
    const texts = [];
    const walker = document.createTreeWalker(document.querySelector('[data-testid=stMain]'), NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode, box = node.parentElement;
        const seen_ = node.textContent.trim() && box.checkVisibility({visibilityProperty: true});
        const apart = 'svg, [disabled], [data-testid=stIconMaterial], textarea, .vega-embed, [data-testid=stSlider]';
        if (!seen_ || box.closest(apart)) continue;
        let backs = [], alpha = 1;
        for (let at = box; at; at = at.parentElement) {
            const colour = parse(getComputedStyle(at).backgroundColor);
            if (colour.length && (colour[3] ?? 1) > 0) backs.push(colour);
            alpha *= Number(getComputedStyle(at).opacity);
        }
        let back = [255, 255, 255];
        for (const colour of backs.reverse()) back = over(colour, back, colour[3] ?? 1);
        const front = parse(getComputedStyle(box).color);
        const seen = over(front, back, (front[3] ?? 1) * alpha);
        texts.push([node.textContent.trim().slice(0, 40), `rgb(${seen})`, `rgb(${back})`]);
    }
    return texts;
}"""


def test_a_hostile_call_opened_changes_nothing_but_its_boxes(watched: Watched) -> None:
    page = watched.page
    visit(page, "Calls")
    canvas = still(page.locator("[data-testid=stDataFrame] canvas").first)
    for row in (0, 1, 2):  # the hostile answer, the megabyte, the hostile error
        page.mouse.click(canvas["x"] + 15, canvas["y"] + 55 + 35 * row)
        page.wait_for_timeout(300)
        expect(page.get_by_role("heading", name="Call ")).to_be_visible(timeout=30_000)
        expect(page.locator(".stApp[data-test-script-state=notRunning]")).to_be_attached(timeout=30_000)
        boxes = page.get_by_test_id("stText")
        assert boxes.locator("img, a, script, strong, code").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
        assert "owned" not in page.title()
    assert page.locator("a[href*=outside], img[src*=outside]").count() == 0


def test_a_view_can_be_sent_to_a_colleague(watched: Watched, browser: BrowserContext) -> None:
    """The filters go from page to page, and into another browser by the address alone."""
    page = watched.page
    visit(page, "Cost")
    page.get_by_role("combobox", name="Model").fill("groq/llama")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("model=groq"), timeout=30_000)
    for name in ("Tails", "Failures", "Evals", "Health", "Calls"):
        visit(page, name)
        if name != "Evals":
            expect(page).to_have_url(re.compile("model=groq"), timeout=30_000)
    expect(page.get_by_text(re.compile(r"of \d+ calls in pages\.db"))).to_be_visible(timeout=30_000)
    seen = page.get_by_text(re.compile(r"of \d+ calls in pages\.db")).inner_text()
    assert "of 1,5" not in seen
    assert browser.browser is not None
    other = browser.browser.new_context(viewport={"width": 1280, "height": 1000}).new_page()
    other.goto(page.url)
    expect(other.get_by_text(seen)).to_be_visible(timeout=60_000)
    other.close()


def frames(page: Page) -> list[bytes]:
    """What a page is sent from now on: the frames of its websocket, the answers of the server."""
    came: list[bytes] = []
    page.on(
        "websocket",
        lambda socket: socket.on(
            "framereceived", lambda frame: came.append(frame if isinstance(frame, bytes) else frame.encode())
        ),
    )
    page.on("response", lambda sent: "static" in sent.url or came.append(_body(sent)))
    return came


def _body(sent: object) -> bytes:
    try:
        return sent.body()
    except Error:  # a redirect, or one that the page no longer waits for, has none
        return b""


@pytest.mark.parametrize(("host", "status"), [("127.0.0.1", 101), ("localhost", 101), ("rebound.example", 403)])
def test_without_a_password_it_answers_under_this_machines_names_alone(url: str, host: str, status: int) -> None:
    """A page of another site that has its own name lead here (DNS rebinding) gets no session."""
    port = int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(
            f"GET /_stcore/stream HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            f"Origin: http://{host}:{port}\r\n\r\n".encode()
        )
        assert int(connection.recv(64).split()[1]) == status


def test_an_experiment_goes_on_when_its_tab_is_closed(browser: BrowserContext, url: str, ledger: Path) -> None:
    """Started in one tab, closed at once; another finds it, stops it, goes on with it, to its end."""
    page = browser.new_page()
    page.set_viewport_size({"width": 1280, "height": 1200})
    page.goto(f"{url}/?mode=Over+a+set")
    for box, option in (("Prompts", "triage (file)"), ("Models", "sim/medium")):
        page.get_by_role("combobox", name=box).fill(option)
        page.get_by_role("option", name=option, exact=True).click()
        page.keyboard.press("Escape")
        expect(page.locator(".stApp[data-test-script-state=notRunning]")).to_be_attached(timeout=30_000)
    page.get_by_role("spinbutton", name="At once").fill("3")  # 20 s to its end: time for a stop
    page.get_by_role("spinbutton", name="At once").press("Enter")
    page.get_by_role("button", name="Plan").click()
    expect(page.get_by_text("120 of 120 cells")).to_be_visible(timeout=60_000)
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text("In the background")).to_be_visible(timeout=60_000)
    page.close()
    other = browser.new_page()
    other.set_viewport_size({"width": 1280, "height": 1200})
    other.goto(f"{url}/?mode=Over+a+set")
    other.get_by_role("button", name="Stop").click(timeout=60_000)
    expect(other.get_by_role("button", name="Go on")).to_be_visible(timeout=60_000)
    other.get_by_role("button", name="Go on").click()
    expect(other.get_by_text(re.compile("done: 120 of 120 cells"))).to_be_visible(timeout=90_000)
    other.close()
    with Lab(ledger) as lab:
        calls = lab.calls(limit=None, model="sim/medium")
        assert len(calls) <= 120 + 16, "what was answered is not asked again"
        (spec,), _ = lab.job(lab.jobs()["job"][0]).arguments
        assert spec["models"] == ["sim/medium"]


def test_from_elsewhere_nothing_is_seen_without_the_password(browser: BrowserContext, tmp_path: Path) -> None:
    """Listening on every address: a question for the password on every page, the first that is opened too, and nothing
    else."""
    with playground(tmp_path / "lab.db", HOST="0.0.0.0", LAB_PASSWORD="planted-password") as address:
        for path in ("/calls", "", "/cost"):
            page = browser.new_page()
            came = frames(page)
            page.goto(address + path)
            expect(page.get_by_label("Password", exact=True)).to_be_visible(timeout=60_000)
            assert page.get_by_role("link", name="Calls").count() == 0
            assert page.get_by_role("dialog").count() == 0
            assert b"Password" in b"".join(came), "frames are read"
            assert not [name for name in PAGES if name.encode() in b"".join(came)], "no page is named"
            page.close()
        page = browser.new_page()
        page.goto(address)
        page.get_by_label("Password", exact=True).fill("wrong")
        page.get_by_role("button", name="Enter").click()
        expect(page.get_by_text("That is not the password.")).to_be_visible(timeout=30_000)
        page.get_by_label("Password", exact=True).fill("planted-password")
        page.get_by_role("button", name="Enter").click()
        expect(page.get_by_role("button", name="Run")).to_be_visible(timeout=60_000)
        page.close()
