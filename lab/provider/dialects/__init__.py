"""The dialects of providers, a file each: how a request is written, and how its answer is read."""
