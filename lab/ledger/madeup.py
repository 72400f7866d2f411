"""The words of traffic that never was: tickets with their labels, orders, questions, and what models say to them."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

LABELS = {
    "billing": (
        ("Charged twice", "The invoice", "Refund, please", "A question on my bill"),
        (
            "I was charged twice for the same order last week.",
            "The invoice has the old address on it, and my accountant won't take it.",
            "You promised a refund ten days ago, and nothing has arrived.",
            "Why does the total differ from what the page said?",
        ),
    ),
    "bug": (
        ("The page stays white", "Error at checkout", "Can't upload", "Broken since Tuesday"),
        (
            "Whenever I press Pay, the page stays white.",
            "The filter shows the same three lamps, whatever I pick.",
            "Uploading a photo ends in an error with a long number.",
            "Since the last update the app closes by itself.",
        ),
    ),
    "account": (
        ("Locked out", "New e-mail address", "Delete my account", "The code never comes"),
        (
            "I can't sign in any more: the code never arrives.",
            "I have married, and my name in the profile should follow.",
            "Please delete my account and everything that belongs to it.",
            "Somebody else's orders are in my list.",
        ),
    ),
    "shipping": (
        ("Where is my parcel?", "Left in the rain", "Half of it is missing", "Customs"),
        (
            "The parcel has been in Leipzig for nine days.",
            "The driver left it in the rain, and the box is soaked.",
            "Of four chairs three came, and nobody knows of the fourth.",
            "Customs want an invoice that I don't have.",
        ),
    ),
    "feature": (
        ("A wish", "Dark mode", "An idea", "Could you add this?"),
        (
            "It would help if I could sort by the date of delivery.",
            "Could there be a list that two people share?",
            "I'd pay for an export of all my orders.",
            "Please let me turn the sounds off.",
        ),
    ),
}
_AROUND = (
    "I have been a customer for six years.",
    "Thanks for looking into it.",
    "My order is {order}.",
    "I wrote on Monday, too, and had no answer.",
    "Please don't call, I am at work until five.",
    "Everything else was fine.",
)
_GOODS = ("A-7", "B-12", "C-3", "K-40", "L-9")
_QUESTIONS = (
    (
        "How long may goods be returned?",
        ("30 days from delivery", "unused, in their box", "the label is in the account"),
    ),
    ("What does express delivery cost?", ("7.90 within the country", "14.50 abroad", "nothing from 150 on")),
    ("Which batteries does the lamp take?", ("two of size AA", "rechargeable ones work", "none are in the box")),
    (
        "Can an order be changed?",
        ("until it is packed", "in the account, under Orders", "later only by returning it"),
    ),
)
_CHATS = (
    (
        "Sum up the meeting in three points.",
        "In three points:\n\n- The release moves to **Thursday**.\n- Anna writes.\n- Costs stay.",
    ),
    ("Make this sentence shorter.", "The parcel came late, and it was wet."),
    ("Translate into English: Wo ist mein Paket?", "Where is my parcel?"),
    ("Which of the two plans is cheaper over a year?", "The **yearly** one: 96 instead of 119 dollars."),
)
PROMPTS = {
    "triage": (
        "Which label fits this ticket?\n\n{{ticket}}",
        "Which label fits this ticket? Answer with the label alone.\n\n{{ticket}}",
        "Which label fits this ticket: billing, bug, account, shipping or feature? Answer with the label alone; where"
        " two things are asked, with that of the first.\n\n{{ticket}}",
    ),
    "orders": (
        "Read the items out of this order: {{message}}",
        "Read the items out of this order, as JSON with sku and quantity: {{message}}",
    ),
    "passages": ("Answer from these passages alone.\n\n{{passages}}\n\n{{question}}",),
}


def ticket(lot: random.Random) -> tuple[str, str]:
    """A ticket, and the label that fits it."""
    label = lot.choice(list(LABELS))
    subjects, bodies = LABELS[label]
    around = lot.sample(_AROUND, 2)
    order = f"{lot.randint(10_000, 99_999)}"
    body = " ".join([lot.choice(bodies), *around]).format(order=order)
    return f"Subject: {lot.choice(subjects)}\n\n{body}", label


def said(lot: random.Random, label: str, right: float) -> tuple[str, bool]:
    """What a model says to a ticket of this label, right with this probability; and whether it is."""
    good = lot.random() < right
    word = label if good else lot.choice([other for other in LABELS if other != label])
    wordy = lot.random() < 0.06
    return (f"The label that fits is **{word}**." if wordy else word), good and not wordy


def words(prompt: str | None, lot: random.Random) -> tuple[str, str]:
    """What is asked, and a good answer to it."""
    if prompt == "triage":
        text, label = ticket(lot)
        return text, said(lot, label, 0.9)[0]
    if prompt == "orders":
        items = [(sku, lot.randint(1, 6)) for sku in lot.sample(_GOODS, lot.randint(1, 3))]
        asked = ", ".join(f"{many} of {sku}" for sku, many in items)
        value = {"items": [{"sku": sku, "quantity": many} for sku, many in items]}
        return f"Good morning, {asked}, please.", json.dumps(value)
    if prompt == "passages":
        question, facts = lot.choice(_QUESTIONS)
        return question, "From the passages:\n\n" + "\n".join(f"- {fact}" for fact in facts)
    question, answer = lot.choice(_CHATS)
    return question, answer


def template(name: str, version: int) -> list[dict[str, str]]:
    """A prompt's template, as messages."""
    texts: Sequence[str] = PROMPTS[name]
    system = {"role": "system", "content": "You help the support desk of a web shop."}
    return [system, {"role": "user", "content": texts[version - 1]}]
