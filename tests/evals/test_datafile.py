"""A file of one's own as cases."""

from __future__ import annotations

import pytest

from lab.evals import datafile

CSV = b'\xef\xbb\xbfnr;text;label;who\n1;first ticket;billing;ann\n2;"second; ticket";bug;bob\n'


def test_a_csv_is_read_and_its_columns_guessed_and_picked() -> None:
    table = datafile.read(CSV, "mine.csv")
    assert table.columns == ("nr", "text", "label", "who")
    assert table.guessed(["ticket"]) == {
        **{"input ticket": "text", "expected": "label"},
        **{"id": None, "cluster": None},
    }
    cases = table.cases({"ticket": "text"}, expected="label", id="nr", cluster="who")
    assert cases.name == "mine"
    assert [(case.id, case.input, case.expected, case.cluster) for case in cases] == [
        ("1", {"ticket": "first ticket"}, "billing", "ann"),
        ("2", {"ticket": "second; ticket"}, "bug", "bob"),
    ]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.csv", b"a,b\n1,2\n3\n", r"line 3, column 2: 1 cells, where there are 2 columns"),
        ("a.csv", b"a,b\n1,2\n3,4,5\n", r"line 3, column 3: 3 cells, where there are 2 columns"),
        ("a.csv", b"a,a\n1,2\n", r"line 1, column 2: two columns are called 'a'"),
        ("a.csv", b"a,\n1,2\n", r"line 1, column 2: a column without a name"),
        ("a.csv", b"", r"no row in it"),
        ("a.json", b'[{"a": 1},\n {"a" 2}]', r"line 2, column 7: Expecting ':' delimiter"),
        ("a.json", b'{"a": 1}', r"line 1, column 1: a list of objects is wanted"),
        ("a.json", b"[1]", r"row 1: an object is wanted, not int"),
        ("a.jsonl", b'{"a": 1}\n{"a": }\n', r"line 2, column 7"),
        ("a.jsonl", b'{"a": 1}\n[2]\n', r"line 2, column 1: an object is wanted, not list"),
        ("a.csv", b"a,b\n1,\xff\n", r"line 2, column 3: not UTF-8 text"),
        ("a.xlsx", b"x", r"one of csv, json, jsonl"),
        ("a.json", b"[" * 100_000, r"nested too deeply"),
    ],
)
def test_what_is_wrong_is_said_with_line_and_column(name: str, data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        datafile.read(data, name)


def test_json_has_its_list_wherever_it_is_and_a_set_of_the_labs_own_its_variables() -> None:
    assert len(datafile.read(b'{"data": [{"a": 1}, {"a": 2}]}', "a.json").rows) == 2
    lines = b'{"set": "x"}\n{"id": "t1", "input": {"ticket": "one"}, "expected": "bug"}\n'
    table = datafile.read(lines, "a.jsonl")
    assert table.columns == ("ticket", "id", "expected")
    assert table.guessed(["ticket"]) == {
        **{"input ticket": "ticket", "expected": "expected"},
        **{"id": "id", "cluster": None},
    }


def test_what_is_missing_or_twice_is_said_where_it_is() -> None:
    table = datafile.read(b"id,text\n1,one\n1,\n,three\n", "a.csv")
    with pytest.raises(ValueError, match="line 3, column 'text'") as told:
        table.cases({"x": "text"}, id="id")
    assert "line 3, column 'text': nothing in it" in str(told.value)
    assert "line 3, column 'id': '1' stands in line 2, too" in str(told.value)
    assert "line 4, column 'id': nothing in it" in str(told.value)


def test_a_variable_is_no_expectation_whatever_it_is_called() -> None:
    table = datafile.read(b"document,answer,label\nlong text,short,x\n", "a.csv")
    guess = table.guessed(["document", "answer"])
    assert (guess["input document"], guess["input answer"]) == ("document", "answer")
    assert (guess["expected"], guess["cluster"]) == ("label", None)


def test_quotes_are_those_of_csv_whatever_the_first_rows_look_like() -> None:
    data = b"text,label\n" + b"plain,x\n" * 2000 + b'"He said, \'hello\', and ""left""",y\n'
    rows = datafile.read(data, "a.csv").rows
    assert rows[-1][1] == {"text": "He said, 'hello', and \"left\"", "label": "y"}
