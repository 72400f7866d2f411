"""The pages as Streamlit runs them, without a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from lab import Lab, errors
from playground import parts
from tests.servers import RawServer, answer

PAGES = Path(parts.__file__).parent


@pytest.fixture(autouse=True)
def fresh_server() -> Iterator[None]:
    """Each test has a server of its own: nothing cached from another."""
    st.cache_resource.clear()
    st.cache_data.clear()
    yield
    if "lab" in _opened:
        _opened.pop("lab").close()
    st.cache_resource.clear()


_opened: dict[str, Lab] = {}


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The Lab behind the pages, answering from a function."""
    made = _opened["lab"] = Lab(provider=lambda call: f"{call.model} says: {call.messages[-1]['content']}")
    monkeypatch.setattr(parts, "_open", lambda: made)
    return made


def page(name: str) -> AppTest:
    ran = AppTest.from_file(str(PAGES / name), default_timeout=60).run()
    assert not ran.exception
    return ran


def shown(at: AppTest) -> str:
    """All that the page says."""
    kinds = (at.text, at.caption, at.info, at.warning, at.error, at.get("html"))
    return "\n".join(str(getattr(one, "value", None) or one.proto.body) for kind in kinds for one in kind)


def test_compare_starts_with_what_to_do_and_the_models_that_need_no_key(lab: Lab) -> None:
    at = page("compare.py")
    assert at.multiselect(key="models").value == ["local/smollm2", "sim/steady", "sim/heavy-tail"]
    assert "Pick two or more models and run" in shown(at)


def test_compare_runs_every_model_and_records_each(lab: Lab) -> None:
    at = page("compare.py")
    at.text_area(key="prompt").set_value("hello")
    at.button[0].click().run()
    assert not at.exception
    for model in ("local/smollm2", "sim/steady", "sim/heavy-tail"):
        assert f"{model} says: hello" in shown(at)
    assert lab.count(status="ok", tag="playground") == 3


def test_one_model_that_fails_leaves_the_others_alone(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one says why; the others answer."""
    with Lab(lab.path) as real:
        monkeypatch.setattr(parts, "_open", lambda: real)
        at = page("compare.py")
        at.multiselect(key="models").set_value(["sim/nothing", "local/smollm2"])
        at.button[0].click().run()
        assert not at.exception
        assert "Paris" in shown(at)
        assert "unsupported" in shown(at)
        assert "no model &#x27;sim/nothing&#x27;" in shown(at)


def test_an_empty_prompt_is_said_in_one_sentence(lab: Lab) -> None:
    at = page("compare.py")
    at.text_area(key="prompt").set_value("  ")
    at.button[0].click().run()
    assert "the prompt is empty: write something to send" in shown(at)
    assert lab.count() == 0


def test_parameters_and_a_system_message_are_sent(lab: Lab) -> None:
    at = page("compare.py")
    at.text_area(key="system").set_value("be brief")
    at.number_input(key="max_tokens").set_value(77)
    at.multiselect(key="models").set_value(["sim/steady"])
    at.button[0].click().run()
    said = lab.texts(lab.calls()["call_id"][0])
    assert [one["role"] for one in said["messages"]] == ["system", "user"]
    assert said["config"]["params"] == {"max_tokens": 77}


def test_calls_is_empty_at_first_and_says_so(lab: Lab) -> None:
    assert "No calls yet. Run a prompt on the Compare page" in shown(page("calls.py"))


def test_calls_are_listed_searched_and_paged(lab: Lab) -> None:
    for number in range(60):
        lab.ask(f"question {number}", model="m")
    at = page("calls.py")
    assert "1 to 50 of 60 calls" in shown(at)
    assert at.dataframe[0].value["prompt"].iloc[0] == "question 59"
    at.number_input(key="page").set_value(2).run()
    assert "51 to 60 of 60 calls" in shown(at)
    at.text_input(key="search").set_value("question 42").run()
    assert not at.exception
    assert "1 to 1 of 1 calls" in shown(at)
    at.text_input(key="search").set_value("nothing like it").run()
    assert "No call matches" in shown(at)


def test_a_call_opens_to_its_attempts(lab: Lab) -> None:
    reply = lab.ask("hello", model="m")
    at = AppTest.from_file(str(PAGES / "calls.py"), default_timeout=60)
    at.query_params["call"] = reply.call_id
    at.run()
    assert not at.exception
    assert at.dataframe[1].value["role"].tolist() == ["first"]
    assert "m says: hello" in shown(at)
    at.query_params["call"] = "unknown"
    at.run()
    assert "No call unknown in this ledger" in shown(at)


def test_a_ledger_that_can_not_be_used_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bad.db").write_bytes(b"never a database" * 100)
    monkeypatch.setenv("LAB_DB", str(tmp_path / "bad.db"))
    for name in ("compare.py", "calls.py"):
        assert "can't be used as a ledger: file is not a database" in shown(page(name))


def test_figures_are_escaped() -> None:
    drawn = parts.facts({"<b>": "<script>alert(1)</script>"}, why="<img src=x>")
    assert "<script>" not in drawn
    assert "<img" not in drawn


def test_a_call_whose_words_were_not_kept_says_so(lab: Lab) -> None:
    with Lab(lab.path, provider=lambda call: "a secret answer", keep="hashes") as quiet:
        call_id = quiet.ask("a secret question", model="m").call_id
    at = AppTest.from_file(str(PAGES / "calls.py"), default_timeout=60)
    at.query_params["call"] = call_id
    at.run()
    assert not at.exception
    assert any("were not kept" in one.value for one in at.caption)
    assert "secret" not in shown(at)


def test_a_secret_that_a_provider_echoes_is_on_no_page(lab: Lab, server: RawServer) -> None:
    """Neither in the list nor in the opened call: text, tables, configuration."""
    secret = "planted-secret-5f1cd2c3"
    server.plays(answer({"error": {"message": f"Incorrect API key provided: {secret}"}}, 401))
    with Lab(lab.path) as real, pytest.raises(errors.AuthError):
        real.ask(f"is {secret} right?", model="openai/m", api_base=server.url, api_key=secret)
    at = AppTest.from_file(str(PAGES / "calls.py"), default_timeout=60)
    at.query_params["call"] = lab.calls()["call_id"][0]
    at.run()
    assert not at.exception
    tables = "".join(one.value.to_csv() for one in at.dataframe)
    told = f"{shown(at)}{tables}{[one.value for one in at.json]}{[one.value for one in at.caption]}"
    assert "Incorrect API key provided: [redacted]" in told
    assert secret not in told
