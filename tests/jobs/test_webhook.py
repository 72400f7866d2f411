"""The webhook: signed so that anyone's library can check it, tried again, and silent about its address."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from lab.jobs import webhook
from lab.jobs.webhook import NotTold, once, post, signature
from tests.servers import END, RawServer

KEY = base64.b64encode(b"a secret of twenty-four b").decode()


class Receiver:
    """A server that answers with these statuses in turn, and keeps what came."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.came: list[tuple[dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.came.append(({key.lower(): value for key, value in self.headers.items()}, body))
                status = outer.statuses.pop(0) if outer.statuses else 200
                if status == 0:
                    self.connection.close()
                    return
                self.send_response(status)
                if status in (301, 307):
                    self.send_header("Location", f"http://127.0.0.1:{outer.server.server_port}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook/a-secret-token"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


def test_it_is_signed_as_the_specification_says(receiver: Receiver) -> None:
    assert post(receiver.url, {"a": "ü"}, message_id="msg_1", secret=f"whsec_{KEY}", clock=lambda: 1700000000.9) == 1
    headers, body = receiver.came[0]
    assert json.loads(body) == {"a": "ü"}
    signed = b"msg_1.1700000000." + body
    expected = base64.b64encode(hmac.new(base64.b64decode(KEY), signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("msg_1", "1700000000")


def test_the_vector_that_the_reference_libraries_are_tested_with() -> None:
    signed = signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "1614265330",
        b'{"test": 2432232314}',
    )
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_it_is_tried_again_with_the_same_identifier(receiver: Receiver) -> None:
    receiver.statuses = [503, 429, 0, 200]
    slept: list[float] = []
    assert post(receiver.url, {}, message_id="msg_2", waits=(1, 2, 3), sleep=slept.append) == 4
    assert slept == [1, 2, 3]
    assert {headers["webhook-id"] for headers, _ in receiver.came} == {"msg_2"}


@pytest.mark.parametrize("status", [400, 404, 307, 301])
def test_what_is_refused_is_not_tried_again_and_no_redirect_is_followed(receiver: Receiver, status: int) -> None:
    receiver.statuses = [status]
    with pytest.raises(ConnectionError, match=f"after 1 tries: status {status}") as failed:
        post(receiver.url, {}, message_id="m", sleep=lambda _: None)
    assert len(receiver.came) == 1
    assert "a-secret-token" not in str(failed.value)


def test_when_nobody_is_there() -> None:
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1 was not told, after 3 tries"):
        post("http://127.0.0.1:9/token", {}, message_id="m", waits=(1, 1), sleep=lambda _: None)


def test_what_answers_without_being_http_is_tried_again() -> None:
    with RawServer() as server:
        server.plays(b"garbage\r\n\r\n", END)
        with pytest.raises(ConnectionError, match="was not told, after 2 tries"):
            post(server.url, {}, message_id="m", waits=(1,), sleep=lambda _: None)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:abc/x", "http://host/a b", "", "file:///etc/passwd", "ftp://host/x", "http://", "nonsense"],
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ValueError, match="http:// or https://"):
        post(url, {}, message_id="m")


INSIDE = """127.0.0.1 localhost [::1] 10.0.0.1 172.16.3.4 192.168.1.1 169.254.169.254 0.0.0.0 [::] 100.64.0.1 2130706433
    0x7f.1 [::ffff:127.0.0.1] [::ffff:10.0.0.1] [fe80::1] [fc00::1] [64:ff9b::7f00:1] [2002:7f00:1::] 224.0.0.1
    255.255.255.255 240.0.0.1""".split()


@pytest.mark.parametrize("host", INSIDE)
def test_a_delivery_does_not_go_to_this_machine_or_its_network(host: str, receiver: Receiver) -> None:
    """However the address is written. Nothing is connected to."""
    with pytest.raises(NotTold) as refused:
        once(f"http://{host}:{receiver.server.server_port}/", {}, message_id="m")
    assert "of this machine or of a private network" in str(refused.value)
    assert not refused.value.again
    assert receiver.came == []


def test_a_name_is_looked_up_once_and_all_that_it_stands_for_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is on the Internet at the first look, and here at the second, has no second look."""
    looks, connected = [], []

    def looked_up(host: str, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
        looks.append(host)
        addresses = {"both.example": ["93.184.216.34", "10.0.0.1"], "out.example": ["93.184.216.34"]}[host]
        return [(2, 1, 6, "", (address, port)) for address in addresses]

    def connect(place: tuple[str, int], *_: object, **__: object) -> object:
        connected.append(place)
        raise OSError("no network here")

    monkeypatch.setattr(webhook.socket, "getaddrinfo", looked_up)
    monkeypatch.setattr(webhook.socket, "create_connection", connect)
    with pytest.raises(NotTold, match=r"both\.example is an address of this machine"):
        once("http://both.example/", {}, message_id="m")
    assert connected == []
    with pytest.raises(NotTold) as failed:
        once("https://out.example/x", {}, message_id="m")
    assert failed.value.again
    assert (looks, connected) == (["both.example", "out.example"], [("93.184.216.34", 443)])


def test_where_it_is_allowed_it_goes_there_and_never_on_to_where_it_is_sent(receiver: Receiver) -> None:
    receiver.statuses = [204, 307, 410, 404]
    once(receiver.url, {"a": 1}, message_id="m", private=True)
    for status, again in ((307, False), (410, False), (404, True)):
        with pytest.raises(NotTold, match=f"status {status}") as failed:
            once(receiver.url, {"a": 1}, message_id="m", private=True)
        assert failed.value.again is again
    assert len(receiver.came) == 4
