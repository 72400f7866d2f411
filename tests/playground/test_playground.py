"""The pages as Streamlit runs them, without a browser."""

from __future__ import annotations

import ast
import functools
import re
import string
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
import streamlit as st
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from lab import Cache, Lab, Near, Policy, Prompt, errors, metrics, rehearsal
from lab.jobs.worker import Worker
from playground.front import access
from playground.parts import backend, drawing, escape
from tests import rows
from tests.servers import RawServer, answer

PAGES = Path(backend.__file__).parents[1] / "pages"


@pytest.fixture(scope="module", autouse=True)
def no_components() -> Iterator[None]:
    """Each run of a page would read the metadata of all packages that are installed, for components of theirs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", lambda: [])
        yield


@pytest.fixture(autouse=True)
def fresh_server() -> Iterator[None]:
    """Each test has a server of its own: nothing cached from another."""
    st.cache_resource.clear()
    st.cache_data.clear()
    yield
    for worker in _working:
        worker.close()
    _working.clear()
    if "lab" in _opened:
        _opened.pop("lab").close()
    st.cache_resource.clear()


_opened: dict[str, Lab] = {}
_working: list[Worker] = []


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The Lab behind the pages, answering from a function."""
    behind = _opened["lab"] = Lab(provider=lambda call: f"{call.model} says: {call.messages[-1]['content']}")
    serve(behind, monkeypatch)
    return behind


def serve(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the pages be those of a server with this Lab."""

    @functools.cache
    def worker(_lab: Lab) -> Future[Worker]:
        _working.append(lab.worker(concurrency=4))
        made: Future[Worker] = Future()
        made.set_result(_working[-1])
        return made

    monkeypatch.setattr(backend, "_open", lambda: lab)
    monkeypatch.setattr(backend, "_working", worker)


def page(name: str, **state: object) -> AppTest:
    at = AppTest.from_file(str(PAGES / name), default_timeout=60)
    for key, value in state.items():
        at.session_state[key] = value
    ran = at.run()
    assert not ran.exception
    return ran


def shown(at: AppTest) -> str:
    """All that the page says."""
    kinds = (at.text, at.caption, at.info, at.warning, at.error, at.get("html"), at.markdown, at.metric)
    told = "\n".join(str(getattr(element, "value", None) or element.proto.body) for kind in kinds for element in kind)
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", told)


def test_compare_starts_with_what_to_do_and_the_models_that_need_no_key(lab: Lab) -> None:
    at = page("compare.py")
    assert at.multiselect(key="models").value == ["local/smollm2", "sim/steady", "sim/heavy-tail"]
    assert "Pick two or more models and run" in shown(at)


def test_compare_runs_every_model_and_records_each(lab: Lab) -> None:
    at = page("compare.py")
    at.text_area(key="question_text").set_value("hello")
    at.button[0].click().run()
    assert not at.exception
    for model in ("local/smollm2", "sim/steady", "sim/heavy-tail"):
        assert f"{model} says: hello" in shown(at)
    assert lab.count(status="ok", tag="playground") == 3


def test_one_model_that_fails_leaves_the_others_alone(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one says why; the others answer."""
    with Lab(lab.path) as real:
        monkeypatch.setattr(backend, "_open", lambda: real)
        at = page("compare.py")
        at.multiselect(key="models").set_value(["sim/nothing", "local/smollm2"])
        at.button[0].click().run()
        assert not at.exception
        assert "Paris" in shown(at)
        assert "unsupported" in shown(at)
        assert "no model &#x27;sim/nothing&#x27;" in shown(at)


def test_an_empty_prompt_is_said_in_one_sentence(lab: Lab) -> None:
    at = page("compare.py")
    at.text_area(key="question_text").set_value("  ")
    at.button[0].click().run()
    assert "the prompt is empty: write something to send" in shown(at)
    assert lab.count() == 0


def test_parameters_and_a_system_message_are_sent(lab: Lab) -> None:
    at = page("compare.py")
    at.text_area(key="system").set_value("be brief")
    at.number_input(key="max_tokens").set_value(77)
    at.multiselect(key="models").set_value(["sim/steady"])
    at.button[0].click().run()
    texts = lab.texts(lab.calls()["call_id"][0])
    assert [message["role"] for message in texts["messages"]] == ["system", "user"]
    assert texts["config"]["params"] == {"max_tokens": 77}


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
    drawn = drawing.facts({"<b>": "<script>alert(1)</script>"}, why="<img src=x>")
    assert "<script>" not in drawn
    assert "<img" not in drawn


def test_a_call_whose_words_were_not_kept_says_so(lab: Lab) -> None:
    with Lab(lab.path, provider=lambda call: "a secret answer", keep="hashes") as quiet:
        call_id = quiet.ask("a secret question", model="m").call_id
    at = AppTest.from_file(str(PAGES / "calls.py"), default_timeout=60)
    at.query_params["call"] = call_id
    at.run()
    assert not at.exception
    assert any("were not kept" in caption.value for caption in at.caption)
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
    tables = "".join(table.value.to_csv() for table in at.dataframe)
    told = f"{shown(at)}{tables}{[json.value for json in at.json]}{[caption.value for caption in at.caption]}"
    assert "Incorrect API key provided: [redacted]" in told
    assert secret not in told


READING = ("tails.py", "cost.py", "cache.py", "failures.py", "calls.py", "prompts.py", "evals.py", "health.py")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("tails.py", "No answer with a time"),
        ("cost.py", "No call yet"),
        ("cache.py", "Nothing came out of the cache yet"),
        ("failures.py", "No call yet, and so no failure"),
        ("prompts.py", "No prompt has a version yet"),
        ("evals.py", "None yet: run one over a set"),
        ("health.py", "Nothing to go by: no calls"),
    ],
)
def test_an_empty_ledger_says_what_to_do(lab: Lab, name: str, sentence: str) -> None:
    at = page(name)
    assert sentence in shown(at) + "".join(badge.proto.body for badge in at.get("badge")) + str(at.main)


@pytest.fixture
def month(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A month of traffic behind the pages."""
    rows.month(tmp_path / "month.db", 3000)
    with Lab(tmp_path / "month.db") as opened:
        serve(opened, monkeypatch)
        yield opened


@pytest.mark.parametrize("name", READING)
def test_each_page_reads_a_month_of_traffic(month: Lab, name: str) -> None:
    page(name)


@pytest.mark.parametrize("name", READING)
def test_each_page_is_narrowed_to_nothing_without_a_word_of_python(month: Lab, name: str) -> None:
    page(name, model="nobody's", user="nobody", span="15 min")


def test_pages_say_what_notebooks_would(month: Lab) -> None:
    """The figures on a page are those of `lab.metrics`."""
    at = page("cost.py")
    spent = metrics.waste(month.ledger)["cost"].sum()
    assert at.metric[0].value == metrics.money(spent)
    left = metrics.left_out(month.ledger)
    assert f"{left['answers']:,} answers; left out: {left['saturated']} timed by a client that was too busy" in shown(
        page("tails.py")
    )
    narrowed = page("tails.py", model="groq/llama")
    assert f"{metrics.left_out(month.ledger, model='groq/llama')['answers']:,} answers" in shown(narrowed)


def test_calls_take_the_filters_that_all_pages_share(month: Lab) -> None:
    at = page("calls.py", model="groq/llama", tag="de")
    assert f"of {month.count(model='groq/llama', tag='de'):,} calls" in shown(at)


def test_a_person_compares_two_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the page made for it: the oldest pair, both requests and answers; what is said counts."""
    near = Near(false_hits=0.05, embed=lambda _text: [1.0])
    desk = Prompt("desk", "{{question}}")
    with Lab(
        tmp_path / "near.db", provider=lambda call: f"Long.\nTo {call.call_id}", policy=Policy(cache=Cache(near=near))
    ) as lab:
        for word in ("my", "the"):
            lab.ask(desk.fill(question=f"How do I reset {word} password?"), model="m")
        end = time.monotonic() + 20
        while not lab.cache().open:
            assert time.monotonic() < end
            time.sleep(0.02)
        serve(lab, monkeypatch)
        at = page("cache.py")
        assert "How do I reset my password?" in shown(at)
        assert "How do I reset the password?" in shown(at)
        click(at, "Not the same")
        assert "Nothing waits" in "".join(caption.value for caption in at.caption)
        assert lab.cache().open == 0
        assert lab.ledger.rows("SELECT wrong, how FROM cache_labels") == [(1, "person")]
        assert "How do I reset my password?" in shown(page("cache.py")), "it was wrong, and is shown as such"


def test_cost_says_what_the_cache_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rehearsal.write(tmp_path / "month.db", 3000, hits=rehearsal.Hits())
    with Lab(tmp_path / "month.db") as lab:
        serve(lab, monkeypatch)
        at = page("cost.py")
        saved = lab.cache()
        assert next(tile.value for tile in at.metric if tile.label == "Saved") == metrics.money(saved.usd)
        assert saved.exact > saved.near > 0
        false = next(tile for tile in at.metric if tile.label == "Near hits that were wrong")
        assert false.delta == f"{saved.false_hits.low:.1%} to {saved.false_hits.high:.1%} (95 %)"


@pytest.mark.parametrize(("name", "column"), [("health.py", "p50"), ("cost.py", "cost")])
def test_tables_that_say_numbers_in_words_are_sorted_as_numbers(name: str, column: str, month: Lab) -> None:
    """What the browser sorts is the number beneath: 687 ms stands before 1.76 s, and what isn't known comes last."""
    tables = [table.value for table in page(name, span="30 d").dataframe]
    table = next(table for table in tables if column in table)
    assert table[column].dtype == float
    assert table[column].notna().all()


def test_an_experiment_is_planned_then_run_and_found_again(lab: Lab) -> None:
    """Nothing is asked before Start; another tab finds it; its table is shown."""
    lab.save(Prompt("sort", "Which label fits? {{ticket}}"))
    at = page("compare.py", mode="Over a set")
    at.multiselect(key="grid_prompts").set_value(["sort v1"])
    at.multiselect(key="grid_models").set_value(["m"])
    at.selectbox(key="grid_set").set_value("triage")
    at.number_input(key="grid_budget").set_value(0.0)  # the price of m is not known
    click(at, "Plan")
    assert "120 of 120 cells" in shown(at)
    assert lab.count() == 0
    click(at, "Start")
    assert not at.exception
    name = lab.jobs()["experiment"][0]
    end = time.monotonic() + 30
    while lab.jobs()["state"][0] != "done":
        assert time.monotonic() < end, lab.jobs().to_string()
        time.sleep(0.05)
    other = page("compare.py", mode="Over a set", grid_shown=name)
    assert any(
        escape.markdown(name) in bar.proto.text and "120 of 120" in bar.proto.text for bar in other.get("progress")
    )
    assert other.dataframe[0].value["done"].tolist() == [120]
    assert lab.count() == 120


def test_an_experiment_in_batches_is_planned_run_and_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The price in the plan is the batch's; each call's page says which batch its answer came out of."""
    with Lab(tmp_path / "other.db") as real:
        serve(real, monkeypatch)
        at = page("compare.py", mode="Over a set")
        at.text_area(key="grid_text").set_value("Which label? {{ticket}}")
        at.multiselect(key="grid_models").set_value(["sim/sure"])
        at.selectbox(key="grid_set").set_value("triage")
        at.number_input(key="grid_limit").set_value(200)
        click(at, "Plan")
        usual = at.session_state["plan"][1]
        at.toggle(key="grid_batch").set_value(True)
        click(at, "Plan")
        spec, plan = at.session_state["plan"]
        assert spec.batch
        assert plan.usd == pytest.approx(usual.usd / 2)
        assert "through the batch service, within 24 h" in shown(at)
        assert not at.exception
        click(at, "Start")
        end = time.monotonic() + 60
        while real.jobs()["state"].tolist() != ["done"]:
            assert time.monotonic() < end, real.jobs().to_string()
            time.sleep(0.05)
        other = page("compare.py", mode="Over a set")
        assert other.dataframe[-1].value["state"].tolist() == ["done"]
        assert other.dataframe[-1].value["done"].tolist() == [120], "sorted as the number that it says"
        opened = AppTest.from_file(str(PAGES / "calls.py"), default_timeout=60)
        opened.query_params["call"] = real.calls()["call_id"][0]
        opened.run()
        assert "(openai, sure)" in " ".join(str(block.proto.body) for block in opened.get("html"))
        assert real.metrics()["batched"].tolist() == [120]


def click(at: AppTest, label: str) -> None:
    next(button for button in at.button if button.label == label).click().run()


def test_a_plan_over_the_budget_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Lab(tmp_path / "other.db") as real:
        serve(real, monkeypatch)
        at = page("compare.py", mode="Over a set")
        at.text_area(key="grid_text").set_value("Which label? {{ticket}}")
        at.multiselect(key="grid_models").set_value(["sim/large"])
        at.number_input(key="grid_budget").set_value(0.0001)
        click(at, "Plan")
        assert "over the budget" in shown(at)


def test_ratings_are_kept_and_the_page_does_not_say_whose_they_are(lab: Lab) -> None:
    lab.compare("say {{n}}", ["model-one", "model-two"], [{"id": "a", "input": "1"}], name="pair", progress=None)
    at = page("compare.py", mode="Rate blind")
    assert "0 of 1 pairs rated" in at.get("progress")[0].proto.text
    texts = "".join(text.value for text in at.text) + "".join(caption.value for caption in at.caption)
    assert "model-one" not in texts.replace("model-one says: say 1", "")
    click(at, "Both are good")
    assert lab.ratings("pair")["both"].tolist() == [1]


def test_a_policy_is_tried_on_a_ledger_of_its_own(lab: Lab) -> None:
    """Made-up failures are in no figure."""
    at = page("failures.py")
    at.slider(key="many").set_value(2)
    at.slider(key="share").set_value(1.0)
    at.slider(key="attempts").set_value(1)
    at.checkbox(key="fallback").set_value(True)
    click(at, "Run")
    assert not at.exception
    assert "2 of 2 calls succeeded, with 4 requests." in shown(at)
    assert lab.count() == 0


def test_a_label_is_moved(lab: Lab) -> None:
    lab.save(Prompt("sort", "Which? {{ticket}}"))
    lab.save(Prompt("sort", "Which label? {{ticket}}"))
    at = page("prompts.py")
    assert "Which<ins> label</ins>? {{ticket}}" in shown(at)
    at.selectbox(key="version").set_value(1)
    click(at, "Move")
    assert lab.prompts("sort").set_index("version").loc[1, "labels"] == ["production"]


@pytest.mark.parametrize(
    ("address", "alone"),
    [
        *[
            ("127.0.0.1", True),
            ("::1", True),
            ("localhost", True),
            ("127.0.0.2", True),
            ("0.0.0.0", False),
            ("", False),
        ],
        *[("::", False), ("192.168.1.5", False), ("example.org", False), ("127.0.0.1.example.org", False)],
    ],
)
def test_what_is_this_machine_alone(address: str, alone: bool) -> None:
    assert access.local(address) is alone


def test_wrong_passwords_are_counted_over_all_sessions() -> None:
    """Five cost nothing; each further one twice as much as the one before, and meanwhile none is looked at."""
    counted = access.Guesses()
    for second in range(access.FREE):
        assert access.refusal(counted, f"wrong {second}", "right", 0.0) == "That is not the password."
    assert access.refusal(counted, "wrong", "right", 0.0) == "That is not the password."
    assert access.refusal(counted, "right", "right", 1.0) == "Too many wrong passwords. Try again in 1 s."
    moment, looks = 2.0, 0
    while moment < 3600:
        looks += access.refusal(counted, "wrong", "right", moment) == "That is not the password."
        moment += 0.5
    assert looks < 25, "an hour of guessing, twice a second"
    assert access.refusal(counted, "right", "right", moment + access.LONGEST) is None
    assert access.refusal(counted, "wrong", "right", moment + access.LONGEST) == "That is not the password."


def test_what_is_said_is_never_markup() -> None:
    """Whatever a place that reads Markdown is told goes through `escape.markdown`, or is a number or a fixed text."""
    told = {"info", "warning", "error", "success", "caption", "toast", "progress", "markdown", "badge", "subheader"}
    told |= {"button", "popover", "expander", "toggle", "dialog"}
    for path in [*PAGES.glob("*.py"), *PAGES.with_name("parts").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in told):
                continue
            texts = [*node.args[:1], *(word.value for word in node.keywords if word.arg in ("text", "help"))]
            for text in texts:
                loose = [
                    part.value for part in ast.walk(text) if isinstance(part, ast.FormattedValue) and not _safe(part)
                ]
                assert loose == [], f"{path.name}:{node.lineno}: {ast.unparse(text)}"
                assert not (isinstance(text, ast.Call) and ast.unparse(text.func) == "str"), (
                    f"{path.name}:{node.lineno}"
                )


def _safe(value: ast.FormattedValue) -> bool:
    """Formatted as a number, escaped, or one of the page's own words."""
    source = ast.unparse(value.value)
    own = (
        "span",
        "now",
        "MOST",
        "version",
        "EVERY",
        "LONG",
        "choice",
        "'baseline'",
        "len(",
        "share",
        "good",
        "requests",
    )
    return value.format_spec is not None or source.startswith(("escape.markdown(", "filters.words()", *own))


@pytest.mark.parametrize("text", ["![i](https://x)", ":red[x] $x$ `c`", "# head", "<b>", "www.example.org", "a\nb\x00"])
def test_what_is_escaped_has_no_markup_left(text: str) -> None:
    shown_ = escape.markdown(text)
    assert not set(re.sub(r"\\.", "", shown_)) & set(string.punctuation)
    assert "\n" not in shown_


def test_two_long_messages_of_one_role_are_both_there(lab: Lab) -> None:
    long = [{"role": "user", "content": "a" * 30_000}, {"role": "assistant", "content": "b" * 30_000}]
    reply = lab.ask([*long, {"role": "user", "content": "c" * 30_000}], model="m")
    at = AppTest.from_file(str(PAGES / "calls.py"), default_timeout=60)
    at.query_params["call"] = reply.call_id
    at.run()
    assert not at.exception
    assert "The first 20,000 of 30,000 characters" in shown(at)


def test_an_odd_version_in_the_address_is_no_error(month: Lab) -> None:
    for name in READING:
        page(name, prompt="a@99999999999999999999")
    for prompt in ("a@²", "@", "a@-1"):
        page(READING[0], prompt=prompt)


def test_a_page_that_fails_is_a_sentence_and_on_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Not a traceback, and no offer to send it anywhere; what Streamlit itself raises goes on up."""

    def script() -> None:
        from types import SimpleNamespace

        from playground.front import shell

        def fail() -> None:
            raise RuntimeError("a planted mistake")

        shell.run(SimpleNamespace(title="Broken", run=fail))

    at = AppTest.from_function(script, default_timeout=60).run()
    assert not at.exception
    assert "This page met an error of its own" in at.error[0].value
    assert "planted" not in at.error[0].value
    assert "a planted mistake" in caplog.text


async def asks(topic: str) -> str:
    """A flow's function: one call, and one other step."""
    await _opened["lab"].step(str.upper, topic)
    return (await _opened["lab"].aask(topic, model="m")).text


async def breaks(topic: str) -> str:
    """One that fails."""
    await _opened["lab"].aask(topic, model="m")
    raise ValueError("<b>not</b> *there*")


def test_jobs_are_listed_opened_stopped_and_gone_on_with(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one it says what to do; names, results and messages are text alone."""
    assert "lab worker my_flows" in shown(page("jobs.py"))
    good, bad = (lab.flow(function) for function in (asks, breaks))

    done = lab.submit(good, "*tides*", id="order_7", user="ann")
    failed = lab.submit(bad, "sand", lane="batch")
    assert done.result(30) == "m says: *tides*"
    with pytest.raises(ValueError, match="not"):
        failed.result(30)
    at = page("jobs.py")
    table = at.dataframe[0].value
    assert table["job"].tolist() == [failed.id], "what is done is not what is looked for"
    assert table["message"].tolist() == ["<b>not</b> *there*"]
    opened = AppTest.from_file(str(PAGES / "jobs.py"), default_timeout=60)
    opened.query_params["job"] = "order_7"
    opened.run()
    assert not opened.exception
    assert "Job order_7" in opened.subheader[0].value.replace("\\", "")
    assert '"m says: *tides*"' in shown(opened)
    assert "1 call · 1 other step" in shown(opened)
    click(opened, "Run again")
    assert opened.query_params["job"] != ["order_7"]
    assert len(lab.jobs()) == 3
    failing = AppTest.from_file(str(PAGES / "jobs.py"), default_timeout=60)
    failing.query_params["job"] = failed.id
    failing.run()
    click(failing, "Go on")
    with pytest.raises(ValueError, match="not"):
        lab.job(failed.id).result(30)
    assert lab.job(failed.id).status.facts["again"] > lab.job(failed.id).status.started_at
    nobody = AppTest.from_file(str(PAGES / "jobs.py"), default_timeout=60)
    nobody.query_params["job"] = "none"
    nobody.run()
    assert "No job none (any more)." in shown(nobody)


def test_jobs_whose_database_is_away_are_said_to_be(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_JOBS", "postgresql://nobody:planted@127.0.0.1:9/none")
    monkeypatch.setattr(backend, "work", lambda: None)
    for name in ("jobs.py", "health.py"):
        at = page(name)
        assert "can't be reached (127.0.0.1:9/none)" in shown(at)
        assert "planted" not in shown(at)
