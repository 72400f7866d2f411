"""Answers to the cases of eval sets, right as often as a model's stated accuracy says, and in the form asked for.

A case is known by its input standing in the request. Whether an answer is right is drawn for each request on its own,
so the truth behind any comparison of simulated models is what the catalogue states.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

DIFFICULTIES = ("easy", "medium", "hard")
_ROOM = Path(__file__).resolve().parent
_PACKAGED = _ROOM.parent / "data" / "evals"
EVALS = _PACKAGED if _PACKAGED.is_dir() else _ROOM.parents[1] / "data" / "evals"
"""The eval sets that come along: in the package where it was installed, else in the checkout."""
_WORD = re.compile(r"\w+")
REFUSAL = "I'm sorry, but I can't help with that."


@dataclass(frozen=True, slots=True, kw_only=True)
class Skill:
    """How well a model does. `accuracy`: the share of right answers to easy, medium and hard cases. `example` is added
    to each where the prompt shows an example (the word stands in it outside of the case). `faults` is the share of
    answers that are not in the form asked for (never where a schema is enforced), `refusals` that of refused ones."""

    accuracy: Mapping[str, float]
    example: float = 0.0
    faults: float = 0.0
    refusals: float = 0.0

    def right(self, difficulty: str, shows_example: bool = False) -> float:
        """The share of right answers to cases of this difficulty."""
        return min(1.0, self.accuracy[difficulty] + (self.example if shows_example else 0.0))


@dataclass(frozen=True, slots=True)
class Known:
    """One case that the simulation can answer."""

    eval_set: str
    needles: tuple[str, ...]
    expected: Any
    difficulty: str


@dataclass(slots=True)
class Book:
    """The cases of the eval sets in a folder; none where there is no such folder."""

    cases: list[Known] = field(default_factory=list)
    _cache: dict[int, Known | None] = field(default_factory=dict)
    _by_word: dict[str, list[Known]] = field(default_factory=dict)
    """The cases by the rarest word within their input; those of few words by no word at all."""

    def __post_init__(self) -> None:
        inner = [set(_WORD.findall(max(case.needles, key=len))[1:-1]) for case in self.cases]
        often = Counter(word for words in inner for word in words)
        for case, words in zip(self.cases, inner, strict=True):
            self._by_word.setdefault(min(words, key=lambda word: (often[word], word), default=""), []).append(case)

    @classmethod
    def read(cls, folder: Path) -> Book:
        """Every line of every JSONL file that has an input and an expected answer; others are left out."""
        cases = []
        for path in sorted(folder.glob("*.jsonl")):
            for line in path.read_text(encoding="utf-8").split("\n"):
                row = json.loads(line) if line.strip() else {}
                given, tags = row.get("input"), row.get("tags") or ()
                parts = [given] if isinstance(given, str) else list((given or {}).values())
                needles = tuple(part for part in parts if isinstance(part, str) and part.strip())
                if needles and "expected" in row:
                    difficulty = next((tag for tag in tags if tag in DIFFICULTIES), "medium")
                    cases.append(Known(path.stem, needles, row["expected"], difficulty))
        return cls(cases)

    def find(self, prompt: str) -> Known | None:
        """The case whose input stands in `prompt`: the longest, where several do."""
        key = hash(prompt)
        if key not in self._cache:
            if len(self._cache) > 20_000:
                self._cache.clear()
            known = {"", *_WORD.findall(prompt)}.intersection(self._by_word)
            near = [case for word in known for case in self._by_word[word]]
            fits = [case for case in near if all(needle in prompt for needle in case.needles)]
            self._cache[key] = max(fits, key=lambda case: sum(map(len, case.needles)), default=None)
        return self._cache[key]

    def wrong(self, case: Known, random: Random) -> Any:
        """An answer that is not the right one, and might be one: a number changed, or another case's answer."""
        if isinstance(case.expected, dict) and isinstance(case.expected.get("items"), list) and case.expected["items"]:
            changed = json.loads(json.dumps(case.expected))
            item = random.choice(changed["items"])
            item["quantity"] = item["quantity"] + random.choice([1, 2, 10])
            return changed
        others = [
            other.expected
            for other in self.cases
            if other.eval_set == case.eval_set and other.expected != case.expected
        ]
        return random.choice(others)


@lru_cache(maxsize=8)
def book(folder: Path) -> Book:
    """The cases in `folder`, read once."""
    return Book.read(folder)


def answered(
    case: Known, skill: Skill, cases: Book, prompt: str, schema: Mapping[str, Any] | None, random: Random
) -> str | None:
    """The text of an answer to `case`, or None for a refusal."""
    if random.random() < skill.refusals:
        return None
    around = prompt
    for needle in case.needles:
        around = around.replace(needle, "")
    right = random.random() < skill.right(case.difficulty, "example" in around.lower())
    value = case.expected if right else cases.wrong(case, random)
    broken = random.random() < skill.faults
    if schema is not None:
        return json.dumps(_shaped(value, schema), ensure_ascii=False)
    if isinstance(value, str) and "json" in around.lower():
        value = {"label": value}
    if isinstance(value, str):
        return f"The right label is **{value}**, because of what the customer wants." if broken else value
    text = json.dumps(value, ensure_ascii=False)
    return _broken(text, random) if broken else text


def _broken(text: str, random: Random) -> str:
    """The answer as careless models write it; some of these forms can be read all the same."""
    inner = text[1:-1]
    return random.choice(
        [
            f"Sure! Here is the JSON you asked for:\n\n```json\n{text}\n```\n\nLet me know if you need anything else.",
            f"{{{inner},}}",
            text[: max(1, len(text) * 2 // 3)],
            text.replace("null", "None").replace('"', "'"),
            f"{{{inner.replace(':', ' =', 1)}}}",
        ]
    )


def _shaped(value: Any, schema: Mapping[str, Any]) -> Any:
    """An answer in the schema's form: a bare value goes into the one property that there is."""
    names = list(schema.get("properties") or ())
    if isinstance(value, dict):
        return {name: value[name] for name in value if not names or name in names}
    return {names[0]: value} if len(names) == 1 else value


def instance(schema: Mapping[str, Any], random: Random, root: Mapping[str, Any] | None = None, depth: int = 0) -> Any:
    """Any value that fits a schema of the common kinds: for requests that are no case of a set."""
    root = schema if root is None else root
    if "$ref" in schema:
        target: Any = root
        for step in schema["$ref"].lstrip("#/").split("/"):
            target = target[step]
        return instance(target, random, root, depth + 1)
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else random.choice(schema["enum"])
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return instance(schema[several][-1 if depth > 4 else 0], random, root, depth + 1)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties") or {}
        return {name: instance(inner, random, root, depth + 1) for name, inner in properties.items()}
    if kind == "array":
        many = 0 if depth > 6 else max(schema.get("minItems", 0), min(2, schema.get("maxItems", 2)))
        return [instance(schema.get("items") or {}, random, root, depth + 1) for _ in range(many)]
    if kind in ("integer", "number"):
        low = schema.get("minimum", schema.get("exclusiveMinimum", 0) + ("exclusiveMinimum" in schema))
        return random.randint(int(low), int(schema.get("maximum", low + 9)))
    if kind in ("boolean", "null"):
        return random.random() < 0.5 if kind == "boolean" else None
    return "a simulated text"[: schema.get("maxLength", 99)].ljust(schema.get("minLength", 0), ".")
