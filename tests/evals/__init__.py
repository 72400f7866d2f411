"""Tests of the room `evals`."""
