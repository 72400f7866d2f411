"""Tests of the room `provider`."""
