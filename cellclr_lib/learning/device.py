"""Choose the device and the precision to compute in. Used by training and embedding."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

CPU_INFO = Path("/proc/cpuinfo")  # what Linux knows of the processor


def choose_device(device: str = "auto") -> torch.device:
    """Choose the device for "auto" (a GPU if there is one), "cpu" or "cuda".

    Raises
    ------
    ValueError
        If the name is unknown, or "cuda" is wanted and there is none.

    Examples
    --------
    >>> choose_device("cpu")
    device(type='cpu')
    """
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device is {device!r}; expected auto, cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError('device is "cuda" but torch finds no GPU here; take "auto" or "cpu"')
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def choose_bf16(precision: str, device: torch.device) -> bool:
    """Decide whether to compute in bfloat16.

    Parameters
    ----------
    precision : {"auto", "bf16", "fp32"}
        "auto": bfloat16 on a GPU that has it, and on a processor with AMX. AVX512-bf16 alone is no reason: there,
        training in float32 is faster.
    device : torch.device

    Returns
    -------
    bool

    Raises
    ------
    ValueError
        If `precision` is none of the three.

    Examples
    --------
    >>> choose_bf16("fp32", torch.device("cpu"))
    False
    """
    if precision not in ("auto", "bf16", "fp32"):
        raise ValueError(f"precision is {precision!r}; expected auto, bf16 or fp32")
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return torch.backends.mkldnn.is_available() and "amx_bf16" in _processor_flags()


def _processor_flags() -> set[str]:
    """List what this processor can do, as Linux names it; nothing on another system."""
    try:
        lines = CPU_INFO.read_text().splitlines()
    except OSError:
        return set()
    return {flag for line in lines if line.startswith("flags") for flag in line.partition(":")[2].split()}


def autocast(device: torch.device, bf16: bool) -> torch.autocast:
    """Make a context in which a network computes in bfloat16, or as it is if not `bf16`."""
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16)


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keep the memory that this process frees, and hand it back at the end of the context.

    The C library of Linux returns large blocks to the system as soon as they are free. Each step of a training
    takes the same blocks again, and the system hands them out page by page, each filled with zeros first.
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
