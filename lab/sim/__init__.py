"""The simulated provider: a real HTTP server on loopback, with seeded latency and faults.

It speaks OpenAI's, Anthropic's and Gemini's protocols, and shares no code with the calling side: the lab knows it by
HTTP alone, and any client of theirs can talk to it.
"""
