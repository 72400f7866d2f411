"""What is written of a call's words: no secret, nothing the user's redaction removes, and no more than was asked."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest

from lab import Budget, Lab, Policy, Retry, errors, redact
from lab.ledger.file import Ledger
from lab.ledger.queries import texts
from tests.servers import DONE, END, STREAM, RawServer, answer, chunk, completion

SECRET = "planted-secret-5f1cd2c3b4a59687"
EMAIL = re.compile(r"[\w.]+@[\w.]+")


def _mask(text: str) -> str:
    return EMAIL.sub("[mail]", text)


def _bytes(lab: Lab) -> bytes:
    """Everything on disk while the ledger is open: the file, its log and its index."""
    lab._ledger.flush()
    files = list(lab.path.parent.glob(f"{lab.path.name}*"))
    assert any(file.name.endswith("-wal") for file in files)
    return b"".join(file.read_bytes() for file in files)


def test_no_secret_reaches_the_disk_a_log_or_a_repr(
    lab: Lab, server: RawServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As a parameter, a header, in the environment, in a prompt, and echoed in answers, streams and errors."""
    caplog.set_level(logging.DEBUG)
    in_env, in_header = f"env-{SECRET}", f"header-{SECRET}"
    monkeypatch.setenv("SOME_API_KEY", in_env)
    echo = f"you sent {SECRET} and {in_env} and {in_header}"
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": f'{{"k": "{SECRET}"}}'}}
    server.plays(answer(completion(echo, tool_calls=[call])))
    server.plays(STREAM, chunk(echo), chunk(finish="stop"), DONE, END)
    server.plays(STREAM, chunk(echo), END)
    server.plays(answer({"error": {"message": echo}}, 401))
    server.plays(answer(completion(None, refusal=echo)))
    where = {
        "model": "openai/served",
        "api_base": server.url,
        "api_key": SECRET,
        "extra_headers": {"authorization-2": f"Bearer {in_header}"},
    }
    prompt, shown = f"my keys are {SECRET}, {in_env}", []
    assert SECRET in lab.ask(prompt, **where).text, "the caller gets the answer as it came"
    assert SECRET in "".join(lab.stream(prompt, **where))
    for ask in (
        lambda: list(lab.stream(prompt, **where)),
        lambda: lab.ask(prompt, **where),
        lambda: lab.ask(prompt, **where),
    ):
        with pytest.raises(errors.LabError) as failure:
            ask()
        shown.append(f"{failure.value}{failure.value!r}{failure.value.body}")
    shown += [repr(lab), lab.calls().to_csv(), lab.attempts().to_csv(), caplog.text]
    assert SECRET.encode() not in _bytes(lab)
    assert SECRET not in "".join(shown)
    assert len(lab.calls()) == 5
    assert "[redacted]" in lab.calls()["prompt"][0]


def test_the_users_redaction_comes_before_whatever_is_written(tmp_path: Path, server: RawServer) -> None:
    server.plays(answer(completion("write to ann@example.org")))
    server.plays(answer({"error": {"message": "no such user: ann@example.org"}}, 400))
    where = {"model": "openai/served", "api_base": server.url, "api_key": "k-123456789"}
    parts = [{"type": "text", "text": "who is ann@example.org?"}]
    more = {"user": "ann@example.org", "tags": ["for ann@example.org"], "stop": ["ann@example.org"]}
    with Lab(tmp_path / "lab.db", redact=_mask, policy=Policy(retry=None)) as lab:
        assert lab.ask([{"role": "user", "content": parts}], **where, **more).text == "write to ann@example.org"
        with pytest.raises(errors.InvalidRequestError, match="ann@example"):
            lab.ask("who is ann@example.org?", **where, **more)
        assert b"ann@example" not in _bytes(lab)
        row = lab.calls().iloc[1]
        assert (row["prompt"], row["answer"]) == ("who is [mail]?", "write to [mail]")
        assert (row["user"], row["tags"]) == ("[mail]", ["for [mail]"])


def test_a_budget_per_user_counts_what_was_written(tmp_path: Path) -> None:
    """Or a second Lab on the same ledger would not know what the user has spent."""
    policy = Policy(budget=Budget(usd=0.00008, per="user"), retry=None)
    with Lab(tmp_path / "lab.db", redact=_mask, policy=policy) as lab:
        lab.ask("hi", model="sim/instant", max_tokens=100, user="ann@example.org")
    with Lab(tmp_path / "lab.db", redact=_mask, policy=policy) as lab:
        with pytest.raises(errors.BudgetError):
            lab.ask("hi", model="sim/instant", max_tokens=100, user="ann@example.org")
        assert lab.ask("hi", model="sim/instant", max_tokens=100, user="bob").text


@pytest.mark.parametrize("broken", [lambda text: 1 / 0, lambda text: None])
def test_what_a_redaction_fails_on_is_not_written(tmp_path: Path, broken: object) -> None:
    with Lab(tmp_path / "lab.db", provider=lambda call: "the answer", redact=broken) as lab:
        assert lab.ask("the question", model="m").text == "the answer"
        row = lab.calls().iloc[0]
        assert row["prompt"].startswith("[not kept: the redaction")
        assert row["answer"].startswith("[not kept: the redaction")
        assert b"the question" not in _bytes(lab)


def test_hashes_and_sizes_only_and_failures_always(tmp_path: Path) -> None:
    def provider(call: object) -> str:
        if "fail" in str(call.messages):
            raise errors.ProviderError("broken")
        return "the long answer"

    with Lab(tmp_path / "lab.db", provider=provider, keep="hashes", policy=Policy(retry=None)) as lab:
        kept = lab.ask("the question", model="m").call_id
        with pytest.raises(errors.ProviderError) as failure:
            lab.ask("please fail", model="m")
        assert b"the question" not in _bytes(lab)
        assert b"the long answer" not in _bytes(lab)
        texts = lab.texts(kept)
        assert (texts["kept"], texts["messages"], texts["answer"]) == (False, [], None)
        assert [message["characters"] for message in texts["digest"]["messages"]] == [12]
        assert texts["digest"]["answer"]["characters"] == 15
        assert lab.texts(failure.value.call_id)["prompt"] == "please fail"
        assert [call for call in lab.calls(search="please")["call_id"]] == [failure.value.call_id]


def test_a_share_is_kept(tmp_path: Path) -> None:
    with Lab(tmp_path / "lab.db", provider=lambda call: "yes", keep=0.3) as lab:
        for number in range(200):
            lab.ask(f"question {number}", model="m")
        kept = lab.calls()["answer"].notna().sum()
        assert 30 <= kept <= 95


def test_the_answer_under_a_key_is_kept_to_be_given_again(tmp_path: Path) -> None:
    with Lab(tmp_path / "lab.db", provider=lambda call: "yes", keep="hashes") as lab:
        first = lab.ask("the question", model="m", key="k")
        again = lab.ask("the question", model="m", key="k")
        assert (again.text, again.cached, first.cached) == ("yes", True, False)
        assert b"the question" not in _bytes(lab)


@pytest.mark.parametrize("keep", [-0.1, 1.1, "some", None, True])
def test_what_is_no_rule_is_refused(tmp_path: Path, keep: object) -> None:
    with pytest.raises(ValueError, match="'all', 'hashes', or the share"):
        Lab(tmp_path / "lab.db", keep=keep)
    with pytest.raises(TypeError, match="a function of a text"):
        Lab(tmp_path / "lab.db", redact="x")


def test_a_ledger_of_the_oldest_schema_is_upgraded(tmp_path: Path) -> None:
    """Rows written before words could be left out were kept whole."""
    import sqlite3

    from sqlite_utils import Database

    from lab.ledger.opening import migrations

    db = Database(sqlite3.connect(tmp_path / "old.db"))
    migrations().apply(db, stop_before="m002_texts_kept")
    columns = "call_id, started_at, status, model, streamed, lane"
    db.execute(f"INSERT INTO calls ({columns}) VALUES ('c1', 1.0, 'ok', 'm', 0, 'interactive')")
    db.execute("INSERT INTO texts (id, messages, prompt, answer, done) VALUES (1, '[]', 'hi', 'yes', 1)")
    db.conn.commit()
    db.close()
    ledger = Ledger(tmp_path / "old.db")
    assert texts(ledger, "c1")["kept"] is True
    assert texts(ledger, "c1")["answer"] == "yes"
    ledger.close()


def test_a_failed_attempt_of_a_call_that_succeeds_keeps_no_words(tmp_path: Path, server: RawServer) -> None:
    """Nor a picture of them in what the provider sent; a call that fails keeps them all."""
    server.plays(answer(b'{"content": "the patient is Alice'))
    server.plays(answer(completion("ok")))
    server.plays(answer(b'{"content": "the patient is Bob'))
    policy = Policy(retry=Retry(attempts=2, initial=0.0))
    where = {"model": "openai/m", "api_base": server.url, "api_key": "k-123456789"}
    with Lab(tmp_path / "lab.db", keep="hashes", policy=policy) as lab:
        assert lab.ask("hi", **where).attempts == 2
        assert b"Alice" not in _bytes(lab)
        with pytest.raises(errors.MalformedError) as failure:
            lab.ask("hi", **where)
        assert lab.attempts(failure.value.call_id)["body"].str.contains("Bob").all()


def test_what_json_hides_in_escapes_is_redacted(tmp_path: Path, server: RawServer) -> None:
    arguments = '{"name": "M\\u00fcller", "n": 1}'
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": arguments}}
    server.plays(answer(completion(None, "tool_calls", tool_calls=[call])))
    server.plays(answer({"error": {"message": "no Müller here"}}))
    where = {"model": "openai/m", "api_base": server.url, "api_key": "k-123456789"}
    with Lab(
        tmp_path / "lab.db", redact=lambda text: text.replace("Müller", "[name]"), policy=Policy(retry=None)
    ) as lab:
        lab.ask("hi", **where)
        with pytest.raises(errors.ProviderError):
            lab.ask("hi", **where)
        for hidden in ("Müller", "M\\u00fcller", "M\\\\u00fcller"):
            assert hidden.encode() not in _bytes(lab)


def test_a_key_across_the_end_of_a_message_leaves_no_half(lab: Lab, server: RawServer) -> None:
    secret = "Zq9k7Xwk7Xwk7Xwk7Xwk7Xwk7Xwk7Xwk"
    where = {"model": "openai/m", "api_base": server.url, "api_key": secret, "policy": Policy(retry=None, breaker=None)}
    for lead in range(255, 300, 6):
        error = {"error": {"message": f"{'x ' * (lead // 2)}{secret}"}}
        server.scripts = [[answer(error)]]
        with pytest.raises(errors.ProviderError) as plain:
            lab.ask("hi", **where)
        server.scripts = [[STREAM, b"data: " + json.dumps(error).encode() + b"\n\n", END]]
        with pytest.raises(errors.ProviderError) as streamed:
            list(lab.stream("hi", **where))
        assert secret[:6] not in f"{plain.value}{streamed.value}"
    assert secret[:8].encode() not in _bytes(lab)


def test_only_a_picture_is_spared_the_look_for_keys() -> None:
    key = "sk-proj-abcdefghijklmnopqrstuvwxyz"
    assert key not in redact.text(f"data: {key}")
    assert key not in redact.text(f"data:text/plain;base64,{key}\n{key}")
    picture = "data:image/png;base64,iVBORw0KGgo="
    assert redact.text(picture) == picture
