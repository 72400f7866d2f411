"""Measured side by side with what one would use instead; `make benchmarks`."""
