"""A real small model on this machine: SmolLM2-135M-Instruct, run by llama.cpp's own HTTP server.

It is 135 million parameters small: it answers simple questions, and is wrong often enough to be instructive.
"""

MODELS = {
    "smollm2": {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0, "max_input_tokens": 4096},
}
"""Names, prices and limits of the models served here."""
