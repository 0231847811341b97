"""Where and how precisely to compute, and how pixels get there. Shared by training and embedding."""

import logging
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import interpolate

from cellclr_lib.learning.augment import to_float

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


def pixel_source(images, device):
    """Function that gives the crops of some rows as a tensor on `device`, in the type they are stored in.

    Parameters
    ----------
    images : ndarray or memmap (N, C, H, W)
    device : torch.device
        A GPU with room enough gets all crops at once; otherwise each batch is read where it lies.

    Returns
    -------
    callable
        (n,) int64 tensor of rows on the CPU → (n, C, H, W) tensor.
    """
    if device.type == "cuda" and images.nbytes < RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]:
        # torch cannot index uint16; the same bits as int16 it can.
        wide = images.dtype == np.uint16
        bits = images.view(np.int16) if wide else images
        parts = (torch.from_numpy(bits[i : i + 4096].copy()).to(device) for i in range(0, len(bits), 4096))
        resident = torch.cat(list(parts))
        log.info("%.1f GB of crops kept on the GPU", images.nbytes / 1e9)
        if wide:
            return lambda rows: resident[rows.to(device)].view(torch.uint16)
        return lambda rows: resident[rows.to(device)]
    return lambda rows: torch.from_numpy(images[rows.numpy()]).to(device)


def shrunk_px(crop_px, input_px):
    """Side in px of what the network sees: `input_px`, or `crop_px` if that is None or no smaller."""
    return crop_px if input_px is None else min(crop_px, input_px)


def shrink(images, input_px):
    """Float32 crops (N, C, H, W), integers scaled to [0, 1], averaged down to `input_px` px if larger."""
    images, px = to_float(images), shrunk_px(images.shape[-1], input_px)
    return images if px == images.shape[-1] else interpolate(images, size=(px, px), mode="area")
