"""Timeouts, retries, hedge, fallback and cache of a request, as switches over the Lab's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import streamlit as st

from lab import Cache, Fallback, Hedge, Lab, Policy, Retry, Timeout
from lab.show import units
from playground.parts import backend, choices, escape

_PARTS: dict[str, Any] = {"timeout": Timeout, "retry": Retry, "hedge": Hedge, "fallback": Fallback, "cache": Cache}

_LIMITS = {"limit_first": "first_token", "limit_attempt": "attempt", "limit_total": "total"}


def begin(lab: Lab) -> None:
    """What the switches say before anybody has touched them: the Lab's own."""
    usual, state = lab.policy, st.session_state
    for name in _PARTS:
        state.setdefault(f"with_{name}", getattr(usual, name) is not None)
    timeout = usual.timeout or Timeout()
    for key, name in _LIMITS.items():
        state.setdefault(key, getattr(timeout, name))
    state.setdefault("attempts", (usual.retry or Retry()).attempts)
    state.setdefault("hedge_after", 2.0)
    state.setdefault("cache_hours", 24.0)


def policies(lab: Lab, models: Sequence[str]) -> dict[str, Any] | None:
    """The bounds that are not the Lab's own."""
    usual = lab.policy
    chosen: dict[str, Any] = {}
    left, right = st.columns(2)
    with left:
        chosen["timeout"] = timeouts(usual.timeout)
        chosen["retry"] = retries(usual.retry)
    with right:
        chosen["hedge"] = hedges(usual.hedge)
        chosen["fallback"] = fallbacks(usual.fallback, models)
        chosen["cache"] = caches(usual.cache)
    before = usual.content()
    policy = Policy(**chosen).content()
    changed = {name: policy[name] for name in chosen if policy[name] != before[name]}
    return changed or None


def timeouts(usual: Timeout | None) -> Timeout | None:
    """How long it may take."""
    if not st.toggle("Timeouts", key="with_timeout", persist_state="session", help="None: a call may wait for ever"):
        return None
    base = usual or Timeout()
    first, second, third = st.columns(3)
    given = {
        "first_token": first.number_input(
            "First token (s)", 0.1, 3600.0, None, key="limit_first", persist_state="session"
        ),
        "attempt": second.number_input(
            "A request (s)", 0.1, 3600.0, None, key="limit_attempt", persist_state="session"
        ),
        "total": third.number_input("In all (s)", 0.1, 36000.0, None, key="limit_total", persist_state="session"),
    }
    try:
        return Timeout(**{**asdict(base), **given})
    except ValueError as odd:
        st.warning(escape.markdown(odd), icon=":material/edit:")
        return usual


def retries(usual: Retry | None) -> Retry | None:
    """How often it is tried."""
    if not st.toggle(
        "Retries", key="with_retry", persist_state="session", help="What fails for a moment is asked again"
    ):
        return None
    base = usual or Retry()
    many = st.number_input("Attempts, at most", 1, 10, key="attempts", persist_state="session")
    return Retry(**{**asdict(base), "attempts": many})


def hedges(usual: Hedge | None) -> Hedge | None:
    """Whether a slow request gets a second one beside it."""
    if not st.toggle(
        "Hedge",
        key="with_hedge",
        persist_state="session",
        help="A second request where the first is slow; both are paid",
    ):
        return None
    after = st.number_input(
        "A second request after (s)", 0.05, 600.0, step=0.5, key="hedge_after", persist_state="session"
    )
    return Hedge(after=after, budget=1.0)


def fallbacks(usual: Fallback | None, models: Sequence[str]) -> Fallback | None:
    """Another model, where this one fails."""
    if not st.toggle(
        "Fallback", key="with_fallback", persist_state="session", help="Another model, where this one fails"
    ):
        return None
    offered = [model for model in choices.models() if model not in models]
    other = st.selectbox(
        "To",
        offered,
        index=None,
        accept_new_options=True,
        key="fallback_to",
        persist_state="session",
        placeholder="a model",
    )
    return Fallback(str(other)) if other else usual


def caches(usual: Cache | None) -> Cache | None:
    """Whether the same request is answered out of the store."""
    if not st.toggle(
        "Cache",
        key="with_cache",
        persist_state="session",
        help="The same request is answered again for nothing, at once",
    ):
        return None
    hours = st.number_input("For (hours)", 0.01, 10_000.0, key="cache_hours", persist_state="session")
    return Cache(ttl=hours * 3600)


def said(name: str, part: Mapping[str, Any] | None) -> str:
    """One bound in a few words."""
    if part is None:
        return {"timeout": "no timeouts", "retry": "no retries"}.get(name, f"no {name}")
    if name == "timeout":
        return "timeouts " + ", ".join(
            f"{key.replace('_', ' ')} {units.seconds(float(part[key]))}"
            for key in ("first_token", "attempt", "total")
            if part.get(key) is not None
        )
    if name == "retry":
        return f"{part['attempts']} attempts"
    if name == "hedge":
        return f"hedge after {units.seconds(float(part['after']))}"
    if name == "fallback":
        return f"fallback to {', '.join(part['models'])}"
    if name == "cache":
        return f"cache {units.duration(float(part['ttl']))}"
    return name


def load(policy: Mapping[str, Any]) -> None:
    """Put the bounds of what was asked into the switches. To be called before they are drawn."""
    state = st.session_state
    usual = backend.lab().policy.content()
    whole = {name: policy.get(name, usual[name]) for name in _PARTS}
    for name, part in whole.items():
        state[f"with_{name}"] = part is not None
    timeout, retry = whole["timeout"] or asdict(Timeout()), whole["retry"] or asdict(Retry())
    for key, name in _LIMITS.items():
        state[key] = timeout.get(name)
    state["attempts"] = retry["attempts"]
    if whole["hedge"]:
        state["hedge_after"] = float(whole["hedge"]["after"])
    if whole["fallback"]:
        state["fallback_to"] = whole["fallback"]["models"][0]
    if whole["cache"]:
        state["cache_hours"] = float(whole["cache"]["ttl"]) / 3600
