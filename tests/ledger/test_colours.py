"""The colour of each model, kept on the ledger."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from lab import Lab
from lab.show import palette


def test_a_model_keeps_its_colour_whoever_comes_later(tmp_path: Path) -> None:
    with Lab(tmp_path / "lab.db", provider=lambda call: "yes") as lab:
        lab.ask("a", model="zeta")
        first = lab.colours()
        assert list(first) == ["zeta"]
        lab.ask("a", model="alpha")
        second = lab.colours("never called")
        assert second["zeta"] == first["zeta"]
        assert set(second) == {"zeta", "alpha", "never called"}
        assert len(set(second.values())) == 3
    with Lab(tmp_path / "lab.db") as again:
        assert again.colours() == second


def test_thirteen_models_share_twelve_colours(tmp_path: Path) -> None:
    with Lab(tmp_path / "lab.db") as lab:
        drawn = lab.colours(*(f"m{number}" for number in range(13)))
        assert drawn["m12"] == drawn["m0"] == palette.MODELS[0]


def test_two_processes_that_give_at_once_give_each_place_once(tmp_path: Path) -> None:
    with Lab(tmp_path / "lab.db") as one, Lab(tmp_path / "lab.db") as other:
        one.colours("a", "b")
        other.colours("b", "c")
        assert one.colours() == other.colours()
        with sqlite3.connect(tmp_path / "lab.db") as db:
            assert dict(db.execute("SELECT name, place FROM colours")) == {"a": 0, "b": 1, "c": 2}
