"""Texts become vectors in batches: bounded, on the ledger, priced, and never paid for twice."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lab import Budget, Lab, Policy, Retry, Timeout, archive, errors
from lab.provider import child
from lab.values import Call
from tests.servers import HANG, RawServer, answer

TEXTS = ["a cat sat", "a cat lay", "stocks fell sharply", "a cat sat", "rain"]


def embedding(*rows: list[float], tokens: int = 7) -> bytes:
    """An answer in OpenAI's words."""
    data = [{"object": "embedding", "index": place, "embedding": row} for place, row in enumerate(rows)]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return answer({"object": "list", "data": data, "model": "m", "usage": usage})


@pytest.mark.parametrize("model", ["sim/embedder", "sim/gemini/embedder", "sim/ollama/embedder"])
def test_each_text_has_its_vector(lab: Lab, model: str) -> None:
    found = lab.embed(TEXTS, model=model)
    assert (found.vectors.shape, found.vectors.dtype) == ((5, 64), np.dtype("float32"))
    assert np.array_equal(found[0], found[3])
    near, far = found[0] @ found[1], found[0] @ found[2]
    assert near > far
    assert len(found.call_ids) == 1, "one batch"
    assert len(found) == len(list(found)) == len(np.asarray(found)) == 5
    call = lab.calls().iloc[0]
    assert (call["status"], call["model"], call["input_tokens"] > 0) == ("ok", model, True)
    assert found.cost == call["cost"] > 0
    assert lab.texts(found.call_ids[0])["messages"][0]["content"] == "a cat sat"


def test_batches_are_split_and_never_paid_for_twice(lab: Lab) -> None:
    first = lab.embed(TEXTS, model="sim/embedder", batch=2)
    assert (len(first.call_ids), first.known) == (2, 0), "four different texts, two at a time"
    again = lab.embed([*TEXTS, "snow"], model="sim/embedder", batch=2)
    assert (len(again.call_ids), again.known) == (1, 4)
    assert np.array_equal(again.vectors[:5], first.vectors)
    assert lab.embed(TEXTS, model="sim/embedder").cost == 0.0
    assert len(lab.embed(TEXTS, model="sim/ollama/embedder").call_ids) == 1, "another model's vectors are others"


def test_a_failure_keeps_what_came_and_the_rest_is_resumed(fresh: Path) -> None:
    asked: list[int] = []
    broken = True

    def flaky(call: Call) -> Any:
        asked.append(len(call.messages))
        if broken and call.messages[0]["content"] == "text 3":
            raise errors.ProviderError("boom")
        return [np.full(2, len(message["content"]), dtype="<f4") for message in call.messages]

    with Lab(fresh, provider=flaky, policy=Policy(retry=None, breaker=None)) as lab:
        texts = [f"text {number}" for number in range(6)]
        with pytest.raises(errors.ProviderError, match="boom"):
            lab.embed(texts, model="own", batch=1)
        paid = len(asked)
        assert paid >= 4
        broken = False
        asked.clear()
        found = lab.embed(texts, model="own", batch=1)
    assert found.known == paid - 1
    assert len(asked) == 6 - found.known
    assert found.vectors.tolist() == [[6.0, 6.0]] * 6


def test_another_process_goes_on_where_one_was_killed(fresh: Path) -> None:
    """What is kept is in the file, and belongs to the call that brought it."""
    with Lab(fresh, policy=Policy(retry=None)) as lab:
        lab.embed(TEXTS[:2], model="sim/embedder")
    with Lab(fresh, policy=Policy(retry=None)) as lab:
        assert lab.embed(TEXTS, model="sim/embedder").known == 2
        archive.prune(lab.ledger, before="2999-01-01", words_only=True)
        assert lab.embed(TEXTS, model="sim/embedder").known == 0, "of a vector its words may be guessed"


def test_where_no_words_are_kept_no_vectors_are(tmp_path: Path) -> None:
    with Lab(tmp_path / "mine.db", keep="hashes") as lab:
        lab.embed(TEXTS, model="sim/embedder")
        assert lab.embed(TEXTS, model="sim/embedder").known == 0


def test_it_is_bounded_like_any_call(lab: Lab, server: RawServer) -> None:
    where = {"model": "openai/text-embedding-3-small", "api_base": server.url, "api_key": "k-123456789"}
    server.plays(answer({"error": {"message": "slow down"}}, 429, **{"retry-after": "0"}))
    server.plays(embedding([1.0, 0.0]))
    found = lab.embed(["one"], policy=Policy(retry=Retry(initial=0.01)), **where)
    assert found.vectors.tolist() == [[1.0, 0.0]]
    assert sorted(lab.attempts()["status"]) == ["failed", "ok"]
    assert len(server.received) == 2, "one attempt is one request"
    assert found.cost == pytest.approx(7 * 0.02e-6)
    with pytest.raises(errors.BudgetError):
        lab.embed(["two " * 1000], policy=Policy(budget=Budget(usd=1e-9)), **where)


def test_it_waits_no_longer_than_any_call(fresh: Path) -> None:
    async def never(_call: Call) -> Any:
        await asyncio.Event().wait()

    with Lab(fresh, provider=never, policy=Policy(retry=None, timeout=Timeout(attempt=0.2, total=0.4))) as lab:
        with pytest.raises(errors.TimeoutError):
            lab.embed(["three"], model="own")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (embedding([1.0, 2.0]), "malformed"),
        (embedding([1.0, 2.0], [1.0]), "malformed"),
        (answer({"error": {"message": "no key"}}, 401), "auth"),
        (answer({"error": {"message": "boom"}}, 500), "provider"),
    ],
    ids=["too few", "not as long", "401", "500"],
)
def test_what_is_no_answer_is_a_failure_of_its_kind(lab: Lab, server: RawServer, body: bytes, kind: str) -> None:
    server.plays(body)
    where = {"model": "openai/text-embedding-3-small", "api_base": server.url, "api_key": "k-123456789"}
    with pytest.raises(errors.LabError) as failure:
        lab.embed(["one", "two"], **where)
    assert failure.value.kind == kind


def test_its_connections_are_closed_with_the_lab_and_are_no_other_labs(tmp_path: Path) -> None:
    """LiteLLM's handler for Ollama has one client for all event loops."""
    body = answer({"model": "m", "embeddings": [[1.0, 0.0]], "prompt_eval_count": 2}, connection="keep-alive")
    policy = Policy(retry=None, timeout=Timeout(total=2))
    with RawServer() as hung, RawServer() as prompt:
        hung.plays(HANG)
        prompt.plays(body, HANG)
        with Lab(tmp_path / "first.db", policy=policy) as first, ThreadPoolExecutor() as pool:
            under_way = pool.submit(first.embed, ["one"], model="ollama/m", api_base=hung.url)
            assert hung.asked.wait(20)
            with Lab(tmp_path / "second.db", policy=policy) as second:
                assert second.embed(["two"], model="ollama/m", api_base=prompt.url).vectors.tolist() == [[1.0, 0.0]]
            assert prompt.gone.wait(20), "closed with its Lab"
            with pytest.raises(errors.TimeoutError):  # which no other Lab has cut off
                under_way.result()
        with Lab(tmp_path / "third.db", policy=policy) as third:
            prompt.gone.clear()
            third.embed(["three"], model="ollama/m", api_base=prompt.url)
        assert prompt.gone.wait(20)


@pytest.mark.parametrize("texts", ["a text", ["", "a"], [" "], [3], None], ids=str)
def test_what_is_no_list_of_texts_is_refused(lab: Lab, texts: Any) -> None:
    with pytest.raises(errors.InvalidRequestError, match="texts"):
        lab.embed(texts, model="sim/embedder")


def test_what_can_not_embed_says_so(lab: Lab) -> None:
    with pytest.raises(errors.UnsupportedError, match="sim/embedder"):
        lab.embed(["a"], model="sim/nobody")
    with pytest.raises(errors.UnsupportedError, match="local/minilm"):
        lab.embed(["a"], model="local/smollm2")
    with pytest.raises(errors.AuthError, match="OPENAI_API_KEY"):
        lab.embed(["a"], model="openai/text-embedding-3-small")


def test_nothing_is_nothing(lab: Lab) -> None:
    found = lab.embed([], model="sim/embedder")
    assert (len(found), found.cost, found.call_ids) == (0, 0.0, ())


def test_it_can_be_awaited(lab: Lab) -> None:
    found = asyncio.run(lab.aembed(TEXTS, model="sim/embedder"))
    assert len(found) == 5


def test_the_small_model_of_this_machine_embeds_for_nothing(lab: Lab) -> None:
    found = lab.embed(["a cat sat on a mat", "a kitten on a rug", "stocks fell"], model="local/minilm")
    unit = found.vectors / np.linalg.norm(found.vectors, axis=1, keepdims=True)
    assert found.vectors.shape == (3, 384)
    assert unit[0] @ unit[1] > unit[0] @ unit[2]
    assert (found.cost, lab.attempts().iloc[0]["way"]) == (0.0, "local")


def test_the_simulation_counts_one_request_a_batch(lab: Lab) -> None:
    import json
    import urllib.request

    url = child.shared("lab.sim").endpoint().url + "/requests"

    def count() -> int:
        with urllib.request.urlopen(url) as told:
            return json.load(told).get("embedder", 0)

    before = count()
    lab.embed([f"counted {number}" for number in range(5)], model="sim/embedder", batch=2)
    assert count() - before == 3
