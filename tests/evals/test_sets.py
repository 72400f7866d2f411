"""Eval sets and scorers: what is wrong with a file is said by its line; a score is a share or nothing."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from lab import EvalSet, Lab, errors
from lab.checks import Schema
from lab.evals import scorers
from lab.evals.scorers import as_scorer, scored
from lab.sim.answers import DIFFICULTIES, EVALS


def _file(tmp_path: Path, *lines: object, name: str = "set.jsonl") -> Path:
    path = tmp_path / name
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return path


def test_a_set_is_loaded_with_its_marks(tmp_path: Path) -> None:
    head = {"set": "mine", "about": "x", "held_out": True}
    case = {"id": "a", "input": "x", "expected": 1, "cluster": "c", "tags": ["hard"]}
    path = _file(tmp_path, head, case, "", {"id": "b", "input": {"q": "y"}})
    eval_set = EvalSet.load(path)
    assert (eval_set.name, eval_set.held_out, len(eval_set)) == ("mine", True, 2)
    assert [(case.id, case.cluster, case.tags, case.line) for case in eval_set] == [
        ("a", "c", ("hard",), 2),
        ("b", "b", (), 4),
    ]
    assert [case.id for case in eval_set.where("hard")] == ["a"]
    assert "held out" in repr(eval_set)


def test_a_changed_case_is_another_set(tmp_path: Path) -> None:
    original = EvalSet.load(_file(tmp_path, {"id": "a", "input": "x"}))
    same = EvalSet.load(_file(tmp_path, "", {"input": "x", "id": "a"}, name="other.jsonl"))
    changed = EvalSet.load(_file(tmp_path, {"id": "a", "input": "x "}))
    assert original.hash == same.hash != changed.hash


def test_what_is_wrong_is_said_by_its_line(tmp_path: Path) -> None:
    path = _file(
        tmp_path,
        {"id": "a", "input": "x"},
        "{broken",
        {"id": "a", "input": "y"},
        {"id": "", "input": "x"},
        {"id": "b", "input": ""},
        {"id": "c", "input": "x", "inptu": 1},
        {"id": "d", "input": {"not a name": 1}},
        {"id": "e", "input": "x", "tags": "hard"},
        ["f"],
    )
    with pytest.raises(ValueError, match=r"\w") as caught:
        EvalSet.load(path)
    message = str(caught.value)
    for part in (
        "line 2: not JSON",
        "line 3: the id 'a' is that of line 1",
        "line 4: 'id' must be a text",
        "line 5: 'input' must be a text",
        "line 6: no field 'inptu': one of id, input",
        "line 7: 'input' must be",
        "line 8: 'tags' must be a list",
        "line 9: a JSON object is wanted",
    ):
        assert part in message


def test_rows_that_are_just_the_prompts_variables_are_cases() -> None:
    rows = [{"city": "Rome"}, {"city": "Oslo", "expected": "Norway", "id": "north"}, {"input": "plain"}]
    first, second, third = EvalSet.of(rows)
    assert (first.id, first.input, first.expected) == ("1", {"city": "Rome"}, None)
    assert (second.id, second.input, second.expected) == ("north", {"city": "Oslo"}, "Norway")
    assert (third.id, third.input) == ("3", "plain")


def test_a_column_of_any_name_for_what_is_expected_is_asked_for(tmp_path: Path) -> None:
    """Without it every score would be 0; a function or a judge may need none."""
    path = tmp_path / "capitals.csv"
    path.write_text("country,gold,source\nItaly,Rome,atlas\nNorway,Oslo,atlas\n")
    with Lab(tmp_path / "lab.db", provider=lambda call: "Rome") as lab:
        with pytest.raises(errors.InvalidRequestError, match=r"is it 'gold' or 'source'\? .*expecting\('gold'\)"):
            lab.compare("Capital of {{country}}?", "m", path, scorers=["exact"], progress=None)
        cases = EvalSet.load(path).expecting("gold")
        assert [case.input for case in cases] == [{"country": n, "source": "atlas"} for n in ("Italy", "Norway")]
        experiment = lab.compare("Capital of {{country}}?", "m", cases, scorers=["exact"], progress=None)
        assert experiment.df()["exact"].tolist() == [1.0, 0.0]
        lab.compare("Capital of {{country}}?", "m", path, scorers=[lambda value, _: "R" in value], progress=None)
    with pytest.raises(ValueError, match="case 1 has no variable 'silver'"):
        EvalSet.load(path).expecting("silver")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\x00", None])
def test_a_file_that_is_no_set_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "odd.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"no eval set can be read from it|it has no case"):
        EvalSet.load(path)


def test_windows_line_ends_and_a_byte_order_mark_are_no_matter(tmp_path: Path) -> None:
    path = tmp_path / "w.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": "a", "input": "x"}\r\n{"id": "b", "input": "y"}\r\n')
    assert [case.id for case in EvalSet.load(path)] == ["a", "b"]


@pytest.mark.parametrize("name", ["requests", "rewordings"])
def test_the_sets_of_requests_in_other_words_are_whole(name: str) -> None:
    """400 pairs and more, of each kind that fools a similarity; see `tests/call/near/test_rule.py`, too."""
    eval_set = EvalSet.load(EVALS / f"{name}.jsonl")
    assert eval_set.name == name
    assert all(case.tags[0] in DIFFICULTIES and case.cluster for case in eval_set)
    kinds = {"paraphrase", "number", "negation", "place", "time", "condition", "direction", "unit", "language"}
    assert kinds <= {tag for case in eval_set for tag in case.tags}
    assert str(len(eval_set)) in (EVALS / f"{name}.md").read_text(encoding="utf-8")
    assert len(eval_set) >= (400 if name == "rewordings" else 300)


TASKS = [EVALS / f"{name}.jsonl" for name in ("orders", "passages", "triage")]


@pytest.mark.parametrize("path", TASKS, ids=lambda path: path.stem)
def test_the_sets_that_come_along_are_whole(path: Path) -> None:
    """60 to 150 cases, each with a difficulty first among its tags, an expectation, and a README beside the set."""
    eval_set = EvalSet.load(path)
    assert eval_set.name == path.stem
    assert 60 <= len(eval_set) <= 150
    assert all(case.tags[0] in DIFFICULTIES and case.expected is not None for case in eval_set)
    assert {"negation", "injection", "language", "long", "empty"} <= {tag for case in eval_set for tag in case.tags}
    readme = path.with_suffix(".md").read_text(encoding="utf-8")
    assert str(len(eval_set)) in readme
    if path.stem == "passages":
        assert eval_set.held_out
        assert all(case.expected["quote"] in case.input["passage"] for case in eval_set)


class Order(BaseModel):
    sku: str
    items: list[int] = []


def _score(scorer: object, answer: object, expected: object) -> object:
    text, value = (answer, None) if isinstance(answer, str) else ("", answer)
    return asyncio.run(scored(as_scorer(scorer), text, value, expected))[0]


@pytest.mark.parametrize(
    ("scorer", "answer", "expected", "score"),
    [
        ("exact", " Paris. ", "paris", 1),
        (scorers.exact(strict=True), " Paris. ", "paris", 0),
        ("exact", {"a": 1}, {"a": 1}, 1),
        ("exact:answer", '{"answer": "Paris!", "quote": "x"}', {"answer": "paris", "quote": "y"}, 1),
        ("exact:answer", "no JSON here", {"answer": "paris"}, 0),
        ("exact", True, 1, 0),
        ("label", "**billing**", "billing", 1),
        ("label", '{"label": "billing"}', "billing", 1),
        ("label", "It is billing", "billing", 0),
        ("label", "bug", ["billing", "bug"], 1),
        ("contains", "Refund the ORDER", ["refund", "order", "sorry"], 2 / 3),
        ("number", "It is 12, or rather 1,250.5", 1250.5, 1),
        ("number", "about 98", 100, 0),
        (scorers.number(relative=0.02), "about 98", 100, 1),
        (scorers.number(tolerance=1), 99.5, 100, 1),
        ("number", "none", 3, 0),
        ("fields", '{"sku": "a-1", "items": [1, 3]}', {"sku": "A-1", "items": [1, 2]}, 2 / 3),
        ("fields", Order(sku="A-1", items=[1]), {"sku": "A-1", "items": []}, 1 / 3),
        ("fields", '{"sku": "A-1", "extra": 1}', {"sku": "A-1"}, 0.5),
        ("fields", '{"sku": null}', {"sku": None}, 1),
        ("fields", "sorry", {"sku": "A-1"}, 0),
        (lambda value, expected: value == expected, "x", "x", 1),
        (lambda value, expected: 0.25, "x", "x", 0.25),
    ],
)
def test_each_scorer_gives_a_share(scorer: object, answer: object, expected: object, score: float) -> None:
    assert _score(scorer, answer, expected) == pytest.approx(score)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda value, expected: 1 / 0, "ZeroDivisionError"),
        (lambda value, expected: 7, "a share from 0 to 1"),
        (lambda value, expected: None, "TypeError"),
        (lambda value, expected: float("nan"), "a share from 0 to 1"),
    ],
)
def test_a_scorer_that_fails_says_nothing_about_the_answer(function, reason: str) -> None:
    score, message = asyncio.run(scored(as_scorer(function), "x", None, "x"))
    assert score is None
    assert reason in message


def test_what_is_no_scorer_is_refused() -> None:
    for wrong in ("labels", 5, str):
        with pytest.raises(ValueError, match="scorer"):
            as_scorer(wrong)
    assert Schema.of(Order).name == "Order"


def test_a_csv_is_read_as_its_jsonl_would_be(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text('input,expected,cluster,tags\n"a ""quoted"", cell",x,k,"hard, long"\nb,y,,\n')
    eval_set = EvalSet.load(tmp_path / "s.csv")
    assert [case.input for case in eval_set] == ['a "quoted", cell', "b"]
    assert eval_set.cases[0].tags == ("hard", "long")
    assert [case.id for case in eval_set] == ["1", "2"]
    variables = EvalSet.parse(b"id,question,context\nq1,why,because\n", "v.csv")
    assert variables.cases[0].input == {"question": "why", "context": "because"}
    EvalSet.parse(b"input\n" + b"x" * 300_000 + b"\n", "long.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,a\n1,2\n", "line 1: two columns are called 'a'"),
        ("input,x\na\n", "line 2: as many cells"),
        ("input,x\na,b\n", "not both"),
        ("id,input\n,a\n", "'id' must be a text"),
        ('input\n"a\n', "not CSV"),
        ("", "it has no case"),
    ],
)
def test_what_is_wrong_with_a_csv_is_said(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        EvalSet.parse(text.encode(), "bad.csv")
