"""An answer as it was meant, and nothing that could load, lead away or be a tag of its own."""

from __future__ import annotations

import re
import time

import pytest

from playground.parts import markdown, words

TAGS = {
    *("div", "h1", "h2", "h3", "h4", "h5", "h6", "p", "strong", "em", "s", "code", "pre", "ul", "ol", "li"),
    *("blockquote", "table", "thead", "tbody", "tr", "th", "td", "br", "hr"),
}
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![i](https://outside.invalid/i.png)",
    "[l](javascript:alert(1)) [m](https://outside.invalid) <https://outside.invalid> https://outside.invalid",
    "[ref]: https://outside.invalid\n[ref] ![ref]",
    '```"><img src=x onerror=alert(1)>\ncode\n```',
    '| a | b |\n|---|---|\n| <b onclick="x">1</b> | <svg/onload=alert(1)> |',
    "<style>body{display:none}</style>",
    "&lt;script&gt; &#60;img src=x&#62;",
    "<!-- x --> <?php ?> <![CDATA[x]]>",
    "\ud800 lone",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_tag_but_those_of_markdown_and_no_attribute_but_a_class_or_an_alignment(text: str) -> None:
    drawn = markdown.to_html(text)
    for tag, attributes in re.findall(r"<\s*/?\s*([a-zA-Z0-9]+)([^>]*)>", drawn):
        assert tag in TAGS
        assert re.fullmatch(r'( /)?|( class="[\w \-&;#=>]*")|( style="text-align:\w+")|( start="\d+")| /', attributes)
    assert "<!--" not in drawn


def test_what_is_meant_is_drawn() -> None:
    drawn = markdown.to_html("# Title\n\n- **bold** `code`\n\n| a |\n|---|\n| 1 |\n\n```py\nx < 1\n```")
    for part in ("<h1>Title</h1>", "<strong>bold</strong>", "<code>code</code>", "<td>1</td>", "x &lt; 1"):
        assert part in drawn


@pytest.mark.parametrize(
    "text", ["**a" * 7000, ">" * 20_000, "- " * 10_000, "`a" * 10_000, "|a" * 3000 + "\n" + "|-" * 3000]
)
def test_what_is_meant_to_take_long_does_not(text: str) -> None:
    start = time.process_time()
    drawn = markdown.to_html(text)
    assert time.process_time() - start < 20
    assert len(drawn) < 2_000_000


def test_thinking_aloud_is_told_from_the_answer() -> None:
    assert words.thought("<think>first\nthis</think>\nParis") == ("first\nthis", "Paris")
    assert words.thought("<think>still at it") == ("still at it", "")
    assert words.thought("no <think>tag</think> at the beginning") == ("", "no <think>tag</think> at the beginning")
