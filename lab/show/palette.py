"""Colours that mean the same on every page and in every notebook, told apart on white and on dark (at least 3 : 1)."""

from __future__ import annotations

MODELS = (
    "#079e92",
    "#c77618",
    "#8e57d8",
    "#427fd8",
    "#c05296",
    "#9d8d26",
    "#2c94b0",
    "#b1582b",
    "#6365c1",
    "#a2805a",
    "#94607f",
    "#6f7fa6",
)
"""Of models, by their places (`lab.ledger.colours`): the thirteenth has the first one again."""
OTHERS = "all others"
GREY = "#808a91"
"""Of what is none of them: axes, marks, and all others, which come last."""
OUTCOMES = {
    "ok": ("✓", "#179765"),
    "running": ("○", "#427fd8"),
    "cancelled": ("□", GREY),
    "rate_limit": ("▲", "#c77618"),
    "timeout": ("◔", "#9d8d26"),
    "provider": ("✗", "#dd4c62"),
    "transport": ("≠", "#2c94b0"),
    "malformed": ("◆", "#c05296"),
    "content": ("■", "#8e57d8"),
    "validation": ("◇", "#47708f"),
    "invalid_request": ("△", "#b1582b"),
    "unsupported": ("▽", "#7a6a58"),
    "auth": ("●", "#a8434f"),
    "quota": ("▼", "#8f7420"),
    "budget": ("$", "#517c99"),
    "busy": ("▷", "#5f8a3d"),
}
"""How a call ended, or is: a sign and a colour each, so that no colour has to be told apart."""
PHASES = {
    "waiting": "#8f9aa1",
    "connect": "#a786b8",
    "first token": "#6f93ad",
    "thinking": "#7f6fa8",
    "generation": "#44708c",
    "until its end": "#57828f",
    "in a batch": "#a08a7a",
    "step": "#7b8a5e",
    "lost": "#dd4c62",
}
"""Parts of a call's time: in greys and blues, for they are no models."""
SPENT = ("#44708c", "#a786b8", "#b08d57", "#a2627f", "#dd4c62")
"""What money bought: answers, hedges that lost, retries, repairs, failed calls."""
SCORES = {"right": ("✓", "#179765"), "partly": ("◐", "#c77618"), "wrong": ("✗", "#dd4c62"), "none": ("–", GREY)}
"""What an answer was worth: at least 1, between, nothing, or not known."""


def of(place: int) -> str:
    """The colour of a place."""
    return MODELS[place % len(MODELS)]


def scored(score: float | None) -> str:
    """Which of `SCORES` a score is."""
    if score is None or score != score:
        return "none"
    return "right" if score >= 1 - 1e-9 else "partly" if score > 1e-9 else "wrong"


def outcome(name: str) -> str:
    """An outcome with its sign, as a person reads it."""
    sign = OUTCOMES.get(name, ("✗", GREY))[0]
    return f"{sign} {name.replace('_', ' ')}"
