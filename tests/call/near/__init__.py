"""Tests of `lab.call.near`."""
