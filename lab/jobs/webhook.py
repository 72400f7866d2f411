"""A message to somebody's server, signed and retried, after the Standard Webhooks specification: the headers
`webhook-id`, `webhook-timestamp` and `webhook-signature` (`v1,` and the base64 of HMAC-SHA256 over
`id.timestamp.body`)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
import ipaddress
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 10.0
"""Seconds for one try."""
WAITS = (1.0, 5.0, 20.0)
"""Seconds between tries."""
PREFIX = "whsec_"


class NotTold(Exception):
    """A try that brought nothing; `again`: another one may."""

    def __init__(self, why: str, *, again: bool):
        super().__init__(why)
        self.again = again
        self.soon = again
        """Within a minute, even."""


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
    check(url)
    for tried, wait in enumerate((*waits, None), 1):
        try:
            once(url, body, message_id=message_id, secret=secret, private=True, clock=clock)
            return tried
        except NotTold as failed:
            if wait is None or not (failed.again and failed.soon):
                raise ConnectionError(
                    f"the webhook at {urlsplit(url).hostname} was not told, after {tried} tries: {failed}"
                ) from None
            sleep(wait)
    raise AssertionError("unreachable")


def check(url: str) -> None:
    """Raises `ValueError` for an address that is none."""
    try:
        parts = urlsplit(url)
        odd = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
        odd = odd or not (parts.hostname or "").encode("idna")
    except (ValueError, AttributeError):  # a port or a host that is none, no text at all
        odd = True
    if odd or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("the webhook's address: http:// or https:// and a host, without spaces")


def once(
    url: str,
    body: Any,
    *,
    message_id: str,
    secret: str | None = None,
    private: bool = False,
    clock: Callable[[], float] = time.time,
) -> None:
    """One try. Unless `private`, only to an address on the open Internet, looked up once and then connected to: not to
    this machine, not to its network. Redirects are not followed. Raises `NotTold`."""
    data = json.dumps(body, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "lab-webhooks", "webhook-id": message_id}
    headers["webhook-timestamp"] = str(int(clock()))
    if secret:
        headers["webhook-signature"] = signature(secret, message_id, headers["webhook-timestamp"], data)
    opened: list[http.client.HTTPConnection] = []
    handlers = [_OpenHttp(opened, private), _OpenHttps(opened, private), *(() if private else (_NO_PROXY,))]
    opener = urllib.request.build_opener(_NoRedirect, *handlers)
    late = threading.Timer(TIMEOUT, _cut, (opened,))  # the timeout of a socket is for each of its reads
    late.daemon = True
    late.start()
    try:
        with opener.open(urllib.request.Request(url, data, headers), timeout=TIMEOUT):
            return
    except urllib.error.HTTPError as failed:
        failed.close()
        gone = failed.code == 410 or 300 <= failed.code < 400
        refusal = NotTold(f"status {failed.code}", again=not gone)
        refusal.soon = failed.code == 429 or failed.code >= 500
        raise refusal from None
    except Private as refused:
        raise NotTold(str(refused), again=False) from None
    except (OSError, http.client.HTTPException) as failed:  # cut, reset, late, or no HTTP at all
        reason = getattr(failed, "reason", failed)
        if isinstance(reason, Private):
            raise NotTold(str(reason), again=False) from None
        raise NotTold(type(reason).__name__, again=True) from None
    finally:
        late.cancel()


def _cut(opened: list[http.client.HTTPConnection]) -> None:
    """Its time is over."""
    for connection in opened:
        with suppress(OSError, AttributeError):  # it has none yet, or none any more
            connection.sock.shutdown(socket.SHUT_RDWR)


class Private(OSError):
    """An address that isn't on the open Internet."""


def _open_address(place: tuple[str, int], timeout: float | None = None, source: Any = None) -> socket.socket:
    """A connection to a host whose every address is on the open Internet."""
    host, port = place
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for _family, _kind, _protocol, _name, address in found:
        if not _on_the_internet(str(address[0])):
            raise Private(f"{host} is an address of this machine or of a private network")
    failure: OSError | None = None
    for _family, _kind, _protocol, _name, address in found:
        try:
            return socket.create_connection((str(address[0]), port), timeout, source)
        except OSError as failed:
            failure = failed
    raise failure or OSError("no address")


def _on_the_internet(address: str) -> bool:
    """Whether an address is of the open Internet, and so is whatever address stands within it."""
    place = ipaddress.ip_address(address.partition("%")[0])
    within: list[ipaddress.IPv4Address | None] = []
    if isinstance(place, ipaddress.IPv6Address):
        within += [place.ipv4_mapped, place.sixtofour, *(place.teredo or ())]
        if place in _TRANSLATED:
            within.append(ipaddress.IPv4Address(int(place) & 0xFFFFFFFF))
    others = [_on_the_internet(str(inner)) for inner in within if inner is not None]
    return place.is_global and not place.is_multicast and not place.is_reserved and all(others)


_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")


class _OpenHttp(urllib.request.HTTPHandler):
    """Connections that are known, so that they can be cut; to the open Internet alone, unless `private`."""

    def __init__(self, opened: list[http.client.HTTPConnection], private: bool):
        super().__init__()
        self._opened, self._private = opened, private

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        """Open it."""
        return self.do_open(partial(_connection, http.client.HTTPConnection, self._opened, self._private), request)


class _OpenHttps(urllib.request.HTTPSHandler):
    """The same, under TLS."""

    def __init__(self, opened: list[http.client.HTTPConnection], private: bool):
        super().__init__()
        self._opened, self._private = opened, private

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        """Open it."""
        return self.do_open(partial(_connection, http.client.HTTPSConnection, self._opened, self._private), request)


def _connection(kind: Any, opened: list[Any], private: bool, *args: Any, **more: Any) -> Any:
    made = kind(*args, **more)
    if not private:
        made._create_connection = _open_address
    opened.append(made)
    return made


_NO_PROXY = urllib.request.ProxyHandler({})
"""A proxy would be asked to go where the lab may not."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would take the message, and what the address holds, to another host."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """None is followed: it is a failure like any other status."""


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
