"""Compile loops over pixels with numba for this CPU, and run them in threads.

Compiling takes seconds, once a machine: numba keeps what it made beside the source or, where that is read-only, in
the user's cache; `NUMBA_CACHE_DIR` chooses another place. Importing numba takes a second, so whoever needs this
file imports it when called first.
"""

from concurrent.futures import ThreadPoolExecutor

import numba
import torch

IMAGES_AT_A_TIME = 8  # few, so that all threads end at nearly the same time


def compiled(function):
    """Decorator: `function`, compiled on first call, without Python's lock and its checks of bounds."""
    # Sums may be reordered for the sake of vector instructions, but NaN and infinity keep their meaning.
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz", "arcp"}}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # there is no folder that numba may write to: each process compiles anew
        return numba.njit(**options)(function)


def in_threads(work, count):
    """``work(start, stop)`` for all parts of ``range(count)``, in as many threads as torch uses on the CPU."""
    step = IMAGES_AT_A_TIME
    threads = min(torch.get_num_threads(), -(-count // step))
    if threads <= 1:
        work(0, count)
        return
    # The pool is not kept: a process forked later would wait for its threads for ever.
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(lambda start: work(start, min(start + step, count)), range(0, count, step)):
            pass  # raises what `work` raised
