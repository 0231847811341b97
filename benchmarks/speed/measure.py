"""Measure a row: ours and its peers take turns, so that a busy machine slows all of them alike.

A row holds the median of five runs and their spread. The ratio compares runs of the same turn: it is the median of
(seconds of the variant / seconds of the first variant), so above 1 the first variant, which is ours, is faster.
"""

import os
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd

from cellclr_lib.pipeline import provenance

RUNS, CORES = 5, 2
RESULTS = Path(__file__).resolve().parent.parent / "results"
PEERS = ("albumentations", "kornia", "lightly", "opencv-python-headless", "pycytominer")


class Results:
    """Write the CSV of one work row by row, and its provenance beside it.

    Parameters
    ----------
    work : str
        Name of the file.
    folder : path
    """

    def __init__(self, work, folder=RESULTS):
        self.path, self.rows = Path(folder) / f"{work}.csv", []
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for old in (self.path, self.path.with_suffix(".json")):  # half a row shall not look like a whole one
            old.unlink(missing_ok=True)
        self.work, self.start = work, time.time()

    def add(self, case, seconds, count=1, unit="", **more):
        """Tabulate one row per variant.

        Parameters
        ----------
        case : str
            What all variants were asked to do.
        seconds : {variant: array (runs,)}
            As `take_turns` gives them; the first variant is the one that the ratios are of.
        count, unit : int, str
            A run does `count` of `unit`, whose rate per second is reported.
        **more : {variant: number}
            Further columns; empty where a variant is not mentioned or None.
        """
        first = next(iter(seconds.values()))
        print(f"  {case}")
        more = {name: {k: v for k, v in values.items() if v is not None} for name, values in more.items()}
        for variant, runs in seconds.items():
            row = {
                "case": case,
                "variant": variant,
                "runs": len(runs),
                "seconds": np.median(runs),
                "fastest": np.min(runs),
                "slowest": np.max(runs),
                "unit": unit,
                "rate": count / np.median(runs),
                "ratio": _ratio(runs, first),
            }
            self.rows.append(row | {name: values.get(variant) for name, values in more.items()})
            self._show(self.rows[-1], list(more))
        pd.DataFrame(self.rows).to_csv(self.path, index=False, float_format="%.6g")

    @staticmethod
    def _show(row, more):
        seconds, fastest, slowest, rate = (number(row[name]) for name in ("seconds", "fastest", "slowest", "rate"))
        extras = "".join(f", {name} {number(row[name])}" for name in more if row[name] is not None)
        print(
            f"    {row['variant']:24} {seconds:>8} s ({fastest} … {slowest}) {rate:>8} {row['unit']}/s, "
            f"ratio {row['ratio']:.2f}{extras}",
            flush=True,
        )

    def finish(self, command=None, **more):
        """Write where the numbers came from."""
        provenance.write(
            self.path.with_suffix(".json"),
            command=command or f"python benchmarks/compare.py {self.work}",
            peers=provenance.versions(PEERS),
            minutes=round((time.time() - self.start) / 60, 1),
            **more,
        )


def _ratio(runs, first):
    """Median ratio of the runs of a turn; of the medians where there were no turns."""
    if len(runs) == len(first):
        return np.median(np.asarray(runs) / first)
    return np.median(runs) / np.median(first)


def number(value):
    """Three figures."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def take_turns(variants, runs=RUNS, warm_up=True):
    """Run the variants one after the other, again and again: A B C A B C ...

    Parameters
    ----------
    variants : {name: callable}
        A callable that measures itself returns its seconds; any other result is ignored.
    runs : int
        Turns that count.
    warm_up : bool
        Whether one more turn comes first and does not count.

    Returns
    -------
    {name: ndarray (runs,)}
        Seconds.
    """
    seconds = {name: [] for name in variants}
    for turn in range(-warm_up, runs):
        for name, run in variants.items():
            taken = timed(run)
            if turn >= 0:
                seconds[name].append(taken)
    return {name: np.array(values) for name, values in seconds.items()}


def timed(run):
    """Seconds that `run` took, or says that it took."""
    start = time.perf_counter()
    own = run()
    return own if isinstance(own, float) else time.perf_counter() - start


def per_call(run, at_least_s=0.3):
    """`run`, repeated for `at_least_s` or more; says how long one took. For what takes milliseconds."""

    def many():
        start, calls = time.perf_counter(), 0
        while time.perf_counter() - start < at_least_s:
            run()
            calls += 1
        return (time.perf_counter() - start) / calls

    return many


def installed(peers):
    """Make the callables of those peers that are installed.

    Parameters
    ----------
    peers : {name: callable}
        Each makes the callable of one peer, and raises ModuleNotFoundError where its package is missing.

    Returns
    -------
    {name: callable}
    """
    found = {}
    for name, make in peers.items():
        try:
            found[name] = make()
        except ModuleNotFoundError as error:
            print(f"  {name} skipped: {error}; the extra `bench` brings it")
    return found


def in_fresh_process(function, *arguments):
    """Call `function` in a new Python process, which ends afterwards, and return its result."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=two_cores) as pool:
        return pool.submit(function, *arguments).result()


@contextmanager
def process_of_its_own(make, *arguments):
    """Start a new Python process that makes a callable; return a callable that runs it there.

    So nobody profits from what another leaves behind in a process: memory that is kept, warm caches, threads.

    Parameters
    ----------
    make : function
        ``make(*arguments)`` is called in the new process and returns what is to be run, for `take_turns`.

    Yields
    ------
    callable
        Returns what the callable in the process returned: its seconds, or anything else.

    Raises
    ------
    ModuleNotFoundError
        If `make` raises it.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=two_cores) as pool:
        pool.submit(_hold, make, arguments).result()
        yield lambda: pool.submit(_run_held).result()


def _hold(make, arguments):
    global _held
    _held = make(*arguments)


def _run_held():
    own = _held()
    return own if isinstance(own, float) else None


def two_cores():
    """Keep this process and its children on two cores, with two threads in torch."""
    if hasattr(os, "sched_setaffinity"):  # Linux
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    import torch

    torch.set_num_threads(CORES)


class PeakMemory:
    """Most memory (GB) of this process within the block: ``.gb``, and ``.more_gb`` beyond that of the start.

    Read from Linux's own book-keeping, which misses nothing; NaN elsewhere.
    """

    def __enter__(self):
        try:
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
            self.before = _status("VmRSS")
        except OSError:
            self.before = float("nan")
        return self

    def __exit__(self, *_):
        self.gb = _status("VmHWM") if self.before == self.before else float("nan")
        self.more_gb = self.gb - self.before


def private_gb():
    """Memory (GB) of this process now, without the pages of memory-mapped files; Linux only."""
    return _status("RssAnon")


def _status(entry):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{entry}:"):
            return int(line.split()[1]) * 1024 / 1e9
    raise OSError(f"/proc/self/status has no {entry}")
