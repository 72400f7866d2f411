"""The simulated provider: a real HTTP server on loopback that speaks OpenAI's protocol, with seeded latency.

It shares no code with the calling side: the lab knows it by HTTP alone, and any OpenAI client can talk to it.
"""
