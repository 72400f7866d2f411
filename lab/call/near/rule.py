"""Whether two requests may want one answer: the rule on what differs, before any embedding is asked.

An embedding puts "flights from Rome to Paris" beside "flights from Paris to Rome", and a dose for adults beside one for
children. So what carries the meaning must be the same in both: the words, but for those that only hold a sentence
together; numbers, symbols, negations; and what something comes from. What may differ is how it is said. The rule knows
English; of other languages it lets little pass, for all of their words carry something.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

RULE = 1
"""The number of this rule: what was certified under another one doesn't count."""

_WORD = r"[^\W_](?:[^\W_]|\p{M})*"
_TOKEN = (
    r"(?:[^\W\d_]\.){2,}"  # U.S.
    r"|(?<!\S)--?[^\W\d_][\w-]*"  # -r, --force
    r"|(?<!\w)[-−]?\d[\d.,:]*\d[^\W\d_]*|(?<!\w)[-−]?\d[^\W\d_]*"  # -5, 1.5, 10:30, 5km
    rf"|{_WORD}(?:['’]{_WORD})?|[!<>=]=|[-=]>|\S"
)
_FORMAL = r"[=+*^<>{}|\\]|\w\(|\d\s*[-/]\s*\d"
"""What formulas and code have: their punctuation says something, too."""
_HOLDING = frozenset(
    """a an the this that these those some any such
    i me my mine myself you your yours yourself we us our ours it its they them their theirs
    am is are was were be been being do does did doing done have has had having get got gets getting
    can could will would shall should may might must
    of at in on to by for with as into about and or if so then than there here from
    what which who whom whose when where why how
    one ones someone somebody anyone anybody ever because
    please kindly hi hello hey thanks thank just really actually exactly also too very quite simply
    tell explain describe say give know want like need help able possible wonder wondering let let's""".split()
)
"""Words that hold a sentence together, and politeness."""
_ASKING = frozenset("what which who whom whose when where why how".split())
_AUXILIARIES = {
    **dict.fromkeys("can could may might".split(), "may"),
    **dict.fromkeys("should must shall".split(), "should"),
    **dict.fromkeys("will would".split(), "will"),
    **dict.fromkeys("is are was were do does did has have had am".split(), "is"),
}
"""How a question begins that has no question word."""
_TENSES = {
    **dict.fromkeys("was were did had".split(), "past"),
    **dict.fromkeys("will shall".split(), "future"),
}
_PERSONS = {
    **dict.fromkeys("i me my mine myself we us our ours".split(), "first"),
    **dict.fromkeys("you your yours yourself".split(), "second"),
}
_NEGATIONS = frozenset(
    "not no never none nothing nobody nowhere neither nor cannot cant wont dont doesnt didnt isnt without".split()
)
_NUMBERS = {
    word: str(number)
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
        " seventeen eighteen nineteen twenty".split()
    )
    if word != "one"  # a pronoun as often
}
_SPELLINGS = {
    **{"centre": "center", "theatre": "theater", "metre": "meter", "litre": "liter", "kilometre": "kilometer"},
    **{"grey": "gray", "catalogue": "catalog", "dialogue": "dialog", "programme": "program", "tyre": "tire"},
    **{"licence": "license", "defence": "defense", "aluminium": "aluminum", "cosy": "cozy", "mum": "mom"},
}
_SHORT = {"s", "m", "re", "ve", "ll", "d"}
"""What stands behind an apostrophe and says little: it's, I'm, they're."""
_PLAIN = frozenset(".,;:?!'\"`’‘“”…")
"""Punctuation that says nothing in formulas and code either, as far as one can tell."""
_MARKS = frozenset("#%&*/@\\")
"""Punctuation that says something."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What must be the same in two requests. `words` is the same where they have the same content; `order` where it
    comes in the same order besides, under the same question."""

    words: str
    order: str


@dataclass(slots=True)
class _Read:
    """What one text says: its content in order, with a mark where it denies; what things come from, what it asks, its
    tense, and who stands before whom."""

    content: list[str] = field(default_factory=list)
    origins: list[str] = field(default_factory=list)
    asking: set[str] = field(default_factory=set)
    tense: set[str] = field(default_factory=set)
    persons: list[str] = field(default_factory=list)

    def words(self) -> list[str]:
        """The content without the marks."""
        return [word for word in self.content if word not in (_NOT, *_JOINS)]


_NOT = "¬"
_JOINS = ("or", "than", "without")


def signature(texts: Sequence[str]) -> Signature | None:
    """The signature of a request, from the texts in it that may differ; None where they say too little to go by."""
    read = [_read(text) for text in texts]
    if sum(len(part.words()) for part in read) < 2:
        return None
    words = [(sorted(part.words()), sorted(part.origins), part.content.count(_NOT) % 2) for part in read]
    order = [
        (part.content, sorted(part.asking), sorted(part.tense), part.persons if len(set(part.persons)) > 1 else [])
        for part in read
    ]
    return Signature(_hash((RULE, words)), _hash((RULE, words, order)))


def _hash(value: object) -> str:
    return hashlib.sha256(repr(value).encode("utf-8", "replace")).hexdigest()[:32]


@cache
def _pattern() -> tuple[Any, Any]:
    import regex  # knows which characters are marks on letters, which `re` takes for punctuation

    return regex.compile(_TOKEN), regex.compile(_FORMAL)


def _read(text: str) -> _Read:
    token_of, formal_of = _pattern()
    text = unicodedata.normalize("NFC", text)
    read, shouted, formal, awaited, first, last = _Read(), text.isupper(), bool(formal_of.search(text)), False, "", ""
    for token in token_of.findall(text):
        word = _word(token, shouted, formal, last)
        last = token
        if word is None:
            continue
        first = first or word
        if word in _NEGATIONS or word.endswith("n't"):
            read.content += [_NOT, word] if word in _JOINS else [_NOT]
        elif word in _HOLDING:
            awaited = awaited or word == "from"
            if word in _ASKING:
                read.asking.add(word)
            if word in _TENSES:
                read.tense.add(_TENSES[word])
            if word in _PERSONS:
                read.persons.append(_PERSONS[word])
            if word in _JOINS:
                read.content.append(word)
        else:
            stem = stemmed(word) if word.isalpha() and word.islower() else word
            if awaited:
                read.origins.append(stem)
                awaited = False
            read.content.append(stem)
    if not read.asking and first in _AUXILIARIES:
        read.asking.add(_AUXILIARIES[first])
    return read


def _word(token: str, shouted: bool, formal: bool, last: str) -> str | None:
    """A token as the rule compares it; None for punctuation. `last` is the one before it."""
    if len(token) == 1 and not token.isalnum():
        says = token in _MARKS or unicodedata.category(token)[0] in "SM" or (formal and token not in _PLAIN)
        return token if says else None
    if token[0] == "-" and token[1:2].isalpha():  # an option: -r is not -R
        return token
    if last[-1:].isdigit() and len(token) <= 3 and token.lower() not in _HOLDING:  # a unit: mW is not MW
        return token
    word = token.replace("’", "'").replace("−", "-")
    word = word.lower() if not formal or word.isalpha() else word
    if "." in token and not token[0].isdigit() and token[-1] == ".":  # U.S. is a name, us is not
        return token.replace(".", "").upper()
    if word.endswith("n't"):
        return word
    head, apostrophe, tail = word.partition("'")
    word = head if apostrophe and tail in _SHORT else word.replace("'", "")
    if token.isupper() and len(token) > 1 and not shouted and word in _HOLDING:
        return token  # US, IT, WHO
    word = _NUMBERS.get(word, word)
    if word[:1].isdigit():
        return word.replace(",", "")
    return _SPELLINGS.get(word, word)


def stemmed(word: str) -> str:
    """A word without the endings that say how many, and when."""
    if len(word) > 4 and word.endswith("ies"):
        word = word[:-3] + "y"
    elif len(word) > 4 and word.endswith(("sses", "ches", "shes", "xes", "zes")):
        word = word[:-2]
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed"):
        root = word.removesuffix(ending)
        if root != word and len(root) > 3 and not word.endswith("eed") and any(vowel in root for vowel in "aeiouy"):
            word = root[:-1] if root[-1] == root[-2] and root[-1] not in "ls" else root
            break
    if len(word) > 4:
        word = word.removesuffix("e")
        for british, american in (("is", "iz"), ("ys", "yz"), ("our", "or")):
            if len(word) > 5 and word.endswith(british):
                word = word.removesuffix(british) + american
    return word
