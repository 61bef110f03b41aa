"""Child processes, one at a time. Enters: a command line; leaves: its standard output, or an error that says what it said."""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from engines import Measurement
from errors import RunError, UsageError

WORKER = Path(__file__).parents[1] / "worker.py"
# Processor time over wall time that one thread cannot exceed, with room for the clocks' grain.
MAX_LOAD = 1.05
# Libraries under numpy take as many threads as there are cores unless told.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def run(command: list[str]) -> str:
    """Runs `command` to its end; an error if it fails, exit code 2 being bad usage, or if it computes on more than one thread."""
    before, begin = cpu_seconds(), time.perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | ONE_THREAD)
    except OSError as error:
        raise UsageError(f"{command[0]}: {error.strerror}") from error
    load = (cpu_seconds() - before) / (time.perf_counter() - begin)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        error = UsageError if done.returncode == 2 else RunError
        raise error(said[-1] if said else f"{command[0]}: exit code {done.returncode}")
    if load > MAX_LOAD:
        raise RunError(f"{' '.join(command[:3])}: took {load:.2f} cores, expected one thread")
    return done.stdout


def measure_in_worker(engine: str, **task) -> Measurement:
    """One round of a Python engine: `worker.py` does `task` with the module `engine` of this folder."""
    return Measurement(**json.loads(run([sys.executable, str(WORKER), engine, json.dumps(task)])))


def cpu_seconds() -> float:
    """Processor time of all children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
