#!/usr/bin/env python3
"""One round of one engine, as a process of its own. Enters: worker.py ENGINE TASK, where ENGINE is a module of `engines/` and TASK
a JSON object for its `prepare`; leaves: a measurement as one JSON object on standard output.

`prepare` returns a function that computes one decision; the wall time of each call is taken, all in this thread. Nothing is
imported here but numpy, so that the memory in use before `prepare` is the interpreter's and not the engine's.
"""

import importlib
import json
import sys
import time
from pathlib import Path

import numpy as np

# As in `earwitness bench`: this many outputs or this much time, for caches and clock rates to
# settle.
N_WARM_UP = 200
WARM_UP_NS = 1_000_000_000
MAX_NS = 10_000_000_000


def main():
    engine, task = sys.argv[1], json.loads(sys.argv[2])
    n_decisions = task.pop("n_decisions")
    base_mb = peak_rss_mb()
    try:
        decide, precision = importlib.import_module(f"engines.{engine}").prepare(**task)
    except ValueError as error:
        print(error, file=sys.stderr)
        sys.exit(2)

    repeat(decide, min(N_WARM_UP, n_decisions), WARM_UP_NS)
    times_us = np.array(repeat(decide, n_decisions, MAX_NS)) / 1e3
    report = {
        "us_median": float(np.median(times_us)),
        "us_p99": float(np.percentile(times_us, 99)),
        "network_us_median": None,
        "peak_rss_mb": peak_rss_mb(),
        "base_rss_mb": base_mb,
        "precision": precision,
    }
    print(json.dumps(report))


def repeat(decide, n_most: int, most_ns: int) -> list[int]:
    """Nanoseconds of each of `n_most` calls, or of those that begin in time; at least one."""
    times_ns, end = [], time.perf_counter_ns() + most_ns
    while not times_ns or (len(times_ns) < n_most and time.perf_counter_ns() < end):
        begin = time.perf_counter_ns()
        decide()
        times_ns.append(time.perf_counter_ns() - begin)
    return times_ns


def peak_rss_mb() -> float:
    """The kernel's figure for this program; that of getrusage would count the parent's memory from before the exec as well."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    main()
