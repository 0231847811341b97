"""Batched geometry and blur with one set of parameters per image.

Both come down to mixing rows of pixels: a few rows of an image, times weights, make a row of the result. With the
image transposed the same mixes columns. Only what bends rows or turns them by an odd angle looks up each pixel.
Positions are in pixels from the centre of the image, x to the right and y down. Used by `augment`;
explained in chapter 3, *views*.
"""

import functools
import math

import torch
from torch.nn.functional import embedding_bag, grid_sample

UPRIGHT, SIDEWAYS, FREE = range(3)  # rows of the image stay rows, become columns, or neither


def movements(shape, box=None, flip=None, angle=None, bend=None):
    """What becomes of the rows of each image: (N,) of UPRIGHT, SIDEWAYS and FREE. Arguments as `sampling_grid`."""
    _, linear = _affine(*shape, box, flip, angle, "cpu")
    zero = linear.abs() < 1e-6  # cos(90°) is 4e-8 in float32
    movement = torch.full(shape[:1], FREE)
    movement[zero[:, 0, 0] & zero[:, 1, 1]] = SIDEWAYS
    movement[zero[:, 0, 1] & zero[:, 1, 0]] = UPRIGHT
    if bend is not None:
        movement[(bend != 0).flatten(1).any(dim=1)] = FREE
    return movement


def resample(images, box=None, flip=None, angle=None, bend=None, bend_length_px=8.0, movement=FREE):
    """Each image cropped to `box` and stretched, mirrored, turned and bent, in this order, in one interpolation.

    Bilinear, mirrored at the border.

    Parameters
    ----------
    images : Tensor, shape (N, C, H, W), float32
    box, flip, angle, bend, bend_length_px
        As for `sampling_grid`.
    movement : {UPRIGHT, SIDEWAYS, FREE}
        Of all these images, as `movements` says. FREE is always right, the others are faster on a CPU.

    Returns
    -------
    Tensor, shape (N, C, H, W)
    """
    n, _, height, width = images.shape
    if movement == FREE:
        grid = sampling_grid((n, height, width), box, flip, angle, bend, bend_length_px, images.device)
        return grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    centre, linear = _affine(n, height, width, box, flip, angle, images.device)
    if movement == UPRIGHT:
        return _stretch(images, centre, linear.diagonal(dim1=1, dim2=2), height, width)
    # Sideways, x of the result runs along y of the image, so that its transpose is upright.
    return _stretch(images, centre, linear.flip(2).diagonal(dim1=1, dim2=2), width, height).transpose(2, 3)


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
    # Each term of centre + linear · (x_j, y_i) is a function of i times one of j, and so is what each node of the
    # coarse net adds. With these functions as columns of two matrices, grid = down @ middle @ across.T.
    down, across = (
        torch.stack([torch.ones(size, device=device), _positions(size, device)], dim=1) for size in (height, width)
    )
    if bend is not None:
        down, across = (torch.cat([c, _net(len(c), bend_length_px, device)], dim=1) for c in (down, across))
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
    reach = kernel_px // 2
    taps = torch.arange(-reach, reach + 1, device=images.device)
    kernel = torch.exp(-0.5 * (taps / sigma.clamp(min=1e-3)[:, None]) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True))[:, None]  # (N, 1, kernel_px)
    transposed = images.transpose(2, 3).is_contiguous()  # in memory, as `resample` may leave them
    images = images.transpose(2, 3) if transposed else images
    for _ in range(2):
        size = images.shape[2]
        if reach >= size:
            raise ValueError(
                f"a blur kernel of {kernel_px} px is too wide for images of {size} px; make it smaller"
            )
        source = (torch.arange(size, device=images.device)[:, None] + taps).abs()
        source = (size - 1) - ((size - 1) - source).abs()  # mirrored about the centres of the border pixels
        images = _mix_rows(images, source[None], kernel).transpose(2, 3)
    return images.transpose(2, 3) if transposed else images


def _stretch(images, centre, scale, height, width):
    """The part of each image around `centre` (N, 2), of `scale` (N, 2) times the result's sides, both x and y."""
    for axis, size in [(1, height), (0, width)]:  # down the image, then, as it comes back transposed, across
        sides = images.shape[2]
        position = centre[:, axis, None] + scale[:, axis, None] * _positions(size, images.device)
        position = (position + sides / 2).remainder(2 * sides)  # from the outer edge of the first pixel
        position = (sides - 0.5 - (position - sides).abs()).clamp(0, sides - 1)  # mirrored at both edges
        first = position.floor()
        source = torch.stack([first, (first + 1).clamp(max=sides - 1)], dim=2).long()
        weights = torch.stack([1 - (position - first), position - first], dim=2)
        images = _mix_rows(images, source, weights).transpose(2, 3)
    return images


def _mix_rows(images, source, weights):
    """Row i of result n is the sum over t of weights[n, i, t] times row source[n, i, t] of image n.

    Parameters
    ----------
    images : Tensor, shape (N, C, H, W)
    source, weights : Tensor, int64 and float32, shape (N, I, T) or broadcast to it

    Returns
    -------
    Tensor, shape (N, C, I, W)
    """
    n, channels, height, width = images.shape
    # All rows of all images are one table, and weighted sums of rows of a table are what embedding_bag computes.
    first = (torch.arange(n * channels, device=images.device) * height).view(n, channels, 1, 1)
    rows = first + source[:, None]
    mixed = embedding_bag(
        rows.flatten(0, 2),
        images.reshape(-1, width),
        per_sample_weights=weights[:, None].expand(rows.shape).flatten(0, 2),
        mode="sum",
    )
    return mixed.view(n, channels, source.shape[1], width)


def _affine(n, height, width, box, flip, angle, device):
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
def _net(size, length_px, device):
    """Weights (size, nodes) that turn independent normal numbers at the nodes into a smooth field at the pixels.

    White noise smoothed by a Gaussian of standard deviation s has correlation exp(-r² / 4s²), hence
    s = length / 2. Rows of unit length give every pixel the variance of a node.
    """
    sigma = length_px / 2
    nodes = torch.arange(net_nodes(size, length_px), device=device) * sigma - 3 * sigma
    weights = torch.exp(-0.5 * ((torch.arange(size, device=device)[:, None] - nodes) / sigma) ** 2)
    return weights / weights.norm(dim=1, keepdim=True)
