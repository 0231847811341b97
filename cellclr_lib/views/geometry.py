"""Compute where each pixel of a view comes from, and the weights of its blur; shared by both backends.

Explained in chapter 3, *views*.
"""

import functools
import math

import torch


def net_nodes(size: int, length_px: float) -> int:
    """Count the nodes of the coarse net along an axis of `size` pixels."""
    return math.ceil(2 * (size - 1) / length_px) + 7


def blur_kernel(sigma: torch.Tensor, kernel_px: int, size: int) -> torch.Tensor:
    """Compute the weights (N, kernel_px) of Gaussians of standard deviations `sigma` (N,), cut off; they sum to 1.

    Raises
    ------
    ValueError
        If the kernel reaches beyond the mirror image of `size` px.

    Examples
    --------
    >>> [round(weight, 3) for weight in blur_kernel(torch.tensor([1.0]), 3, size=8)[0].tolist()]
    [0.274, 0.452, 0.274]
    """
    reach = kernel_px // 2
    if reach >= size:
        raise ValueError(f"a blur kernel of {kernel_px} px is too wide for images of {size} px; make it smaller")
    taps = torch.arange(-reach, reach + 1, device=sigma.device)
    kernel = exp(-0.5 * (taps / sigma.clamp(min=1e-3)[:, None]) ** 2)
    return kernel / kernel.sum(1, keepdim=True)


def exp(values: torch.Tensor) -> torch.Tensor:
    """Raise e to the power of `values`, as `torch.exp`.

    On a CPU, that would share as few as 2,048 numbers between threads, which then keep spinning for a while and
    take the processor from the loops of `numba_backend`: a third of the time of a view. Powers are shared from
    32,768 numbers on.
    """
    return torch.pow(math.e, values)


def affine(
    n: int,
    height: int,
    width: int,
    box: torch.Tensor | None,
    flip: torch.Tensor | None,
    angle: torch.Tensor | None,
    device: torch.device | str,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute centre (N, 2) and linear part (N, 2, 2) of the map from result to source, x and y in px."""
    linear = torch.eye(2, device=device).expand(n, 2, 2)
    centre = torch.zeros(n, 2, device=device)
    if angle is not None:
        cos, sin = torch.cos(torch.deg2rad(angle)), torch.sin(torch.deg2rad(angle))
        linear = torch.stack([cos, -sin, sin, cos], dim=1).view(n, 2, 2)
    if flip is not None:
        linear = flip[:, :, None] * linear
    if box is not None:
        top, left, box_height, box_width = box.T
        centre = torch.stack([left + (box_width - width) / 2, top + (box_height - height) / 2], dim=1)
        linear = torch.stack([box_width / width, box_height / height], dim=1)[:, :, None] * linear
    return centre, linear


@functools.lru_cache(maxsize=16)
def net(size: int, length_px: float, device: torch.device | str) -> torch.Tensor:
    """Compute weights (size, nodes) that turn independent normal numbers at nodes into a smooth field at pixels.

    White noise smoothed by a Gaussian of standard deviation s has correlation exp(-r² / 4s²), hence
    s = length / 2. Rows of unit length give every pixel the variance of a node.
    """
    sigma = length_px / 2
    nodes = torch.arange(net_nodes(size, length_px), device=device) * sigma - 3 * sigma
    weights = torch.exp(-0.5 * ((torch.arange(size, device=device)[:, None] - nodes) / sigma) ** 2)
    return weights / weights.norm(dim=1, keepdim=True)
