"""Compute where each pixel of a view comes from, and the weights of its blur; shared by both backends.

Explained in chapter 3, *views*.
"""

import functools
import math

import torch


def net_nodes(size, length_px):
    """Number of nodes of the coarse net along an axis of `size` pixels."""
    return math.ceil(2 * (size - 1) / length_px) + 7


def blur_kernel(sigma, kernel_px, size):
    """Weights (N, kernel_px) of Gaussians of standard deviations `sigma` (N,), cut off; they sum to 1.

    Raises
    ------
    ValueError
        If the kernel reaches beyond the mirror image of `size` px.
    """
    reach = kernel_px // 2
    if reach >= size:
        raise ValueError(f"a blur kernel of {kernel_px} px is too wide for images of {size} px; make it smaller")
    taps = torch.arange(-reach, reach + 1, device=sigma.device)
    kernel = exp(-0.5 * (taps / sigma.clamp(min=1e-3)[:, None]) ** 2)
    return kernel / kernel.sum(1, keepdim=True)


def exp(values):
    """e to the power of `values`, as `torch.exp`.

    On a CPU, that would share as few as 2,048 numbers between threads, which then spin on for a while and take the
    processor from the loops of `numba_backend`: a third of the time of a view. Powers are shared from 32,768
    numbers on.
    """
    return torch.pow(math.e, values)


def affine(n, height, width, box, flip, angle, device):
    """Centre (N, 2) and linear part (N, 2, 2) of result (x, y) → source (x, y), in px from the centre."""
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
def net(size, length_px, device):
    """Weights (size, nodes) that turn independent normal numbers at the nodes into a smooth field at the pixels.

    White noise smoothed by a Gaussian of standard deviation s has correlation exp(-r² / 4s²), hence
    s = length / 2. Rows of unit length give every pixel the variance of a node.
    """
    sigma = length_px / 2
    nodes = torch.arange(net_nodes(size, length_px), device=device) * sigma - 3 * sigma
    weights = torch.exp(-0.5 * ((torch.arange(size, device=device)[:, None] - nodes) / sigma) ** 2)
    return weights / weights.norm(dim=1, keepdim=True)
