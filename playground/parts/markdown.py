"""An answer as it was meant: Markdown from a safe subset, or as it came.

No HTML of the answer's own, no picture, no link that could be followed or load anything: their words stay as they were
written. What a model says is escaped by the renderer, and sanitised once more where the browser draws it.
"""

from __future__ import annotations

import html
from functools import cache, lru_cache

from markdown_it import MarkdownIt

LONG = 20_000
"""Characters of an answer that are drawn."""
_OFF = ("image", "link", "autolink", "html_inline", "html_block", "reference", "linkify", "entity")


@cache
def _reader() -> MarkdownIt:
    """CommonMark with tables and strikethrough, and without what could load, lead away, or be a tag."""
    reader = MarkdownIt("commonmark", {"html": False, "breaks": True, "maxNesting": 100})
    return reader.enable(["table", "strikethrough"]).disable(list(_OFF), ignoreInvalid=True)


@lru_cache(maxsize=256)
def to_html(words: str) -> str:
    """The beginning of an answer as HTML of these tags: headings, paragraphs, emphasis, lists, quotes, code, tables."""
    plain = words[:LONG].encode("utf-8", "replace").decode()
    return f'<div class="lab-answer">{_reader().render(plain)}</div>'


def raw_html(words: str) -> str:
    """The beginning of an answer as it came, to the letter."""
    plain = words[:LONG].encode("utf-8", "replace").decode()
    return f'<div class="lab-answer lab-raw">{html.escape(plain)}</div>'
