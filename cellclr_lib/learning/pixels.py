"""Stored pixels → float32 at the size that the network sees."""

import torch
from torch.nn.functional import interpolate

COMPILED = (torch.uint8, torch.uint16, torch.float32)  # the types that compiled loops are made for


def full_scale(dtype):
    """What stands for 1 in images of `dtype`: the largest integer, or 1 itself."""
    return 1 if dtype.is_floating_point else torch.iinfo(dtype).max


def to_float(images):
    """Float32 tensor of `images`; integers are divided by the largest value of their type."""
    # A product costs half of a division, and full scale still becomes exactly 1.
    return images if images.dtype == torch.float32 else images.to(torch.float32).mul_(1 / full_scale(images.dtype))


def shrunk_px(crop_px, input_px):
    """Side in px of what the network sees: `input_px`, or `crop_px` if that is None or no smaller."""
    return crop_px if input_px is None else min(crop_px, input_px)


def shrink(images, input_px):
    """Float32 crops (N, C, H, W), integers scaled to [0, 1], averaged down to `input_px` px if larger."""
    side, px = images.shape[-1], shrunk_px(images.shape[-1], input_px)
    if side == px:
        return to_float(images)
    if images.device.type == "cpu" and side % px == 0:
        return read_shrunk(compilable(images).numpy(), torch.arange(len(images)), px)
    return interpolate(to_float(images), size=(px, px), mode="area")


def read_shrunk(images, rows, input_px):
    """`shrink` of the crops `rows` (n,), an int64 tensor, of an ndarray or memmap, read where they lie."""
    side, px = images.shape[-1], shrunk_px(images.shape[-1], input_px)
    if side == px or side % px or getattr(torch, images.dtype.name) not in COMPILED:
        return shrink(torch.from_numpy(images[rows.numpy()]), px)
    from cellclr_lib.learning.averaged import average  # numba takes a second to import

    return average(images, rows, side // px)


def compilable(images):
    """`images` if there are compiled loops for their type, else as float32."""
    return images if images.dtype in COMPILED else to_float(images)
