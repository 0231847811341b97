"""Convert stored pixels to float32 in [0, 1]."""

import torch

COMPILED = (torch.uint8, torch.uint16, torch.float32)  # the types that compiled loops are made for


def full_scale(dtype: torch.dtype) -> int:
    """Return what stands for 1 in images of `dtype`: the largest integer, or 1 itself."""
    return 1 if dtype.is_floating_point else torch.iinfo(dtype).max


def to_float(images: torch.Tensor) -> torch.Tensor:
    """Convert images to float32; integers are divided by the largest value of their type."""
    # A product costs half of a division, and full scale still becomes exactly 1.
    return images if images.dtype == torch.float32 else images.to(torch.float32).mul_(1 / full_scale(images.dtype))


def compilable(images: torch.Tensor) -> torch.Tensor:
    """Return images as they are if there are compiled loops for their type, else as float32."""
    return images if images.dtype in COMPILED else to_float(images)
