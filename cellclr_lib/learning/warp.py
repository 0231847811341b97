"""Batched geometry and blur with one set of parameters per image, both as matrix products.

Positions are in pixels from the centre of the image, x to the right and y down. Used by `augment`;
explained in chapter 3, *views*.
"""

import functools
import math

import torch


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
    centre, linear = _affine(n, height, width, box, flip, angle, device)
    x, y = (torch.arange(size, device=device) - (size - 1) / 2 for size in (width, height))
    # grid[i, j] = centre + linear · (x_j, y_i) is a product over i and j of two rows; each line of the coarse
    # net adds one more. So one matrix product per image makes the grid, (H, 2 + J) @ (2 + J, 2 W).
    left = [torch.ones(height, 1, device=device), y[:, None]]
    right = [
        centre[:, None, None] + x[:, None] * linear[:, None, None, :, 0],  # (N, 1, W, 2)
        linear[:, None, None, :, 1].expand(n, 1, width, 2),
    ]
    if bend is not None:
        bend = (linear @ bend.flatten(2)).view(bend.shape)
        right.append((bend @ _net(width, bend_length_px, device).T).permute(0, 2, 3, 1))  # (N, J, W, 2)
        left.append(_net(height, bend_length_px, device))
    grid = torch.bmm(torch.cat(left, dim=1).expand(n, -1, -1), torch.cat(right, dim=1).flatten(2))
    return grid.view(n, height, width, 2)


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
    n, channels, height, width = images.shape
    distance = torch.arange(kernel_px, device=images.device) - kernel_px // 2
    kernel = torch.exp(-0.5 * (distance / sigma.clamp(min=1e-3)[:, None]) ** 2)
    kernel = kernel / kernel.sum(1, keepdim=True)  # (N, kernel_px)
    # A batched product with a banded (side, side) matrix outruns sliding the kernel over these small images.
    down, across = ((kernel @ _shifts(s, kernel_px, images.device)).view(n, s, s) for s in (height, width))
    images = torch.bmm(images.reshape(n, channels * height, width), across.transpose(1, 2))
    images = images.view(n, channels, height, width)
    return torch.stack([torch.bmm(down, images[:, channel]) for channel in range(channels)], dim=1)


def _affine(n, height, width, box, flip, angle, device):
    """Centre (N, 2) and linear part (N, 2, 2) of result (x, y) in px → source (x, y) in grid_sample's units."""
    unit = torch.tensor([2 / width, 2 / height], device=device)  # -1 and 1 are the outer edges of the image
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
    return centre * unit, linear * unit[:, None]


@functools.lru_cache(maxsize=16)
def _net(size, length_px, device):
    """Weights (size, nodes) that turn independent normal numbers at the nodes into a smooth field at the pixels.

    White noise smoothed by a Gaussian of standard deviation s has correlation exp(-r² / 4s²), hence
    s = length / 2. Rows of unit length give every pixel the variance of a node.
    """
    sigma = length_px / 2
    nodes = torch.arange(net_nodes(size, length_px), device=device) * sigma - 3 * sigma
    weights = torch.exp(-0.5 * ((torch.arange(size, device=device)[:, None] - nodes) / sigma) ** 2)
    return weights / weights.norm(dim=1, keepdim=True)


@functools.lru_cache(maxsize=16)
def _shifts(size, kernel_px, device):
    """0/1 matrix (kernel_px, size · size): tap t of pixel i reads pixel i + t - kernel_px // 2, mirrored."""
    reach = kernel_px // 2
    if reach >= size:
        raise ValueError(f"a blur kernel of {kernel_px} px is too wide for images of {size} px; make it smaller")
    taps = torch.arange(-reach, reach + 1, device=device)[:, None]
    source = (torch.arange(size, device=device) + taps).abs()
    source = (size - 1) - ((size - 1) - source).abs()  # mirrored about the centres of the border pixels
    return torch.nn.functional.one_hot(source, size).float().flatten(1)
