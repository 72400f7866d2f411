"""What is offered to choose from: models, prompts, and the names that are on the record."""

from __future__ import annotations

import streamlit as st

from lab import Lab, Prompt
from lab.ledger import routers
from lab.policies.route import PREFIX
from lab.provider import catalogue
from lab.sim.answers import EVALS
from playground.parts import backend

SETS = EVALS
FILES = EVALS.parent / "prompts"


@st.cache_data(show_spinner="Looking up the models whose keys are set …")
def _models() -> list[str]:
    return catalogue.available()


@st.cache_data(show_spinner=False, ttl=30)
def _here() -> list[str]:
    return catalogue.here()


def models() -> list[str]:
    """Models to offer, routers and those of other servers on this machine among them; any other name may be typed."""
    offered, lab = _models(), backend.lab()
    return [*offered[:3], *_routers(str(lab.path), lab), *_here(), *offered[3:]]


@st.cache_data(show_spinner=False, ttl=15)
def _routers(path: str, _lab: Lab) -> list[str]:
    return [f"{PREFIX}{name}" for name in routers.names(_lab.ledger)]


@st.cache_data(show_spinner=False, ttl=15)
def _prompts(path: str, _lab: Lab) -> dict[str, Prompt]:
    listed = _lab.prompts()
    versions = {
        f"{name} v{version}": _lab.prompt(name, version=int(version))
        for name, version in listed[["name", "version"]].head(200).itertuples(index=False)
    }
    known = {(prompt.name, prompt.hash) for prompt in versions.values()}
    files = [Prompt.load(file) for file in sorted(FILES.glob("*.md"))]
    return versions | {f"{prompt.name} (file)": prompt for prompt in files if (prompt.name, prompt.hash) not in known}


def prompts() -> dict[str, Prompt]:
    """The versions on the ledger, and the files that come with the lab, by name."""
    lab = backend.lab()
    return _prompts(str(lab.path), lab)


@st.cache_data(show_spinner=False, ttl=15)
def _names(path: str, _lab: Lab) -> dict[str, list[str]]:
    return _lab.names()


def names() -> dict[str, list[str]]:
    """What the record can be narrowed to, as it was at most 15 seconds ago."""
    lab = backend.lab()
    return _names(str(lab.path), lab)


def still(picked: list[str], saved: dict[str, Prompt]) -> list[str]:
    """What was picked and is still offered; a file that has a version by now under that."""
    names = []
    for name in picked:
        stem = name.removesuffix(" (file)")
        versions = [label for label in saved if label.startswith(f"{stem} v")] if stem != name else []
        names += [name] if name in saved else versions[:1]
    return names


def forget() -> None:
    """Look all of it up anew: something was just saved."""
    _prompts.clear()
    _names.clear()
