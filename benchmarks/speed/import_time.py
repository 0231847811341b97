"""`import cellclr_lib` in a new Python process, without the start of Python itself; torch for comparison.

`needs_torch` is 1 where the import brings torch along.
"""

import subprocess
import sys

from speed.measure import RUNS, take_turns

CODE = """
import sys, time
start = time.perf_counter()
import {name}
print(time.perf_counter() - start, int("torch" in sys.modules))
"""
MODULES = {"cellclr": "cellclr_lib", "cellclr_lib.data": "cellclr_lib.data", "torch": "torch"}


def measure(results, modules=MODULES, runs=RUNS):
    """Seconds of each import."""
    seconds = take_turns({label: lambda name=name: imported(name)[0] for label, name in modules.items()}, runs)
    needs_torch = {label: imported(name)[1] for label, name in modules.items()}
    results.add("import", seconds, 1, "imports", needs_torch=needs_torch)


def imported(name):
    """Seconds of the import, and whether torch came with it."""
    printed = subprocess.run(
        [sys.executable, "-c", CODE.format(name=name)], check=True, capture_output=True, text=True
    ).stdout
    seconds, torch = printed.split()
    return float(seconds), int(torch)
