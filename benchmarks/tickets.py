"""Makes `data/evals/tickets.jsonl`: short tickets put together from parts; how difficult they are shows in the words.

Easy ones ask for one thing in plain words. In medium ones it is wrapped in talk, or half said. In hard ones another
matter comes first that is settled, or meant in irony, and what is asked for stands beside it. Nothing of it is drawn
after how a model does: the simulated models answer by the difficulty alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

INTO = Path(__file__).resolve().parent.parent / "data" / "evals" / "tickets.jsonl"
CASES = 2400
THINGS = (
    "lamp|kettle|rug|bookcase|desk chair|yoga mat|coffee grinder|raincoat|tent|mirror|blanket|toaster|suitcase|bicycle"
    " bell|garden hose|piano stool|wall clock|set of knives|bird feeder|sleeping bag"
).split("|")
PLACES = "the office|my sister's|the shop in town|the harbour|my flat|the school|our cabin|the workshop".split("|")
TIMES = "yesterday|on Monday|last week|this morning|twice now|since the weekend|for ten days|in March".split("|")
ASKED = {
    "billing": (
        "I was charged twice for the {thing}; please pay one of the two back.|Please send me the invoice for the"
        " {thing}.|The {thing} cost less on the page than on my card. Please correct it.|I sent the {thing} back {time}"
        " and still wait for my money.|Which of the two amounts for the {thing} is the right one? My card shows both."
    ).split("|"),
    "bug": (
        "The page of the {thing} stays white when I open it.|The button for paying does nothing {time}.|Your app closes"
        " by itself as soon as I look at the {thing}.|The search finds no {thing}, though you sell three.|Pictures of"
        " the {thing} are shown upside down on my phone."
    ).split("|"),
    "account": (
        "I can't sign in {time}; please send me a new password.|Please delete my profile and all that is in it.|Change"
        " the e-mail of my account, please; the old one is gone.|Somebody else's name stands in my profile. Please"
        " mend that.|I want no more letters about the {thing}; take me off the list."
    ).split("|"),
    "shipping": (
        "Where is the {thing} that I ordered {time}?|The {thing} came with a crack in it. Please send another.|Please"
        " deliver the {thing} to {place} instead.|I got a {other} in place of the {thing}.|The {thing} was to be here"
        " {time}, and isn't."
    ).split("|"),
    "feature": (
        "It would be good to see the {thing} in a room before buying.|Could you add a list of wishes, for the {thing}"
        " and more?|Please let us pay for the {thing} in three parts.|I'd like to sort by weight; a {thing}"
        " can be heavy.|A way to compare the {thing} with the {other} is what your page lacks."
    ).split("|"),
    "other": (
        "Do you have work for somebody who mends a {thing}?|Thank you for the {thing}, it is lovely.|Our paper would"
        " like to write about your {thing}; whom may we talk to?|Are you open at {place} on holidays?|Who designed the"
        " {thing}?"
    ).split("|"),
}
SETTLED = {
    "billing": "The invoice for the {other} is right by now, and the money is back, so never mind what I wrote {time}.",
    "bug": "The page works again, that isn't it.",
    "account": "I know my password, and I am signed in while I write this, so no new one, please.",
    "shipping": "The {other} has come in one piece, the parcel is not what I complain of.",
    "feature": "Not that I want anything new of you, no list of wishes, no colours.",
    "other": "This is no praise, and no question about work at your place either.",
}
TALK = (
    "My neighbour says I should write to you, so I do.|It is raining here and I have time.|I hope this reaches the"
    " right desk.|We have bought from you for years, my husband more than I.|I am on a train, forgive the spelling.|The"
    " cat sits on the keyboard now and then.|I don't have the number at hand, it is in the other jacket.|You will know"
    " what to do."
).split("|")
IRONY = (
    "Bravo, truly, what a service.|I could not be happier, as you may imagine.|Congratulations on yet another"
    " masterpiece.|What a joy it is to hear nothing from you."
).split("|")
GREETINGS = ("Hello,", "Hi,", "Dear shop,", "Good morning,", "To whom it may concern,", "")
ENDINGS = ("Thanks", "Regards", "Best wishes", "Bye", "")
SHARES = {"easy": 0.45, "medium": 0.3, "hard": 0.25}


def ticket(random: Random) -> tuple[str, str, str]:
    """One ticket, its label and its difficulty."""
    label = random.choice(list(ASKED))
    difficulty = random.choices(list(SHARES), list(SHARES.values()))[0]
    thing, other = random.sample(THINGS, 2)
    parts = [random.choice(ASKED[label])]
    if difficulty == "medium":
        talk = random.sample(TALK, 2)
        parts = [talk[0], *parts, talk[1]]
    if difficulty == "hard":
        first = SETTLED[random.choice([name for name in ASKED if name != label])]
        parts = [first, *parts] if random.random() < 0.6 else [random.choice(IRONY), *parts, first]
    filled = [
        part.format(thing=thing, other=other, place=random.choice(PLACES), time=random.choice(TIMES)) for part in parts
    ]
    lines = [random.choice(GREETINGS), " ".join(filled), random.choice(ENDINGS)]
    return "\n\n".join(line for line in lines if line), label, difficulty


def cases(n: int, seed: int = 0) -> list[dict[str, object]]:
    """So many different tickets, as cases of an eval set."""
    random, rows, known = Random(seed), [], set()
    while len(rows) < n:
        text, label, difficulty = ticket(random)
        if text not in known:
            known.add(text)
            rows.append({"id": f"k{len(rows) + 1:04d}", "input": text, "expected": label, "tags": [difficulty]})
    return rows


if __name__ == "__main__":
    about = "Short tickets of a fictional web shop, put together from parts; one of six labels, as in triage."
    head = {"set": "tickets", "about": about, "held_out": False}
    lines = [json.dumps(row, ensure_ascii=False) for row in [head, *cases(CASES)]]
    INTO.write_text("\n".join(lines) + "\n", encoding="utf-8")
