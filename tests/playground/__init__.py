"""Tests of the room `playground`."""
