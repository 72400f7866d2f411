"""The first start in a terminal asks nothing and shows only where the playground is."""

from __future__ import annotations

import tomllib
from pathlib import Path

from streamlit import config

ROOT = Path(__file__).resolve().parent.parent


def test_streamlits_settings_are_ones_it_knows_and_keep_it_quiet_and_local() -> None:
    settings = tomllib.loads((ROOT / "playground" / "front" / ".streamlit" / "config.toml").read_text())
    flat = {f"{section}.{name}": value for section, values in settings.items() for name, value in values.items()}
    known = set(config.get_config_options())
    assert {name for name in flat if not name.startswith("theme.")} <= known
    assert flat["server.address"] == "127.0.0.1"
    assert flat["browser.gatherUsageStats"] is False
    assert flat["server.showEmailPrompt"] is False


def test_ci_runs_the_whole_suite_and_nothing_less() -> None:
    assert "exec make test" in (ROOT / ".ci" / "run").read_text()
    makefile = (ROOT / "Makefile").read_text()
    assert "-m pytest -n 3 --dist loadfile --no-loadscope-reorder --durations=20\n" in makefile
