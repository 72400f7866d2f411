"""Prompts with a name: templates whose variables are filled in, and whose every version is told from the others."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lab import errors
from lab.ledger.narrowing import is_name
from lab.show.text import one_line, plain_text

BETWEEN = "\n\n"
"""What stands between two passages."""
_MARK = re.compile(r"\\(\{\{)|\{\{\s*([A-Za-z_]\w*)\s*\}\}")
_ODD = re.compile(r"(?<!\\)\{\{")
_ROLE = re.compile(r"^\[(system|user|assistant)\][ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Filled:
    """A prompt with its variables filled in: what is asked, and which template it is."""

    prompt: Prompt
    messages: tuple[dict[str, Any], ...]
    variables: Mapping[str, Any]


@dataclass(frozen=True, slots=True, init=False)
class Prompt:
    """A named template. `{{ticket}}` stands for a variable; a literal `{{` is written `\\\\{{`.

    `template` is a text, or a list of messages whose texts are templates. `blank` names the variables that may be
    empty, `passages` those that hold passages (a list of texts, or one with blank lines between them), `question` the
    one that asks about them: see `Compress`. `stable="system"` says that the system's messages stay the same from call
    to call: providers that cache prompts where they are told to are told so. The version is the template's content,
    whatever its name: the ledger numbers versions 1, 2, 3 per name as they are first used, and a template edited in
    place is a new one. What is filled in is never read as a template. Raises `ValueError` for a name or a template that
    can't be used.
    """

    name: str
    messages: tuple[Mapping[str, Any], ...]
    blank: tuple[str, ...] = ()
    passages: tuple[str, ...] = ()
    question: str | None = None
    stable: Literal["system"] | None = None
    variables: tuple[str, ...] = field(default=())
    hash: str = ""

    def __init__(
        self,
        name: str,
        template: str | Sequence[Mapping[str, Any]],
        *,
        blank: Sequence[str] = (),
        passages: str | Sequence[str] = (),
        question: str | None = None,
        stable: Literal["system"] | None = None,
    ):
        if not isinstance(name, str) or not is_name(name):
            raise ValueError(f"Prompt(name={name!r}): letters, digits, '.', '_' and '-', beginning with a letter")
        messages = _messages(name, template)
        names: list[str] = []
        for message in messages:
            for text in _texts(message):
                _check(name, text)
                names += [mark[2] for mark in _MARK.finditer(text) if mark[2]]
        variables = tuple(dict.fromkeys(names))
        unknown = [variable for variable in blank if variable not in variables]
        if unknown:
            raise ValueError(f"Prompt(blank={tuple(blank)!r}): {name} has no variable {unknown[0]!r}")
        held = (passages,) if isinstance(passages, str) else tuple(passages)
        for role, known in (("passages", held), ("question", () if question is None else (question,))):
            if missing := [variable for variable in known if variable not in variables]:
                raise ValueError(f"Prompt({role}={missing[0]!r}): {name} has no variable {missing[0]!r}")
        if question in held or (held and not set(variables) - set(held)):
            raise ValueError(f"Prompt(passages={held!r}): {name} has no other variable that asks about them")
        if stable not in (None, "system"):
            raise ValueError(f"Prompt(stable={stable!r}): 'system', or left out")
        if stable and not any(message["role"] == "system" for message in messages):
            raise ValueError(f"Prompt(stable={stable!r}): {name} has no message of the system's")
        content = json.dumps([dict(message) for message in messages], sort_keys=True, ensure_ascii=False)
        for key, value in (
            ("name", name),
            ("messages", messages),
            ("blank", tuple(blank)),
            ("passages", held),
            ("question", question),
            ("stable", stable),
            ("variables", variables),
            ("hash", hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()[:16]),
        ):
            object.__setattr__(self, key, value)

    @classmethod
    def load(cls, path: str | Path, **more: Any) -> Prompt:
        """The prompt in a text file, named after it; `more` as for `Prompt`. Lines `[system]`, `[user]` and
        `[assistant]` begin messages; a file without them is one user message. Raises `ValueError` where it can't be
        read."""
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8").strip("\n")
        except (OSError, UnicodeDecodeError) as odd:
            reason = getattr(odd, "strerror", None) or "it is not UTF-8 text"
            raise ValueError(f"{path}: no prompt can be read from it: {reason}") from odd
        parts = _ROLE.split(text)
        if len(parts) == 1:
            return cls(path.stem, text, **more)
        if parts[0].strip():
            raise ValueError(f"{path}: text before the first of its [system], [user] and [assistant] lines")
        messages = [
            {"role": role, "content": body.strip("\n")} for role, body in zip(parts[1::2], parts[2::2], strict=True)
        ]
        return cls(path.stem, messages, **more)

    def fill(self, /, **variables: Any) -> Filled:
        """The prompt with each variable filled in; numbers are written out, other values than texts as JSON.

        Raises `InvalidRequestError`, naming it, for a variable that is missing, unused, or empty.
        """
        missing = [name for name in self.variables if name not in variables]
        if missing:
            raise errors.InvalidRequestError(f"prompt {self.name}: the variable {missing[0]!r} is missing: fill it in")
        unused = [name for name in variables if name not in self.variables]
        if unused:
            known = ", ".join(self.variables) or "none"
            raise errors.InvalidRequestError(
                f"prompt {self.name} has no variable {unused[0]!r}; its variables: {known}"
            )
        texts = {
            name: _joined(self.name, name, value) if name in self.passages else _written(self.name, name, value)
            for name, value in variables.items()
        }
        empty = [name for name, text in texts.items() if not text.strip() and name not in self.blank]
        if empty:
            raise errors.InvalidRequestError(
                f"prompt {self.name}: the variable {empty[0]!r} is empty; where it may be: Prompt(blank=[{empty[0]!r}])"
            )
        messages = tuple(_filled(message, texts) for message in self.messages)
        return Filled(self, messages, dict(variables))

    def diff(self, other: Prompt) -> str:
        """What `other` changes, as a unified diff; empty where nothing does."""
        lines = difflib.unified_diff(
            self.text().split("\n"), other.text().split("\n"), self.label(), other.label(), lineterm="", n=2
        )
        return "\n".join(lines)

    def text(self) -> str:
        """The template as a person would read it."""
        return plain_text(self.messages)

    def label(self) -> str:
        """Its name and the beginning of its hash."""
        return f"{self.name}@{self.hash[:8]}"

    def __repr__(self) -> str:
        return f"<Prompt {self.label()} {one_line(self.text(), 50)!r} {', '.join(self.variables)}>"

    def __hash__(self) -> int:
        return hash((self.name, self.hash))


def _messages(name: str, template: Any) -> tuple[dict[str, Any], ...]:
    if isinstance(template, str):
        template = [{"role": "user", "content": template}]
    right = isinstance(template, list | tuple) and template
    if not right or not all(
        isinstance(message, Mapping) and isinstance(message.get("role"), str) for message in template
    ):
        raise ValueError(f"Prompt {name}: a template is a text, or a list of messages with role and content")
    if not any(text.strip() for message in template for text in _texts(message)):
        raise ValueError(f"Prompt {name}: the template is empty")
    return tuple(dict(message) for message in template)


def _texts(message: Mapping[str, Any]) -> list[str]:
    content = message.get("content")
    if isinstance(content, str):
        return [content]
    parts = content if isinstance(content, list) else []
    return [part["text"] for part in parts if isinstance(part, Mapping) and isinstance(part.get("text"), str)]


def _check(name: str, text: str) -> None:
    """Raise `ValueError` for opening braces that open no variable."""
    marks = {mark.start() for mark in _MARK.finditer(text)}
    for odd in _ODD.finditer(text):
        if odd.start() not in marks and odd.start() - 1 not in marks and odd.start() - 2 not in marks:
            here = one_line(text[odd.start() :], 30)
            raise ValueError(f"Prompt {name}: {here!r} is no variable such as {{{{name}}}}; a literal one is \\{{{{")


def _written(prompt: str, name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError) as odd:
        raise errors.InvalidRequestError(f"prompt {prompt}: the variable {name!r} can't be written: {odd}") from odd


def _joined(prompt: str, name: str, value: Any) -> str:
    """Passages as one text."""
    if not isinstance(value, list | tuple):
        return _written(prompt, name, value)
    return BETWEEN.join(_written(prompt, name, part) for part in value)


def _filled(message: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    def fill(text: str) -> str:
        return _MARK.sub(lambda mark: mark[1] or texts[mark[2]], text)

    content = message.get("content")
    if isinstance(content, str):
        return {**message, "content": fill(content)}
    if isinstance(content, list):
        parts = [
            {**part, "text": fill(part["text"])} if isinstance(part.get("text"), str) else part for part in content
        ]
        return {**message, "content": parts}
    return dict(message)
