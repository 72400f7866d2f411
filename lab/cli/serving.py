"""`lab sim`, `lab local`, `lab playground`: what runs until it is stopped."""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import socket
import subprocess
import sys
import tomllib
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from lab.cli.shared import Db, err, out, plainly
from lab.ledger.file import Ledger
from lab.ledger.settings import default_path, load_env


def sim(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port on 127.0.0.1; 0 takes a free one.")] = 8090,
    seed: Annotated[int, typer.Option(help="The same seed and requests give the same answers and times.")] = 0,
    speed: Annotated[float, typer.Option(min=0.001, help="Divides every wait: 10 is ten times faster.")] = 1.0,
    list_: Annotated[bool, typer.Option("--list", help="Print the simulated models and faults, and stop.")] = False,
) -> None:
    """Run the simulated provider alone, for any client of OpenAI's, Anthropic's or Gemini's protocol."""
    from lab.sim.catalogue import MODELS  # the simulation is not the calling side's to import
    from lab.sim.faults import BATCH, FAULTS

    if list_:
        for name, model in MODELS.items():
            out.print(Text.assemble((f"sim/{name}".ljust(18), "bold"), model.about))
        out.print(
            "\nfaults, as in sim/steady+http_500:0.1 (a share) or sim/steady+http_500:0.1x20 (in bursts of about 20):"
        )
        for name, fault in FAULTS.items():
            out.print(Text.assemble((f"+{name}".ljust(18), "bold"), f"{fault.kind.ljust(10)}{fault.about}"))
        for name, about in BATCH.items():
            out.print(Text.assemble((f"+{name}".ljust(18), "bold"), f"{'batch'.ljust(10)}{about}"))
        return
    _refuse_used_port(port)
    _become([sys.executable, "-m", "lab.sim", "--port", str(port), "--seed", str(seed), "--speed", str(speed)])


def local() -> None:
    """Run the local model alone, for any OpenAI client."""
    _become([sys.executable, "-m", "lab.provider.local"])


def playground(
    port: Annotated[int, typer.Option(envvar="PORT", min=1, max=65535, help="The port.")] = 8501,
    host: Annotated[str, typer.Option(envvar="HOST", help="The address to listen on.")] = "127.0.0.1",
    headless: Annotated[bool, typer.Option(envvar="HEADLESS", help="Open no browser.")] = False,
    db: Db = None,
) -> None:
    """Open the playground in the browser.

    On any address but this machine's own it starts only where something says who may see it: $LAB_PASSWORD, or sign-in
    ([auth] in .streamlit/secrets.toml, see Streamlit's st.login).
    """
    page = Path(__file__).resolve().parents[2] / "playground" / "front" / "app.py"
    if not page.exists() or any(importlib.util.find_spec(name) is None for name in ("streamlit", "altair")):
        err.print(
            Text("the playground needs more packages: pip install 'lab[playground]' (a checkout: make playground)")
        )
        raise typer.Exit(1)
    with plainly():
        load_env()
    if not _is_loopback(host) and not os.environ.get("LAB_PASSWORD") and not _sign_in():
        err.print(
            Text(
                f"{host} can be reached from other machines: say who may see it by $LAB_PASSWORD, or by [auth] in"
                " .streamlit/secrets.toml, or take 127.0.0.1"
            )
        )
        raise typer.Exit(1)
    _refuse_used_port(port, host)
    with plainly(), closing(Ledger(db or default_path())) as ledger:  # what is wrong with it is said in the shell
        os.environ["LAB_DB"] = str(ledger.path)
    shown = f"[{host}]" if ":" in host else host
    out.print(Text(f"playground: http://{shown}:{port}   ledger: {os.environ['LAB_DB']}"))
    options = ["--server.port", str(port), "--server.headless", str(headless).lower()]
    options += ["--server.address", host, "--browser.serverAddress", host]
    # whatever a settings file says: pages of other sites get no answer, and no way in
    options += ["--server.enableCORS", "true", "--server.enableXsrfProtection", "true"]
    if _is_loopback(host):  # nobody is asked for a password: it answers under this machine's own names alone
        options += [
            part for name in sorted({"localhost", "127.0.0.1", shown}) for part in ("--server.allowedHosts", name)
        ]
    _become([sys.executable, "-m", "streamlit", "run", str(page), *options])


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _sign_in() -> bool:
    try:
        return "auth" in tomllib.loads(Path(".streamlit", "secrets.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def _refuse_used_port(port: int, host: str = "127.0.0.1") -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as taken:
            err.print(
                Text(f"port {port} can't be used: {taken.strerror}. Take another: --port N, or PORT=N make playground")
            )
            raise typer.Exit(1) from None


def _become(command: list[str]) -> None:
    """Run `command` in this process's place, so that signals reach it."""
    sys.stdout.flush()
    if os.name == "posix":
        os.execv(command[0], command)
    raise typer.Exit(subprocess.call(command))
