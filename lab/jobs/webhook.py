"""A message to somebody's server, signed and retried, after the Standard Webhooks specification: the headers
`webhook-id`, `webhook-timestamp` and `webhook-signature` (`v1,` and the base64 of HMAC-SHA256 over
`id.timestamp.body`)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 10.0
"""Seconds for one try."""
WAITS = (1.0, 5.0, 20.0)
"""Seconds between tries."""
PREFIX = "whsec_"


def post(
    url: str,
    body: Any,
    *,
    message_id: str,
    secret: str | None = None,
    waits: tuple[float, ...] = WAITS,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.time,
) -> int:
    """POST `body` as JSON; returns how many tries it took. `message_id` is the same in each, so that the receiver can
    tell a repetition. Tried again after a broken connection, a 429 or a 5xx. Raises `ConnectionError`, which names the
    host alone (a webhook's address is often a secret), and `ValueError` for an address that is none."""
    parts = urlsplit(url)
    try:
        odd = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
    except ValueError:  # a port that is none
        odd = True
    if odd or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("the webhook's address: http:// or https:// and a host, without spaces")
    data = json.dumps(body, ensure_ascii=False).encode()
    for tried, wait in enumerate((*waits, None), 1):
        headers = {"Content-Type": "application/json", "User-Agent": "lab-alerts", "webhook-id": message_id}
        headers["webhook-timestamp"] = str(int(clock()))
        if secret:
            headers["webhook-signature"] = signature(secret, message_id, headers["webhook-timestamp"], data)
        try:
            with _OPENER.open(urllib.request.Request(url, data, headers), timeout=TIMEOUT):
                return tried
        except urllib.error.HTTPError as failed:
            why, again = f"status {failed.code}", failed.code == 429 or failed.code >= 500
            failed.close()
        except (OSError, http.client.HTTPException) as failed:  # cut, reset, late, or no HTTP at all
            why, again = type(getattr(failed, "reason", failed)).__name__, True
        if not again or wait is None:
            raise ConnectionError(f"the webhook at {parts.hostname} was not told, after {tried} tries: {why}")
        sleep(wait)
    raise AssertionError("unreachable")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would take the message, and what the address holds, to another host."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """None is followed: it is a failure like any other status."""


_OPENER = urllib.request.build_opener(_NoRedirect)


def signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """The value of `webhook-signature`. A `secret` that begins with `whsec_` is base64 from there on."""
    key = secret.encode()
    if secret.startswith(PREFIX):
        try:
            key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except binascii.Error as odd:
            raise ValueError("the webhook's secret: base64 after whsec_") from odd
    digest = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()
