"""Jobs and workers that are killed: does each job end, once, and is anything on the ledger paid for again?

Workers are processes of their own (`lab worker`), killed with SIGKILL while jobs of three steps run in them. Each
request is written down by who answers it; one that comes after its step's answer was on a ledger is one too many.
Besides: how soon a dead worker's jobs go on, throughput, what an idle worker costs, how soon a job begins, and a
webhook whose receiver fails three times while the worker is killed.

    python benchmarks/jobs.py             # about 5 minutes; Postgres is Debian's package, left out where it isn't there
    python benchmarks/jobs.py --jobs 40 --kills 3
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import common

ROOT = common.HERE.parent
sys.path.insert(0, str(ROOT))
from tests import postgres  # noqa: E402


class Bench:
    """A folder with ledgers and a jobs' database, and the workers that run there."""

    def __init__(self, folder: Path, jobs: str | None = None, takes: float = 0.2):
        self.folder, self.jobs, self.takes = folder, jobs, takes
        self.workers: list[tuple[subprocess.Popen[bytes], str]] = []

    def environment(self, ledger: str) -> dict[str, str]:
        """That of a worker."""
        more = {"LAB_DB": str(self.folder / f"{ledger}.db"), "ASKED": str(self.folder / "asked.txt")}
        more |= {"TAKES": str(self.takes), "PYTHONPATH": f"{ROOT}:{common.HERE}"}
        more |= {"LAB_JOBS": self.jobs} if self.jobs else {}
        return {**os.environ, **more}

    def start(self, ledger: str = "lab", concurrency: int = 20, code: str = "") -> None:
        """One more worker, once it runs."""
        run = f"import sys, os; {code}\nfrom lab.cli import app; app(sys.argv[1:])"
        command = [sys.executable, "-c", run, "worker", "job_flows", "--concurrency", str(concurrency)]
        process = subprocess.Popen(
            command, env=self.environment(ledger), cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith(b"worker"), said
        self.workers.append((process, ledger))

    def kill(self, place: int) -> tuple[float, str]:
        """Kill one: when, and whose ledger it had."""
        process, ledger = self.workers.pop(place)
        process.send_signal(signal.SIGKILL)
        process.wait()
        return time.time(), ledger

    def stop(self) -> None:
        """Stop all of them."""
        for process, _ in self.workers:
            process.send_signal(signal.SIGTERM)
        for process, _ in self.workers:
            process.wait()
        self.workers.clear()

    def python(self, code: str, ledger: str = "lab") -> Any:
        """What a process prints last, as JSON."""
        command = [sys.executable, "-c", f"import json, time\nfrom job_flows import *\n{code}"]
        ran = subprocess.run(command, env=self.environment(ledger), cwd=self.folder, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout.splitlines()[-1])

    def counted(self) -> tuple[int, int]:
        """Requests, and those that came after their step's answer was on a ledger."""
        ended: dict[tuple[str, str], float] = {}
        for ledger in self.folder.glob("*.db"):
            if ledger.name.endswith(".jobs.db"):
                continue
            with sqlite3.connect(ledger) as db:
                rows = db.execute("SELECT job, step, min(ended_at) FROM calls WHERE status = 'ok' GROUP BY 1, 2")
                for job, step, at in rows:
                    ended[job, step] = min(at, ended.get((job, step), at))
        asked = [line.split("\t") for line in (self.folder / "asked.txt").read_text().splitlines()]
        late = [row for row in asked if float(row[2]) > ended[row[0], row[1]]]
        return len(asked), len(late)


SUBMIT = """
for n in range({jobs}):
    lab.submit(three, f"topic {{n}}", id=f"job-{{n}}", depth=10_000)
print(json.dumps(time.time()))
"""
STATES = "print(json.dumps(lab.jobs(limit=None)['state'].value_counts().to_dict()))"
CHECK = """
from collections import Counter
right = 0
for n in range({jobs}):
    said = lab.job(f"job-{{n}}").result(5)
    right += said == [f"answer to {{side}}: answer to Three points on topic {{n}}" for side in ("For", "Against")]
starts = lab.jobs(limit=None)["starts"]
print(json.dumps([right, int(starts.max())]))
"""


def killed(bench: Bench, jobs: int, kills: int, ledgers: list[str], rng: random.Random) -> dict[str, Any]:
    """`jobs` jobs while workers are killed `kills` times, one after the other, and started anew."""
    bench.python(SUBMIT.format(jobs=jobs), ledgers[0])
    for ledger in ledgers:
        bench.start(ledger)
    began = time.monotonic()
    for _ in range(kills):
        time.sleep(rng.uniform(0.5, 1.5))
        _at, ledger = bench.kill(0)
        bench.start(ledger)
    while True:
        states = bench.python(STATES, ledgers[0])
        if set(states) <= {"done", "failed", "cancelled"}:
            break
        assert time.monotonic() < began + 300, states
        time.sleep(0.5)
    seconds = time.monotonic() - began
    right, starts = bench.python(CHECK.format(jobs=jobs), ledgers[0])
    bench.stop()
    requests, late = bench.counted()
    row = {"jobs": jobs, "kills": kills, "done": states.get("done", 0), "right": right, "steps": 3 * jobs}
    return {**row, "requests": requests, "paid again": late, "most starts": starts, "seconds": round(seconds, 1)}


BEGUN = """
job = lab.submit(chain, "long {number}", id="over-{number}")
while job.state == "waiting":
    time.sleep(0.01)
print(json.dumps(job.status.worker))
"""
ELSEWHERE = """
job = lab.job("over-{number}")
while job.status.worker == "{who}" or job.state == "waiting" or "again" not in job.status.facts:
    time.sleep(0.01)
time.sleep(0.2)
print(json.dumps(job.status.facts["again"]))
"""


def taken_over(bench: Bench, ledgers: list[str], times: int) -> dict[str, Any]:
    """Seconds from a worker's death until its job is begun elsewhere."""
    waits = []
    for ledger in ledgers:
        bench.start(ledger)
    for number in range(times):
        who = bench.python(BEGUN.format(number=number), ledgers[0])
        place = next(place for place, (process, _) in enumerate(bench.workers) if f"-{process.pid}-" in who)
        at, ledger = bench.kill(place)
        waits.append(bench.python(ELSEWHERE.format(number=number, who=who), ledgers[0]) - at)
        bench.start(ledger)
    bench.stop()
    return {"kills": times, "median": statistics.median(waits), "most": max(waits)}


def throughput(bench: Bench, jobs: int, ledgers: list[str]) -> float:
    """Jobs a second, three steps of 0.2 s each, 30 at once a worker."""
    for ledger in ledgers:
        bench.start(ledger, concurrency=30)
    code = f"""
jobs = [lab.submit(chain, f"topic {{n}}", depth=10_000) for n in range({jobs})]
rows = [None]
while len(rows):
    time.sleep(0.2)
    rows = lab._office.listing(state=["waiting", "running"], limit=None)
rows = lab._office.listing(limit=None)
print(json.dumps(max(r.ended_at for r in rows) - min(r.started_at for r in rows)))
"""
    seconds = bench.python(code, ledgers[0])
    bench.stop()
    return jobs / float(seconds)


def idle(bench: Bench, seconds: float) -> float:
    """The share of one core that a worker with nothing to do takes."""
    bench.start()
    process = bench.workers[0][0]
    time.sleep(3)
    before, at = cpu(process.pid), time.monotonic()
    time.sleep(seconds)
    share = (cpu(process.pid) - before) / (time.monotonic() - at)
    bench.stop()
    return share


def cpu(pid: int) -> float:
    """Seconds of it that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def soon(bench: Bench) -> tuple[float, float]:
    """Seconds from `submit` to the flow's first line, median: by a worker of its own, and in this process."""
    bench.start()
    each = "waits = []\nfor _ in range(30):\n    waits.append(lab.submit(began, time.time()).result(20))\n"
    apart = bench.python(f"{each}print(json.dumps(sorted(waits)[15]))")
    bench.stop()
    here = bench.python(f"w = lab.worker()\n{each}print(json.dumps(sorted(waits)[15]))\nw.close()")
    return float(apart), float(here)


def told(bench: Bench) -> dict[str, Any]:
    """A receiver that fails three times, the worker killed in between."""
    heard: list[tuple[str, int]] = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            status = 503 if len(heard) < 3 else 204
            heard.append((self.headers["webhook-id"], status))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing is said."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    quick = "os.environ['LAB_WEBHOOK_PRIVATE'] = '1'\nfrom lab.jobs import delivery; delivery.WAITS = (1, 1, 1, 1)"
    bench.start(code=quick)
    url = f"http://127.0.0.1:{server.server_address[1]}/told"
    bench.python(f"print(json.dumps(lab.submit(chain, 'told', id='told', webhook={url!r}).result(30)))")
    end = time.monotonic() + 60
    while len(heard) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    bench.kill(0)
    bench.start(code=quick)
    while not any(status == 204 for _, status in heard) and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(3)
    bench.stop()
    server.shutdown()
    delivered = sum(status == 204 for _, status in heard)
    return {"tries": len(heard), "delivered": delivered, "identifiers": len({name for name, _ in heard})}


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--idle", type=float, default=20.0)
    parser.add_argument("--only", default="kills,over,throughput,idle,soon,told")
    asked = parser.parse_args()
    only, rng, rows = asked.only.split(","), random.Random(0), []

    def note(what: str, database: str, **figures: Any) -> None:
        rows.append({"what": what, "database": database, "figures": figures})
        print(f"{what} ({database}): " + ", ".join(f"{key} {value}" for key, value in figures.items()), flush=True)

    def fresh(jobs: str | None = None, takes: float = 0.2) -> Bench:
        return Bench(Path(tempfile.mkdtemp(prefix="lab-jobs-")), jobs, takes)

    three = ["one", "two", "three"]
    if "kills" in only:
        note("kill -9", "SQLite, 1 worker", **killed(fresh(), asked.jobs, asked.kills, ["lab"], rng))
        note("kill -9", "SQLite, 3 workers, a ledger", **killed(fresh(takes=1.0), asked.jobs, 3, ["lab"] * 3, rng))
    if "over" in only:
        note("taken over", "SQLite", **taken_over(fresh(), ["lab", "lab"], 5))
    if "throughput" in only:
        note(
            "jobs a second",
            "SQLite",
            one=throughput(fresh(), 300, ["lab"]),
            three=throughput(fresh(), 300, ["lab"] * 3),
        )
    if "idle" in only:
        note("idle, of one core", "SQLite", share=idle(fresh(), asked.idle))
    if "soon" in only:
        apart, here = soon(fresh())
        note("submit to start", "SQLite", worker=apart, in_process=here)
    if "told" in only:
        note("webhook", "SQLite", **told(fresh()))
    if postgres.programs() is None:
        print("LEFT OUT: Postgres is not installed (apt-get install postgresql)")
    else:
        with postgres.running() as server:
            if "kills" in only:
                note(
                    "kill -9",
                    "Postgres, 3 workers, a ledger each",
                    **killed(fresh(server.made("kills"), takes=1.0), asked.jobs, 3, three, rng),
                )
            if "over" in only:
                note("taken over", "Postgres", **taken_over(fresh(server.made("over")), ["one", "two"], 5))
            if "throughput" in only:
                one = throughput(fresh(server.made("one")), 300, ["one"])
                note("jobs a second", "Postgres", one=one, three=throughput(fresh(server.made("three")), 300, three))
            if "idle" in only:
                note("idle, of one core", "Postgres", share=idle(fresh(server.made("idle")), asked.idle))
            if "soon" in only:
                apart, here = soon(fresh(server.made("soon")))
                note("submit to start", "Postgres", worker=apart, in_process=here)
    file = common.HERE / "jobs.json"
    measured = {(row["what"], row["database"]) for row in rows}
    before = json.loads(file.read_text())["rows"] if file.exists() and asked.only != parser.get_default("only") else []
    rows += [row for row in before if (row["what"], row["database"]) not in measured]
    file.write_text(json.dumps({"machine": common.machine(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
