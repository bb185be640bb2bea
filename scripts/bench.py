"""Runs the load generator's scenarios against one server after the other and prints a table; see scripts/bench.sh."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOAD = ROOT / "build/release/bench/perdure-load"
LISTS = ROOT / "build/release/bench/visibility_bench"
TICKS = os.sysconf("SC_CLK_TCK")

# name, arguments for us, factor by which the official server gets fewer workflows
SCENARIOS = [
    ("hello, one at a time", ["-s", "hello", "-c", "1", "-w", "500"], 10),
    ("hello, 100 in flight", ["-s", "hello", "-c", "100", "-w", "20000", "-p", "32"], 40),
    ("chain of 10 activities", ["-s", "chain", "-c", "50", "-w", "1500", "--activities", "10", "-p", "32"], 20),
    ("1,000 activities at once", ["-s", "fan", "-c", "1", "-w", "1", "--activities", "1000", "-p", "32"], 1),
    ("signals to 50 workflows", ["-s", "signal", "-c", "50", "-w", "50", "--signals", "800"], 1),
    ("signals to one workflow", ["-s", "signal", "-c", "1", "-w", "1", "--signals", "4000"], 4),
    ("timers of 1 s", ["-s", "timers", "-c", "2000", "-w", "4000", "-p", "32"], 8),
    ("10,000 open with timers", ["-s", "open", "-c", "200", "-w", "10000", "-p", "32"], 10),
    ("read a history of 40,000", ["-s", "history", "-c", "1", "-w", "1", "--signals", "40000"], 8),
    ("10,000 polls, one queue", ["-s", "park", "-p", "10000", "--queues", "1", "--hold", "4s"], 10),
    ("10,000 polls and queues", ["-s", "park", "-p", "10000", "--hold", "4s"], 10),
]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    def __init__(self, program: str, folder: str, official: bool) -> None:
        self.port = free_port()
        begun = time.perf_counter()
        more = ["--dynamic-config-value", "history.maximumSignalsPerExecution=1000000"]
        self.process = subprocess.Popen(
            [program, "server", "start-dev", "--headless", "--port", str(self.port), "--db-filename", f"{folder}/bench.db", *more],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        # Until the health service says that it serves: an open port does not say that yet. The asking itself takes a few milliseconds.
        health = [str(ROOT / "build/perdure"), "operator", "cluster", "health", "--address", f"127.0.0.1:{self.port}"]
        while subprocess.run(health, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
            if self.process.poll() is not None:
                sys.exit(f"{program} did not start")
        self.ready_s = time.perf_counter() - begun
        if official:
            time.sleep(3)

    def cpu(self) -> float:
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self) -> float:
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return 0.0

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


def shrink(arguments: list[str], factor: int) -> list[str]:
    out = list(arguments)
    scenario = out[1]
    for flag in ("-w", "--signals", "-p") if scenario in ("history", "park", "signal") else ("-w",):
        if flag in out and not (flag == "-w" and scenario in ("history", "signal")):
            i = out.index(flag) + 1
            out[i] = str(max(1, int(out[i]) // factor))
    return out


def run(server: Server, arguments: list[str]) -> dict:
    cpu, out = server.cpu(), {}
    try:
        done = subprocess.run([str(LOAD), "-a", f"127.0.0.1:{server.port}", *arguments], capture_output=True, text=True, timeout=300)
        out = json.loads(done.stdout.splitlines()[-1])
    except (subprocess.TimeoutExpired, IndexError, ValueError):
        return {"errors": "no result"}
    out["cpu_ms"] = (server.cpu() - cpu) * 1000
    out["memory_mb"] = server.memory()
    return out


def run_parked(server: Server, arguments: list[str]) -> dict:
    """What parked polls add to the memory of a server that has done nothing else, while they wait."""
    before, most = server.memory(), 0.0
    load = subprocess.Popen([str(LOAD), "-a", f"127.0.0.1:{server.port}", *arguments], stdout=subprocess.PIPE, text=True)
    while load.poll() is None:
        most = max(most, server.memory())
        time.sleep(0.1)
    try:
        out = json.loads(load.stdout.read().splitlines()[-1])
    except (IndexError, ValueError):
        return {"errors": "no result"}
    return {**out, "memory_mb": most - before}


def show(name: str, r: dict) -> str:
    if "per_s" not in r:
        return f"  {name:26} {r}"
    if r["scenario"] == "park":
        return f"  {name:26} {r['memory_mb']:+.1f} MB" + (f"  ERRORS {r['errors']}: {r.get('first_error', '')}" if r["errors"] else "")
    units = r["workflows"]
    rate = r.get("signals_per_s", r["per_s"])
    if "signals_per_s" in r:
        units = round(rate * r["seconds"])
    line = f"  {name:26} {rate:10.1f}/s  p50 {r['p50_ms']:8.2f} ms  p99 {r['p99_ms']:8.2f} ms  CPU {r['cpu_ms'] / max(1, units):7.3f} ms each  {r['memory_mb']:6.1f} MB"
    if r["scenario"] == "fan":
        line += f"  first tenth {r['first_tenth_ms']:.0f} ms, last {r['last_tenth_ms']:.0f} ms"
    if r["scenario"] == "history":
        line = f"  {name:26} {r['events_read']} events in {r['seconds'] * 1000:.0f} ms  {r['memory_mb']:6.1f} MB"
    if r["errors"]:
        line += f"  ERRORS {r['errors']}: {r.get('first_error', '')}"
    return line


def main() -> int:
    programs = [("Perdure", str(ROOT / "build/perdure"), False)]
    if os.environ.get("OFFICIAL"):
        programs.append(("official", os.environ["OFFICIAL"], True))
    wanted = sys.argv[1:]
    errors = 0
    for label, program, official in programs:
        size = os.path.getsize(os.path.realpath(program)) / 1e6
        with tempfile.TemporaryDirectory() as folder:
            server = Server(program, folder, official)
            print(f"{label}: ready in {server.ready_s * 1000:.0f} ms, {size:.1f} MB executable, {server.memory():.1f} MB idle", flush=True)
            for name, arguments, factor in SCENARIOS:
                if wanted and not any(w in name for w in wanted):
                    continue
                if arguments[1] == "park":
                    with tempfile.TemporaryDirectory() as other:
                        fresh = Server(program, other, official)
                        r = run_parked(fresh, shrink(arguments, factor) if official else arguments)
                        fresh.stop()
                else:
                    r = run(server, shrink(arguments, factor) if official else arguments)
                errors += bool(r.get("errors"))
                print(show(name, r), flush=True)
            server.stop()
    if not wanted or "lists" in wanted:
        print("lists and counts over many workflows, from the store", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            errors += subprocess.run([str(LISTS), folder, os.environ.get("BENCH_ROWS", "1000000")]).returncode != 0
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
