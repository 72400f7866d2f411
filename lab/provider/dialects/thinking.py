"""Thoughts in tags: models that say what they think at the head of their text, as `<think>...</think>`."""

from __future__ import annotations

import re

from lab.provider.request import Part

_OPENS = re.compile(r"\s*<(think|thinking|budget:thinking)>")
_CLOSES = re.compile(r"</(?:think|thinking|budget:thinking)>")
_LONGEST = len("</budget:thinking>")
_HEADS = ("<think>", "<thinking>", "<budget:thinking>")


class Tags:
    """One text, piece by piece or whole: the thoughts at its head told from the answer after them. A tag further down
    is a part of the answer."""

    def __init__(self) -> None:
        self._held = ""
        self._state = "head"

    def whole(self, text: str) -> Part:
        """All of it at once. A thought that is never closed is text, as it came."""
        opened = _OPENS.match(text)
        if opened is not None and _CLOSES.search(text, opened.end()) is None:
            return Part(text)
        read, rest = self.feed(text), self.rest()
        return Part(read.text + rest.text, read.reasoning + rest.reasoning)

    def feed(self, piece: str) -> Part:
        """What a piece adds; a few characters may be held back."""
        if self._state == "answer":
            return Part(piece)
        text, self._held = self._held + piece, ""
        if self._state == "head":
            opened = _OPENS.match(text)
            if opened is None:
                if _may_open(text):
                    self._held = text
                    return Part()
                self._state = "answer"
                return Part(text)
            self._state, text = "thought", text[opened.end() :]
        closed = _CLOSES.search(text)
        if closed is not None:
            self._state = "answer"
            return Part(text[closed.end() :], text[: closed.start()])
        begun = text.rfind("<", max(0, len(text) - _LONGEST + 1))
        if begun >= 0 and ">" not in text[begun:]:
            text, self._held = text[:begun], text[begun:]
        return Part(reasoning=text)

    def rest(self) -> Part:
        """What was held back when nothing more comes."""
        held, self._held = self._held, ""
        return Part(reasoning=held) if self._state == "thought" else Part(held)


def _may_open(text: str) -> bool:
    """Whether it may still become a tag that opens."""
    head = text.lstrip()
    return any(tag.startswith(head) for tag in _HEADS)
