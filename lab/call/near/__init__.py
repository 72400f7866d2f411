"""Requests in other words: what may differ, how close they come, and what labels certify."""
