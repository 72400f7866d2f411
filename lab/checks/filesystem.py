"""Files that an answer promises: that they are there, where they may be, and what they should be."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.checks.kernel import Check, Output, shown
from lab.values import Checked

_BEGINS = {
    "png": (b"\x89PNG\r\n\x1a\n",),
    "jpeg": (b"\xff\xd8\xff",),
    "gif": (b"GIF87a", b"GIF89a"),
    "pdf": (b"%PDF-",),
    "zip": (b"PK\x03\x04", b"PK\x05\x06"),
    "webp": (b"RIFF",),
}
KINDS = (*_BEGINS, "json", "text")


@dataclass(frozen=True, slots=True, kw_only=True)
class Files(Check):
    """The value, or each part of it at the path `at`, names a file below `root` that is what it should be."""

    root: Path
    at: str | None = None
    kind: str | None = None
    suffixes: tuple[str, ...] = ()
    least: int = 1
    most: int | None = None
    also: Callable[[Path], Any] | None = None

    def examine(self, output: Output) -> Checked:
        """Names that lead out of `root`, by `..`, by being absolute or through a link, are refused."""
        problems = []
        for path, value in output.at(self.at):
            problem = self._wrong(value)
            if problem:
                problems.append(f"{path or 'the answer'} is {shown(value)}: {problem}")
        return Checked(name=self.name, passed=not problems, message="; ".join(problems[:5]))

    def _wrong(self, value: Any) -> str | None:
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            return "it must name a file"
        try:
            root, path = self.root.resolve(), (self.root / value).resolve()
            if not path.is_relative_to(root):
                return "it must stay within the folder"
            if not path.is_file():
                return "there is no such file"
            size = path.stat().st_size
        except (OSError, RuntimeError, UnicodeError) as odd:  # no such name, or links in a circle
            return f"it can't be read: {getattr(odd, 'strerror', None) or odd}"
        if self.suffixes and path.suffix.lower() not in self.suffixes:
            return f"its name must end in {' or '.join(self.suffixes)}"
        if size < self.least:
            return f"it has {size} bytes, at least {self.least} are wanted"
        if self.most is not None and size > self.most:
            return f"it has {size} bytes, at most {self.most} are wanted"
        if self.kind and (problem := _not_a(self.kind, path)):
            return problem
        return self._asked(path) if self.also else None

    def _asked(self, path: Path) -> str | None:
        assert self.also is not None
        try:
            verdict = self.also(path)
        except (AssertionError, ValueError) as wrong:
            return str(wrong) or "it fails a check of its own"
        return verdict if isinstance(verdict, str) else "it fails a check of its own" if verdict is False else None


def _not_a(kind: str, path: Path) -> str | None:
    """Why the file is no `kind`, by its first bytes (or, for JSON and text, all of it)."""
    if kind in _BEGINS:
        with path.open("rb") as file:
            head = file.read(16)
        right = head.startswith(_BEGINS[kind]) and (kind != "webp" or head[8:12] == b"WEBP")
        return None if right else f"its content is no {kind}"
    try:
        text = path.read_text(encoding="utf-8")
        if kind == "json":
            json.loads(text)
    except (ValueError, RecursionError):
        return f"its content is no {'JSON' if kind == 'json' else 'text in UTF-8'}"
    return None


def files(
    root: str | Path,
    *,
    at: str | None = None,
    kind: str | None = None,
    suffixes: tuple[str, ...] = (),
    least: int = 1,
    most: int | None = None,
    also: Callable[[Path], Any] | None = None,
) -> Files:
    """Each name at the path `at` is a file below `root` with one of `suffixes`, from `least` to `most` bytes, whose
    content is of `kind` (png, jpeg, gif, webp, pdf, zip, json, text); `also` is a function of its path that returns
    False or a sentence where something else is wrong with it."""
    if kind is not None and kind not in KINDS:
        raise ValueError(f"kind={kind!r}: one of {', '.join(KINDS)}")
    named = tuple(suffix.lower() if suffix.startswith(".") else f".{suffix.lower()}" for suffix in suffixes)
    return Files(root=Path(root), at=at, kind=kind, suffixes=named, least=least, most=most, also=also)
