"""Batched geometry and blur with one set of parameters per image, in torch operations for any device.

Positions are in pixels from the centre of the image, x to the right and y down. Used by `augment`, and on a CPU,
where `fused` computes the same image by image, for its parameters; explained in chapter 3, *views*.
"""

import functools
import math

import torch
from torch.nn.functional import grid_sample, one_hot


def resample(images, box=None, flip=None, angle=None, bend=None, bend_length_px=8.0):
    """Each image cropped to `box` and stretched, mirrored, turned and bent, in this order, in one interpolation.

    Bilinear, mirrored at the border.

    Parameters
    ----------
    images : Tensor, shape (N, C, H, W), float32
    box, flip, angle, bend, bend_length_px
        As for `sampling_grid`.

    Returns
    -------
    Tensor, shape (N, C, H, W)
    """
    n, _, height, width = images.shape
    grid = sampling_grid((n, height, width), box, flip, angle, bend, bend_length_px, images.device)
    return grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def sampling_grid(shape, box=None, flip=None, angle=None, bend=None, bend_length_px=8.0, device="cpu"):
    """Where each pixel of the result is read from, for `grid_sample(..., align_corners=False)`.

    The image is cropped to `box` and stretched, mirrored, turned, and bent, in this order.

    Parameters
    ----------
    shape : (N, H, W)
    box : Tensor, shape (N, 4), optional
        Top, left, height and width of the part shown, in px.
    flip : Tensor, shape (N, 2), optional
        Factors of x and y: -1 mirrors, 1 does not.
    angle : Tensor, shape (N,), optional
        Counter-clockwise, in degrees.
    bend : Tensor, shape (N, 2, J, K), optional
        Independent normal numbers at the nodes of a net (`net_nodes`), along x and y: the displacement of a
        pixel has their standard deviation, in px, and correlation exp(-(r / bend_length_px)²) at distance r.

    Returns
    -------
    Tensor, shape (N, H, W, 2), float32
    """
    n, height, width = shape
    centre, linear = affine(n, height, width, box, flip, angle, device)
    # Each term of centre + linear · (x_j, y_i) is a function of i times one of j, and so is what each node of the
    # coarse net adds. With these functions as columns of two matrices, grid = down @ middle @ across.T.
    down, across = (
        torch.stack([torch.ones(size, device=device), _positions(size, device)], dim=1) for size in (height, width)
    )
    if bend is not None:
        down, across = (torch.cat([c, net(len(c), bend_length_px, device)], dim=1) for c in (down, across))
    middle = torch.zeros(n, 2, down.shape[1], across.shape[1], device=device)
    middle[:, :, 0, 0], middle[:, :, 0, 1], middle[:, :, 1, 0] = centre, linear[:, :, 0], linear[:, :, 1]
    if bend is not None:
        middle[:, :, 2:, 2:] = (linear @ bend.flatten(2)).view(bend.shape)
    middle[:, 0] *= 2 / width  # -1 and 1 are the outer edges of the image
    middle[:, 1] *= 2 / height
    grid = torch.bmm(down.expand(2 * n, -1, -1), middle.flatten(0, 1)) @ across.T
    return grid.view(n, 2, height, width).permute(0, 2, 3, 1)


def net_nodes(size, length_px):
    """Number of nodes of the coarse net along an axis of `size` pixels."""
    return math.ceil(2 * (size - 1) / length_px) + 7


def gaussian_blur(images, sigma, kernel_px):
    """Gaussian blur with one `sigma` per image, mirrored at the border.

    Parameters
    ----------
    images : Tensor, shape (N, C, H, W), float32
    sigma : Tensor, shape (N,)
        Standard deviations in px; 0 leaves the image as it is.
    kernel_px : int
        Width at which the kernel is cut off, odd.

    Returns
    -------
    Tensor, shape (N, C, H, W)
    """
    sizes = images.shape[2:]
    kernel = blur_kernel(sigma, kernel_px, min(sizes))
    # Row i of a matrix holds the weights that all rows of an image have in row i of the result.
    down, across = (torch.tensordot(kernel, _mirrored(size, kernel_px, images.device), 1) for size in sizes)
    return down[:, None] @ images @ across[:, None].mT


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
    processor from the loops of `fused`: a third of the time of a view. Powers are shared from 32,768 numbers on.
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


def _positions(size, device):
    """Position of each pixel along an axis, (size,)."""
    return torch.arange(size, device=device) - (size - 1) / 2


@functools.lru_cache(maxsize=16)
def _mirrored(size, kernel_px, device):
    """(kernel_px, size, size) of 0 and 1: which pixel of an axis each tap meets, mirrored at the border pixels."""
    reach = kernel_px // 2
    met = (torch.arange(size) + torch.arange(-reach, reach + 1)[:, None]).abs()
    met = (size - 1) - ((size - 1) - met).abs()
    return one_hot(met, size).to(device, torch.float32)


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
