"""Whether the evidence stays when passages are left out: `python benchmarks/compress.py`.

Two kinds of prompts, with the one passage that answers each question known.

- houses: 40 passages, each about another house, each with the same three matters (a hard case for words: all speak of
  opening hours; a hard case for meaning: only the house's name tells them apart);
- handbook: 44 passages about one house, a matter of one wing each, and a question about one of them.

Each question is asked in words of the passage, and in others: "Where can I park?" of "There is room for 20 cars".

They are put together from parts with a seed. Beside the sum of both
scores stand its halves alone. Tokens are LiteLLM's own count (cl100k).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from random import Random

import common
import numpy as np

from lab import stats
from lab.call.short import lossless, passages
from lab.provider.minilm import minilm
from lab.provider.tokens import count

PLACES = (
    "Varnholt Ostrava Limmen Corvale Tresk Halmby Pelluna Rostig Anvers Quillby Marrow Sella Dunmore Ilvas Krebs Nolan"
    " Ferrin Gossau Hexley Ardmore Bilsen Cardiv Drumlin Eckern Fallow Grenna Holt Islay Jorvik Kelso Lunden Morna"
    " Nyborg Oulton Perth Quarne Rhyl Skagen Tolva Ulm Vejle Wick Yarm Zierik"
).split()
KINDS = ("library", "harbour office", "swimming pool", "museum of clocks", "town hall", "hostel", "garden", "station")
SAID = """
The doors are unlocked at {n} in the morning and locked again at dusk.|When are the doors unlocked?|When can one get in?
Grown-ups pay {n} crowns, and for those under twelve nothing is asked.|How much do grown-ups pay?|What is a ticket?
Animals wait outside, but for those that lead the blind.|Which animals may come in?|May I bring my dog?
There is room for {n} cars behind the building.|For how many cars is there room?|Where can I park?
What was left behind is kept for {n} weeks by the porter.|How long is what I left kept?|Who has my umbrella?
Soup and bread are served on the first floor until they run out.|Where is the soup served?|Can I get lunch?
A lift goes to all floors; the ramp is on the north side.|On which side is the ramp?|Can I come by wheelchair?
Pictures may be taken, but without a flash and a stand.|May pictures be taken with a flash?|Am I allowed to film?
Parties of more than {n} people write a letter in advance.|From how many people on is a letter asked?|We are a class
The washrooms are at the end of the left-hand corridor.|In which corridor are the washrooms?|Where is the toilet?
In winter it is kept at {n} degrees, so a coat is welcome.|How many degrees is it in winter?|Will I be cold?
Computers find a network called guest; its word is on the desk.|What is the network called?|Is there internet?
Pipes and cigarettes stay in the yard.|Where do cigarettes have to stay?|Where can I smoke?
Whoever wants to work here asks for Ms Vane on the {n}.|Whom does one ask to work here?|Are you hiring?
If the bell rings twice, everybody leaves by the back stairs.|Which stairs, if the bell rings twice?|Is that an alarm?
It was put up in 18{n} by two brothers who sold rope.|Which brothers put it up?|How old is the building?
Cards, pencils and a small book are sold at the entrance.|Are pencils sold?|Where can I buy a souvenir?
A coin opens one of {n} boxes for bags, and comes back.|Which boxes are there for bags?|Where does my luggage go?
On the first Friday a quartet plays, and one may stand at the back.|On which Friday does it play?|Any concerts?
A corner with blocks and a small slide is beside the stairs.|What is beside the stairs?|Is there a place for toddlers?
Guides speak Danish and Italian, on request Polish.|Do guides speak Italian?|Are there tours in foreign languages?
In the {n}th week nobody is here, for the floors are oiled.|In which week are the floors oiled?|When are holidays?
"""
MATTERS = [line.split("|") for line in SAID.strip().split("\n")]
"""What is said, a question in words of it, and one in others."""
QUESTIONS = 500
Made = tuple[list[str], tuple[str, str], int]
"""Passages, the question in words of the right one and in others, and the place of that one."""
Make = Callable[[Random], Made]
Scored = tuple[list[float], list[float], list[int], list[int], int]
"""By words, by meaning, characters and tokens of each passage, and the place of the right one."""


def houses(random: Random) -> Made:
    """40 houses, three matters each; what one asks of one of them."""
    names = random.sample([f"{kind} of {place}" for kind in KINDS for place in PLACES], 40)
    asked = random.sample(MATTERS, 3)
    texts = []
    for name in names:
        lines = [matter[0].format(n=random.randint(10, 60)) for matter in random.sample(asked, 3)]
        texts.append(f"About the {name}. {' '.join(lines)}")
    place = random.randrange(40)
    _said, own, other = random.choice(asked)
    return texts, (f"The {names[place]}: {own}", f"The {names[place]}: {other}"), place


def handbook(random: Random) -> Made:
    """44 passages about one house, a matter of one of two wings each; what one asks about one of them."""
    wings = random.sample(PLACES, 2)
    parts = [(matter, wing) for matter in MATTERS for wing in wings]
    random.shuffle(parts)
    texts = []
    for matter, wing in parts:
        own, other = (said[0].format(n=random.randint(10, 60)) for said in (matter, random.choice(MATTERS)))
        more = f"Elsewhere it may be otherwise: {other}" if random.random() < 0.5 else "For all else ask the porter."
        texts.append(f"The {wing} wing. {own} {more}")
    place = random.randrange(len(parts))
    matter, wing = parts[place]
    return texts, (f"{matter[1]} I mean the {wing} wing.", f"{matter[2]} I mean the {wing} wing."), place


def looked_at(make: Make, seed: int) -> Iterator[Scored]:
    """One prompt as it is looked at, for both of its questions."""
    texts, questions, place = make(Random(seed))
    parts = [[_vector(part) for part in passages.windows(text)] for text in texts]
    sizes, tokens = [len(text) for text in texts], [count(text) for text in texts]
    for question in questions:
        asked = _vector(question)
        meaning = [max(float(asked @ vector) for vector in vectors) for vectors in parts]
        yield passages.by_words(texts, question), meaning, sizes, tokens, place


def main(n: int = QUESTIONS) -> None:
    """A row a kind of prompt, share, and way to choose; then the lossless forms."""
    rows = []
    for make in (houses, handbook):
        pairs = [tuple(looked_at(make, seed)) for seed in range(n)]
        for form, asked_in in enumerate(("its words", "other words")):
            for to in (0.5, 0.25, 0.1):
                for way in ("both", "words", "meaning"):
                    stay, saved = chosen([pair[form] for pair in pairs], to, way)
                    share = stats.wilson(sum(stay), n, 0.9)
                    row = {"prompts": make.__name__, "asked in": asked_in, "to": to, "by": way, "n": n}
                    row |= {"fewer tokens": round(float(np.mean(saved)), 2)}
                    row |= {"evidence stays": round(share.estimate, 4), "at least (95 %)": round(share.low, 4)}
                    rows.append(row)
                    print(rows[-1], file=sys.stderr)
    common.report("compress", rows)
    random = Random(1)
    records = [
        {
            "sku": f"A-{random.randint(10, 99)}",
            "quantity": random.randint(1, 40),
            "price": random.randint(1, 99) / 4,
            "in_stock": random.random() < 0.7,
            "shelf": random.choice(PLACES),
            "note": random.choice(["", "fragile", "two"]),
        }
        for _ in range(60)
    ]
    pretty, short = json.dumps(records, indent=2), lossless.shorter(json.dumps(records, indent=2))
    small = json.dumps(records, separators=(",", ":"))
    print(
        f"60 records, tokens: pretty JSON {count(pretty):,}, minified {count(small):,}, as sent {count(short):,}"
        f" ({count(pretty) / count(short):.2f} times fewer)"
    )


def chosen(prompts: list[Scored], to: float, way: str) -> tuple[list[bool], list[float]]:
    """For each prompt whether the passage that answers it stays, and how many times fewer tokens there are."""
    stay, saved = [], []
    for words, meaning, sizes, tokens, place in prompts:
        first, second = (words if way != "meaning" else meaning), (meaning if way != "words" else words)
        kept = passages.needed(first, second, sizes, to)
        stay.append(place in kept)
        saved.append(sum(tokens) / sum(tokens[number] for number in kept))
    return stay, saved


def _vector(text: str) -> np.ndarray:
    vector = minilm().embed(text)
    unit: np.ndarray = vector / np.linalg.norm(vector)
    return unit


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
