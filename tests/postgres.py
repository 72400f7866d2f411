"""A Postgres of one's own: Debian's package, a cluster in a temporary folder, a port on loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote


def programs() -> Path | None:
    """Where Postgres is installed; None where it isn't."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if found:
        return found[-1].parent
    path = shutil.which("postgres")
    return Path(path).resolve().parent if path and shutil.which("initdb") else None


def port() -> int:
    """One that is free."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A server that can be stopped and started again, in a folder of its own."""

    def __init__(self) -> None:
        where = programs()
        assert where is not None, "Postgres is not installed: apt-get install postgresql"
        self._programs, self.port = where, port()
        self._folder = Path(tempfile.mkdtemp(prefix="lab-postgres-"))
        self._user = _unprivileged()
        if self._user is not None:
            os.chown(self._folder, pwd.getpwnam(self._user).pw_uid, -1)
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-D", str(self._folder / "data"), "-U", "lab", "--auth=trust", "-E", "UTF8", "--no-sync")
        self.start()

    def url(self, database: str = "postgres") -> str:
        """Its address."""
        return f"postgresql://lab@127.0.0.1:{self.port}/{quote(database)}"

    def made(self, database: str) -> str:
        """The address of a new, empty database."""
        self.query(f'CREATE DATABASE "{database}"')
        return self.url(database)

    def query(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Its rows, if it has any."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Start it, and wait until it answers."""
        import psycopg

        flags = ["-c", "listen_addresses=127.0.0.1", "-c", f"port={self.port}", "-c", "unix_socket_directories="]
        flags += ["-c", "fsync=off", "-c", "max_connections=200"]
        self._process = subprocess.Popen(
            [str(self._programs / "postgres"), "-D", str(self._folder / "data"), *flags],
            user=self._user,
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + 60
        while True:
            try:
                self.query("SELECT 1")
                return
            except psycopg.OperationalError:
                if time.monotonic() > end or self._process.poll() is not None:
                    raise
                time.sleep(0.05)

    def stop(self) -> None:
        """Stop it at once."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)
            self._process = None

    def close(self) -> None:
        """Stop it, and remove its folder."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        ran = subprocess.run(command, user=self._user, cwd="/", capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr


def _unprivileged() -> str | None:
    """Whose process it is to be: it refuses to run as root."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
            return name
        except KeyError:
            continue
    raise RuntimeError("nobody to run Postgres as")


@contextmanager
def running() -> Iterator[Server]:
    """A server for as long as it is needed."""
    server = Server()
    try:
        yield server
    finally:
        server.close()
