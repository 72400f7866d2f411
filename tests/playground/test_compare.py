"""Compare as Streamlit runs it: the request, the history, cards, own data, sets."""

from __future__ import annotations

import json

import pytest
from streamlit.testing.v1 import AppTest

from lab import Lab, Prompt, errors
from lab.evals import asks, grid
from playground.parts import cards, shape
from playground.parts import grid as drawn
from playground.parts.lanes import Lane
from tests.playground.test_playground import fresh_server as fresh_server
from tests.playground.test_playground import lab as lab
from tests.playground.test_playground import no_components as no_components
from tests.playground.test_playground import page, serve, shown


def run(at: AppTest) -> AppTest:
    at.button(key="run").click().run()
    assert not at.exception
    return at


def test_what_is_set_is_sent_and_stands_beside_run(lab: Lab) -> None:
    at = page("compare.py", models=["sim/steady"])
    at.number_input(key="max_tokens").set_value(9)
    at.number_input(key="seed").set_value(4)
    at.number_input(key="top_p").set_value(0.5)
    at.selectbox(key="effort").set_value("low")
    at.text_input(key="stop_at").set_value("END, ###")
    at.text_area(key="extra").set_value('{"presence_penalty": 0.5}')
    at.text_area(key="system").set_value("be brief")
    at.toggle(key="with_retry").set_value(False)
    at.toggle(key="with_cache").set_value(True)
    at.run()
    chips = shown(at)
    for said in ("max_tokens 9", "seed 4", "no retries", "cache 24.0 h", "system message", "presence_penalty 0.5"):
        assert said in chips, said
    assert "At worst: sim/steady 1 requests" in chips
    run(at)
    config = lab.texts(lab.calls()["call_id"][0])["config"]
    assert config["params"] == {
        **{"max_tokens": 9, "seed": 4, "top_p": 0.5, "reasoning_effort": "low", "stop": ["END", "###"]},
        "presence_penalty": 0.5,
    }
    assert config["policy"]["retry"] is None
    assert config["policy"]["cache"]["ttl"] == 86_400


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("extra", "{nonsense", "other parameters: not JSON"),
        ("extra", "[1]", "other parameters: an object"),
        ("question_text", "  ", "the prompt is empty"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_sent(lab: Lab, key: str, value: str, said: str) -> None:
    at = page("compare.py", models=["sim/steady"])
    at.text_area(key=key).set_value(value)
    run(at)
    assert said in shown(at)
    assert lab.count() == 0


def test_a_schema_makes_a_value_with_its_checks(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    with Lab(lab.path, provider=lambda call: '{"city": "Paris"}') as json_lab:
        serve(json_lab, monkeypatch)
        at = page("compare.py", models=["m"], shape="JSON schema")
        at.text_area(key="schema_text").set_value(
            '{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}'
        )
        run(at)
        assert json.loads(at.json[0].value) == {"city": "Paris"}
        assert "✓ schema" in shown(at)
        assert "schema: city" in shown(at)


def test_fields_are_a_schema() -> None:
    rows = [
        {"field": "city", "type": "text", "required": True, "about": "which"},
        {"field": "people", "type": "whole number", "required": False, "about": ""},
        {"field": "", "type": "text", "required": True, "about": ""},
    ]
    schema, wrong = shape.of_fields(rows)
    assert wrong is None
    assert schema == {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "which"}, "people": {"type": "integer"}},
        "required": ["city"],
        "additionalProperties": False,
    }
    assert shape.of_fields([rows[0], rows[0]])[1] == "the schema: two fields have one name"
    assert shape.of_fields([{"field": float("nan"), "about": float("nan")}]) == (
        None,
        "the schema: give each field a name, or let the answer be text",
    )


def test_every_run_is_kept_and_opens_again_by_its_address(lab: Lab) -> None:
    at = page("compare.py", models=["one", "two"])
    at.text_area(key="question_text").set_value("hello")
    at.number_input(key="max_tokens").set_value(5)
    run(at)
    (kept,) = asks.listing(lab.ledger)
    assert kept.ask in at.query_params["ask"]
    assert len(kept.calls) == 2
    again = AppTest.from_file(at._script_path, default_timeout=60)
    again.query_params["ask"] = kept.ask
    again.run()
    assert not again.exception
    assert again.text_area(key="question_text").value == "hello"
    assert again.multiselect(key="models").value == ["one", "two"]
    assert again.number_input(key="max_tokens").value == 5
    for model in ("one", "two"):
        assert f"{model} says: hello" in shown(again)
    assert lab.count() == 2, "nothing is asked anew"
    again.text_input(key=f"ask-name-{kept.ask}").set_value("greeting").run()
    again.button(key="ask-pin").click().run()
    assert (asks.get(lab.ledger, kept.ask).name, asks.get(lab.ledger, kept.ask).pinned) == ("greeting", True)
    again.button(key="ask-again").click().run()
    assert not again.exception
    assert lab.count() == 4
    assert len(asks.listing(lab.ledger)) == 2


def test_an_address_of_nothing_is_said(lab: Lab) -> None:
    at = AppTest.from_file(page("compare.py")._script_path, default_timeout=60)
    at.query_params["ask"] = "nothing"
    at.run()
    assert not at.exception
    assert "nothing was asked under 'nothing'" in shown(at)


def test_a_conversation_goes_on(lab: Lab) -> None:
    at = page("compare.py", models=["one"])
    at.text_area(key="system").set_value("be kind")
    at.text_area(key="question_text").set_value("first")
    run(at)
    at.button(key="go-on-0").click().run()
    assert "The conversation so far: 2 messages, answered by one." in shown(at)
    assert at.text_area(key="question_text").value == ""
    at.text_area(key="question_text").set_value("second")
    run(at)
    said = lab.texts(lab.calls()["call_id"][0])["messages"]
    assert [(message["role"], message["content"]) for message in said] == [
        ("system", "be kind"),
        ("user", "first"),
        ("assistant", "one says: first"),
        ("user", "second"),
    ]


def test_a_call_is_asked_again_of_another_model_beside_its_answer(lab: Lab) -> None:
    call = lab.ask("what?", model="old", temperature=0.5).call_id
    at = AppTest.from_file(page("compare.py")._script_path, default_timeout=60)
    at.query_params["call"] = call
    at.query_params["again"] = "new"
    at.run()
    assert not at.exception
    assert "old says: what?" in shown(at)
    assert "new says: what?" in shown(at)
    assert lab.count() == 2
    assert lab.texts(lab.calls()["call_id"][0])["config"]["params"] == {"temperature": 0.5}


def test_a_template_is_edited_and_saved_as_a_new_version(lab: Lab) -> None:
    lab.save(Prompt("sort", "Which? {{ticket}}"))
    at = page("compare.py", models=["one"], saved=["sort v1"])
    box = next(area for area in at.text_area if area.value == "Which? {{ticket}}")
    box.set_value("Which label? {{ticket}} {{more}}").run()
    assert not at.exception
    assert "Which<ins> label</ins>? {{ticket}}<ins> {{more}}</ins>" in shown(at)
    assert {area.label for area in at.text_area} >= {"ticket", "more"}
    at.button(key="template-save").click().run()
    assert not at.exception
    assert at.multiselect(key="saved").value == ["sort v2"]
    assert lab.prompt("sort").variables == ("ticket", "more")


def test_the_best_of_each_figure_is_marked() -> None:
    rows = [
        {"ttft": 0.5, "elapsed": 2.0, "latency": 2.0, "cost": 0.1, "output_tokens": 30, "status": "ok", "cached": 0},
        {"ttft": 0.2, "elapsed": 3.0, "latency": 3.0, "cost": 0.1, "output_tokens": 30, "status": "ok", "cached": 0},
    ]
    lanes = [Lane("m", str(place), row=row, said="x") for place, row in enumerate(rows)]
    assert cards.bests(lanes) == {"First token": {"1"}, "Total": {"0"}, "Tokens a second": {"0"}}


def test_five_hundred_cases_and_six_columns_are_a_page_of_less_than_two_megabytes() -> None:
    text = "<b>answer</b> " * 400
    answer = grid.Answer(call_id="c" * 22, text=text, status="ok", score=0.5, seconds=1.0, cost=0.001, tokens=5)
    columns = tuple(("prompt", 1, f"provider/model-{number}") for number in range(6))
    rows = tuple(
        grid.Row(case_id=f"case{n}", asked="ask " * 500, expected=text, answers=(answer,) * 6, place=n)
        for n in range(500)
    )
    shown_ = grid.Grid("e", columns, rows, True)
    page_ = shown_.ordered("disagreement")[: drawn.PAGE]
    for more in ({}, {"to_expected": True}, {"to_column": 2}):
        sent = json.dumps(drawn.data(shown_, page_, {}, **more))
        assert len(sent) < 2_000_000


def test_the_grid_says_what_an_answer_was_worth_without_colour() -> None:
    def sent(**more: object) -> dict:
        fields = {"call_id": "c", "text": "x", "status": "ok", **more}
        row = grid.Row(case_id="1", asked="a", answers=(grid.Answer(**fields),))
        return drawn.data(grid.Grid("e", (("p", 1, "m"),), (row,)), [row], {})["rows"][0]["answers"][0]

    assert sent(score=1.0)["sign"] == "✓"
    assert sent(score=0.5)["sign"] == "◐"
    assert sent(score=0.0)["sign"] == "✗"
    assert sent()["sign"] == "–"
    failed = sent(status="failed", kind="timeout", error="too slow", score=0.0)
    assert (failed["sign"], failed["why"], failed["level"]) == ("◔", "timeout: too slow", "failed")


def test_a_set_of_ones_own_is_offered_and_asked(lab: Lab) -> None:
    lab.add_case("mine", {"id": "1", "input": {"ticket": "one"}, "expected": "x"})
    lab.save(Prompt("sort", "Which? {{ticket}}"))
    at = page("compare.py", mode="Over a set")
    at.multiselect(key="grid_prompts").set_value(["sort v1"])
    at.multiselect(key="grid_models").set_value(["m"])
    at.selectbox(key="grid_set").set_value("mine")
    next(button for button in at.button if button.label == "Plan").click().run()
    assert not at.exception
    spec, plan = at.session_state["plan"]
    assert (plan.cells, spec.cases.name) == (1, "mine")


def test_a_failure_says_why_where_the_answer_would_be(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(call: object) -> str:
        raise errors.ProviderError("the <b>provider</b> is down")

    with Lab(lab.path, provider=fails) as failing:
        serve(failing, monkeypatch)
        at = run(page("compare.py", models=["m"]))
        assert '<div class="lab-kind">✗ provider</div>' in shown(at)
        assert "the &lt;b&gt;provider&lt;/b&gt; is down" in shown(at)
