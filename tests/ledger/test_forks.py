"""A process that forks loses no reply, and neither do its children."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.ledger.test_intact import recorded

ASKS = """
    import json, os, sys, threading, time
    import warnings
    from lab import Lab

    warnings.simplefilter("ignore", DeprecationWarning)  # of newer Pythons, of forks beside threads
    path, first = sys.argv[1:]
    lab = Lab(path, provider=lambda call: "yes")
    returned = [lab.ask(f"parent {number}", model="m").call_id for number in range(5)]
    lab.metrics()  # keeps a connection
    stop = threading.Event()

    def beside():  # the parent goes on asking and reading while it forks
        while not stop.is_set():
            returned.append(lab.ask("beside", model="m").call_id)
            lab.calls(limit=3)
            lab.metrics()

    thread = threading.Thread(target=beside)
    thread.start()
    pipe, closed, children = os.pipe(), os.pipe(), []
    for child in range(3):
        pid = os.fork()
        if pid:
            children.append(pid)
            continue
        mine = Lab(path, provider=lambda call: "yes")
        got = [mine.ask(f"child {child} {number}", model="m").call_id for number in range(15)]
        if first == "parent":
            os.close(closed[1])
            os.read(closed[0], 1)  # ends when the parent has closed, and its end of the pipe
        got += [mine.ask(f"child {child} {number}", model="m").call_id for number in range(15)]
        assert len(mine.metrics())
        os.write(pipe[1], (json.dumps(got) + "\\n").encode())
        if first == "child":
            mine.close()
        os._exit(0)  # as multiprocessing does: nothing is closed but by hand
    if first == "child":
        for pid in children:
            os.waitpid(pid, 0)
        returned += [lab.ask(f"parent {number}", model="m").call_id for number in range(5)]
    stop.set()
    thread.join()
    lab.close()
    os.close(closed[1])
    os.close(pipe[1])
    with os.fdopen(pipe[0]) as lines:
        theirs = [call_id for line in lines for call_id in json.loads(line)]
    assert [os.waitpid(pid, 0)[1] for pid in children if first == "parent"] == [0, 0, 0][: 3 * (first == "parent")]
    print(json.dumps({"parent": returned, "children": theirs}))
"""


@pytest.mark.parametrize("first", ["parent", "child"])
def test_no_reply_is_lost_whoever_closes_first(first: str, tmp_path: Path) -> None:
    """Three children, thirty replies each; a thread of the parent asks and reads meanwhile."""
    path = tmp_path / "lab.db"
    command = [sys.executable, "-c", textwrap.dedent(ASKS), str(path), first]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    replies = json.loads(done.stdout)
    assert len(replies["children"]) == 90
    assert {*replies["parent"], *replies["children"]} <= recorded(path)
