"""Tests of `lab/call/short`."""
