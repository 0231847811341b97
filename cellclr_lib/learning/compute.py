"""Where and how precisely to compute, and how pixels get there. Shared by training and embedding."""

import ctypes
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from cellclr_lib.learning.pixels import read_shrunk, shrink

log = logging.getLogger(__name__)

RESIDENT_SHARE = 0.4  # a store that fits into this share of a GPU's free memory is kept there


def choose_device(device="auto"):
    """`torch.device` for "auto" (a GPU if there is one), "cpu" or "cuda".

    Raises
    ------
    ValueError
        If the name is unknown, or "cuda" is asked for and there is none.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device is {device!r}; expected auto, cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError('device is "cuda" but torch finds no GPU here; take "auto" or "cpu"')
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def choose_bf16(precision, device):
    """Whether to compute in bfloat16: "bf16", "fp32", or "auto", which is bf16 where `device` is good at it.

    Raises
    ------
    ValueError
        If `precision` is none of the three.
    """
    if precision not in ("auto", "bf16", "fp32"):
        raise ValueError(f"precision is {precision!r}; expected auto, bf16 or fp32")
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:  # not Linux
        return False
    return torch.backends.mkldnn.is_available() and any(f in flags for f in ("avx512_bf16", "amx_bf16"))


def autocast(device, bf16):
    """Context in which a network computes in bfloat16, or as it is if not `bf16`."""
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16)


@contextmanager
def freed_memory_kept():
    """Context in which this process keeps the memory that it frees, and hands it back at the end.

    The C library of Linux returns large blocks to the system as soon as they are free. Each step of a training
    asks for the same blocks again, and the system hands them out page by page, each filled with zeros first.
    Does nothing where there is no such C library. The end of an inner context ends the outer one too.
    """
    trim_threshold, mmap_threshold, mmap_max = -1, -3, -4  # names of the settings in malloc.h
    try:
        libc = ctypes.CDLL("libc.so.6")
        setting, trim = libc.mallopt, libc.malloc_trim
    except (OSError, AttributeError):
        yield
        return
    setting(mmap_max, 0)  # no block is too large to be kept
    setting(trim_threshold, -1)
    try:
        yield
    finally:  # the values at which the library itself arrives in a process with large blocks
        setting(mmap_max, 65536)
        setting(mmap_threshold, 2**25)
        setting(trim_threshold, 2**26)
        trim(0)


def pixel_source(images, device, input_px=None):
    """Function that gives the crops of some rows as the network sees them, on `device`.

    Parameters
    ----------
    images : ndarray or memmap (N, C, H, W)
    device : torch.device
        A GPU with room enough gets all crops at once. To another GPU they are streamed: each batch is read, where
        it lies, while the one before is computed. On a CPU, that needs all cores, a batch is read when it is due.
    input_px : int, optional
        Larger crops are averaged down to this side.

    Returns
    -------
    callable
        Iterable of (n,) int64 tensors of rows on the CPU → iterator of (n, C, px, px) float32 tensors, integers
        scaled to [0, 1].
    """
    if device.type != "cuda":
        return lambda batches: (read_shrunk(images, rows, input_px) for rows in batches)
    if images.nbytes < RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]:
        resident = _resident(images, device)
        log.info("%.1f GB of crops kept on the GPU", images.nbytes / 1e9)
        return lambda batches: (shrink(resident(rows.to(device)), input_px) for rows in batches)

    def read(rows):  # as stored, which is the least to send; only pinned memory is copied while the GPU computes
        return torch.from_numpy(images[rows.numpy()]).pin_memory()

    def stream(batches):
        for pixels in ahead(read, batches):  # torch reuses a pinned block once its copy is done
            yield shrink(pixels.to(device, non_blocking=True), input_px)

    return stream


def _resident(images, device):
    # torch cannot index uint16; the same bits as int16 it can.
    wide = images.dtype == np.uint16
    bits = images.view(np.int16) if wide else images
    parts = (torch.from_numpy(bits[i : i + 4096].copy()).to(device) for i in range(0, len(bits), 4096))
    pixels = torch.cat(list(parts))
    if wide:
        return lambda rows: pixels[rows].view(torch.uint16)
    return lambda rows: pixels[rows]


def ahead(work, items):
    """`map(work, items)`, in which a thread does the next piece of work while the one before is used.

    An error of `work` is raised when its piece is due. Leaving early waits for the piece at hand.
    """
    with ThreadPoolExecutor(1) as thread:
        due = None
        for item in items:
            coming = thread.submit(work, item)
            if due:
                yield due.result()
            due = coming
        if due:
            yield due.result()
