"""The network is closed but for this machine, no key is at hand, and every ledger is a new file."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the workers are as many as the cores: threads only wait for them

import pytest

from lab import Lab, Policy
from lab.ledger.file import Ledger
from tests.servers import RawServer

_connect = socket.socket.connect


def _loopback_only(self: socket.socket, address: object) -> object:
    host = address[0] if isinstance(address, tuple) else "unix"
    if host not in ("127.0.0.1", "::1", "localhost", "unix"):
        raise OSError(f"the network is closed in tests: {host}")
    return _connect(self, address)


LONG = """notebooks pages project types wheel browser playground experiment cli worker postgres faults file conformance
    client code near cache batching gate metrics echoes""".split()
"""Files that take long, the longest first: begun last, they would leave the other workers with nothing to do."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long."""
    places = {f"test_{name}.py": place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONG)))


@pytest.fixture(autouse=True)
def closed_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No network, no keys, no `.env`, no shared ledger."""
    monkeypatch.setattr(socket.socket, "connect", _loopback_only)
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_API_TOKEN", "_API_BASE", "_BASE_URL")):
            monkeypatch.delenv(name)
    for name in ("LAB_JOBS", "LAB_WEBHOOK_SECRET", "LAB_WEBHOOK_PRIVATE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LAB_DB", str(tmp_path / "lab.db"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A ledger on which nothing is yet, made once: to make one takes longer than what most tests do with it."""
    path = tmp_path_factory.mktemp("empty") / "lab.db"
    Ledger(path).close()
    return path.read_bytes()


@pytest.fixture
def fresh(tmp_path: Path, empty: bytes) -> Path:
    """The path of such a one."""
    path = tmp_path / "lab.db"
    path.write_bytes(empty)
    path.chmod(0o600)
    return path


@pytest.fixture
def lab(fresh: Path) -> Iterator[Lab]:
    """A Lab on a new ledger, with the real provider, that asks once: what an attempt does is seen as it is."""
    with Lab(fresh, policy=Policy(retry=None)) as opened:
        yield opened


@pytest.fixture
def server() -> Iterator[RawServer]:
    """A server on loopback that sends exactly the bytes it is told."""
    with RawServer() as listening:
        yield listening
