"""What a page in a real Chromium complained of and asked for, and whether its text can be read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import BrowserContext, FloatRect, Locator, Page, expect

from playground.screenshots.driven import CHROMIUM

if CHROMIUM is None and not os.environ.get("CI"):
    pytest.skip(
        "NO BROWSER TEST WAS RUN: there is no chromium here. Install it (Debian: apt install chromium).",
        allow_module_level=True,
    )


class Watched:
    """A page, and all that it complained of or asked for."""

    def __init__(self, page: Page, home: str):
        self.page = page
        self.complaints: list[str] = []
        self.outside: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: message.type == "error" and self.complaints.append(message.text))
        page.on("request", lambda sent: sent.url.startswith((home, "data:", "blob:")) or self.outside.append(sent.url))


def contrast(front: str, back: str) -> float:
    """WCAG's contrast of two colours, as the browser writes them."""

    def luminance(colour: str) -> float:
        parts = [float(part) / 255 for part in colour.split("(")[1].rstrip(")").split(",")[:3]]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(front), luminance(back)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@contextmanager
def watching(browser: BrowserContext, url: str) -> Iterator[Watched]:
    """The playground's first page; quiet to the end."""
    page = browser.new_page()
    page.set_viewport_size({"width": 1280, "height": 1100})
    page.emulate_media(color_scheme="light")
    seen = Watched(page, url)
    page.goto(url)
    expect(page.get_by_role("button", name="Run")).to_be_visible(timeout=60_000)
    yield seen
    assert page.get_by_test_id("stException").count() == 0
    assert seen.complaints == [], seen.complaints
    assert seen.outside == [], seen.outside
    page.close()


def in_both_themes(page: Page) -> Iterator[None]:
    """The page in the dark, then in the light again, each once it is drawn so."""
    for scheme, colour in (("dark", "rgb(19, 23, 26)"), ("light", "rgb(255, 255, 255)")):
        page.emulate_media(color_scheme=scheme)
        expect(page.locator(".stApp")).to_have_css("background-color", colour)
        yield


def still(place: Locator) -> FloatRect:
    """Where it is, in view, once it moves no more: what is drawn above it pushes it down."""
    seen: list[FloatRect] = []
    while len(seen) < 3 or seen[-1] != seen[-2] or seen[-2] != seen[-3]:
        place.scroll_into_view_if_needed()
        box = place.bounding_box()
        assert box
        seen.append(box)
        place.page.wait_for_timeout(150)
    return seen[-1]
