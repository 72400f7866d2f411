"""What has grown old: pruned with all that hangs on it, exported whole, safe in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import math
import time
from pathlib import Path

import pandas as pd
import pytest

from lab import Lab
from lab.ledger import archive
from lab.show.spreadsheet import safe_cell
from tests.rows import month as made
from tests.rows import put

DAY = 86_400


@pytest.fixture
def month(tmp_path: Path) -> Lab:
    """2,600 calls of 30 days: a pack, and calls beside it."""
    made(tmp_path / "month.db", 2600)
    with Lab(tmp_path / "month.db", provider=lambda call: "yes") as lab:
        yield lab


def rows(lab: Lab, table: str) -> int:
    return lab.ledger.rows(f"SELECT count(*) FROM {table}")[0][0]


def test_old_calls_go_with_all_that_hangs_on_them(month: Lab) -> None:
    before = time.time() - 10 * DAY
    old = month.count(until=before)
    young = month.metrics(since=before)
    planned = month.prune(before, dry_run=True)
    assert (planned.calls + planned.kept, planned.done) == (old, False)
    assert rows(month, "calls") == 2600
    gone = month.prune(before)
    assert str(gone) == f"{planned.calls:,} calls removed; {planned.kept:,} of experiments stay"
    assert rows(month, "calls") == 2600 - planned.calls == rows(month, "texts")
    for table in ("attempts", "scores", "checks"):
        assert not month.ledger.rows(f"SELECT 1 FROM {table} WHERE call_id NOT IN (SELECT call_id FROM calls)")
    assert not month.ledger.rows("SELECT 1 FROM call_tags WHERE id NOT IN (SELECT id FROM calls)")
    indexed = month.ledger.rows("SELECT rowid FROM texts_fts WHERE texts_fts MATCH 'order'")
    assert {row[0] for row in indexed} <= {row[0] for row in month.ledger.rows("SELECT id FROM calls")}
    pd.testing.assert_frame_equal(month.metrics(since=before), young)
    assert month.prune(before, experiments=True).calls == planned.kept
    assert month.count(until=before) == 0
    pd.testing.assert_frame_equal(month.metrics(), young)
    month.ask("still writable?", model="m")


def test_words_alone_can_go_and_the_figures_stay(month: Lab) -> None:
    figures = month.metrics()
    gone = month.prune(time.time(), words_only=True, experiments=True)
    assert str(gone) == "the words of 2,600 calls removed"
    assert month.count(search="order") == 0
    call = month.calls(limit=1)["call_id"][0]
    texts = month.texts(call)
    assert (texts["answer"], texts["messages"], texts["kept"]) == (None, [], False)
    pd.testing.assert_frame_equal(month.metrics(), figures)
    assert month.prune(time.time(), words_only=True, experiments=True).calls == 0


def test_space_is_given_back(month: Lab) -> None:
    size = month.path.stat().st_size
    month.prune(time.time(), experiments=True, vacuum=True)
    assert month.path.stat().st_size < size / 2


def test_what_still_runs_stays_and_what_a_killed_process_left_goes(lab: Lab) -> None:
    put(lab, "old", ago=90 * DAY)
    put(lab, "abandoned", ago=90 * DAY, status="running")
    put(lab, "running", ago=60, status="running")
    assert lab.prune(time.time()).calls == 2
    assert lab.calls()["call_id"].tolist() == ["running"]


def test_a_key_goes_with_its_reply_and_words_that_only_a_key_kept_go_too(tmp_path: Path) -> None:
    """What was pruned is never handed out again as an empty answer."""
    with Lab(tmp_path / "lab.db", provider=lambda call: "a secret answer", keep="hashes") as lab:
        lab.ask("q", model="m", key="k")
        assert lab.prune(time.time() + 1, words_only=True).calls == 1
        assert lab.ledger.rows("SELECT answer FROM texts") == [(None,)]
        again = lab.ask("q", model="m", key="k")
        assert (again.text, again.cached) == ("a secret answer", False)


def test_a_file_that_an_export_writes_can_be_read_by_others(month: Lab, tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    month.export("calls", tmp_path / "out.parquet")
    assert (tmp_path / "out.parquet").stat().st_mode == (tmp_path / "plain").stat().st_mode
    frame = pd.read_parquet(tmp_path / "out.parquet")
    assert set(frame["valid"].dropna()) <= {True, False}
    assert sorted({tag for tags in frame["tags"] for tag in tags}) == ["de", "en", "nightly", "web"]


@pytest.mark.parametrize("ending", archive.FORMATS)
@pytest.mark.parametrize("what", archive.WHAT)
def test_an_export_is_read_back(month: Lab, tmp_path: Path, ending: str, what: str) -> None:
    file = tmp_path / f"out.{ending}"
    count = month.export(what, file)
    read = {"parquet": pd.read_parquet, "csv": pd.read_csv, "jsonl": lambda path: pd.read_json(path, lines=True)}
    assert count == rows(month, what)
    frame = read[ending](file) if count else pd.DataFrame()
    assert len(frame) == count
    if what == "calls":
        assert frame["cost"].sum() == pytest.approx(month.metrics()["cost"].sum())
        assert frame["started_at"].is_monotonic_increasing
        assert frame["cached"].sum() == month.metrics()["cached"].sum()
        first = month.calls(limit=1, offset=2599).iloc[0]
        assert frame.iloc[0]["answer"] == first["answer"]
        assert frame.iloc[0]["elapsed"] == pytest.approx(first["elapsed"])


def test_an_export_is_narrowed_and_appears_whole(month: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "out.jsonl"
    assert month.export("attempts", file, model="groq/llama") == len(
        month.attempts(limit=None).merge(month.calls(limit=None, model="groq/llama")[["call_id"]], on="call_id")
    )
    was = file.read_bytes()
    monkeypatch.setattr(archive, "_jsonl", lambda path, *_: path.write_text("half") and 1 / 0)
    with pytest.raises(ZeroDivisionError):
        month.export("calls", file)
    assert file.read_bytes() == was
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".out")] == []


def test_what_can_not_be_exported_is_said(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"out\.xls: an ending or a format of parquet, csv, jsonl"):
        lab.export("calls", tmp_path / "out.xls")
    with pytest.raises(ValueError, match="'keys': one of calls, attempts"):
        lab.export("keys", tmp_path / "out.csv")


HOSTILE = [
    '=HYPERLINK("https://outside.invalid","x")',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "  =1",
    "\u00a0=1",
    "＝1",
    "\n=1",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_in_a_csv_is_a_formula(text: str, tmp_path: Path) -> None:
    """Not in an export, not in a page's download, wherever it stands."""
    with Lab(tmp_path / "lab.db", provider=lambda call: text) as lab:
        lab.ask(f"q{text}", model="m", user=text, tags=[text])
        lab.export("calls", tmp_path / "out.csv")
        frame = lab.calls()
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    page = archive.to_csv(frame.assign(**{text: [text]})).decode()
    cells += [cell for row in csv.reader(io.StringIO(page, newline="")) for cell in row]
    assert any(cell == f"'{text}" for cell in cells)
    assert not [cell for cell in cells if cell.strip()[:1] in tuple("=+@＝") and cell.strip()]
    assert not [cell for cell in cells if cell[:1] == "-" and not cell[1:2].isdigit()]


def test_numbers_and_plain_texts_stay_as_they_are() -> None:
    frame = pd.DataFrame({"a": [-1.5, math.nan], "b": ["plain", None], "c": [["x"], []], "d": [True, False]})
    assert archive.to_csv(frame).decode() == "a,b,c,d\r\n-1.5,plain,['x'],True\r\n,,[],False\r\n"
    assert [safe_cell(value) for value in (-3, 2.5, None, "", "a=b")] == [-3, 2.5, None, "", "a=b"]
    assert json.loads(json.dumps(safe_cell("x"))) == "x"
