"""Measure the speed table, peers side by side: ``python benchmarks/compare.py [row ...]``.

Each row is measured in a process of its own, on two cores, into `benchmarks/results/<row>.csv` with its provenance
beside it; then the tables of `benchmarks/README.md` are written anew from all results there are. Peers come with
the extra `bench`; those that are missing are skipped and said so. About an hour on two cores.
"""

import argparse
import importlib
import os
import subprocess
import sys
import time

from speed import table
from speed.measure import Results, two_cores

ROWS = tuple(table.ROWS)


def main(arguments=None):
    """Measure the rows that are named, or all; returns the number of those that failed."""
    parser = argparse.ArgumentParser(prog="python benchmarks/compare.py", description=__doc__.split(":")[0])
    parser.add_argument("rows", nargs="*", metavar="row", help=f"of {', '.join(ROWS)}; default: all")
    rows = parser.parse_args(arguments).rows or ROWS
    if unknown := set(rows) - set(ROWS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; choose of {', '.join(ROWS)}")
    if len(rows) == 1:
        measure(rows[0])
        return 0
    start = time.time()
    failed = [row for row in rows if subprocess.run([sys.executable, __file__, row]).returncode]
    table.write_documents()
    print(f"\n{table.claims()}\n\n{len(rows)} rows in {(time.time() - start) / 60:.1f} min")
    if failed:
        print(f"failed: {', '.join(failed)}")
    return len(failed)


def measure(row):
    """Measure one row here and write its results."""
    print(f"{row}", flush=True)
    os.environ["TQDM_DISABLE"] = "1"
    two_cores()
    results = Results(row)
    importlib.import_module(f"speed.{row}").measure(results)
    results.finish()
    table.write_documents()


if __name__ == "__main__":
    sys.exit(main())
