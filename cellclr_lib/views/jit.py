"""Compile loops over pixels with numba for this CPU, and run them in threads.

Compiling takes seconds, once a machine: numba keeps what it made beside the source or, where that is read-only, in
the user's cache; `NUMBA_CACHE_DIR` chooses another place. Importing numba takes a second, so whoever needs this
file imports it when called first.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numba
import torch

Function = TypeVar("Function", bound=Callable[..., Any])
IMAGES_AT_A_TIME = 8  # few, so that all threads end at nearly the same time


def compiled(function: Function) -> Function:
    """Decorate a function to be compiled on its first call, without Python's lock and checks of bounds."""
    # Sums may be reordered for the sake of vector instructions, but NaN and infinity keep their meaning.
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    options["fastmath"] = {"contract", "reassoc", "nsz", "arcp"}
    try:
        made: Function = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # there is no folder that numba may write to: each process compiles anew
        made = numba.njit(**options)(function)
    return made


def in_threads(work: Callable[[int, int], object], count: int) -> None:
    """Call ``work(start, stop)`` for all parts of ``range(count)``, in as many threads as torch uses."""
    step = IMAGES_AT_A_TIME
    threads = min(torch.get_num_threads(), -(-count // step))
    if threads <= 1:
        work(0, count)
        return
    # The pool is not kept: a process forked later would wait for its threads for ever.
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(lambda start: work(start, min(start + step, count)), range(0, count, step)):
            pass  # raises what `work` raised
