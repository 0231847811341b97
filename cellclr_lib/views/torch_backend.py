"""Apply views to a whole batch in torch operations: what a GPU is good at.

On a CPU, `numba_backend` gives the same views image by image. Positions are in px from the centre of the image, x
to the right and y down. Explained in chapter 3, *views*.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import grid_sample, one_hot

from cellclr_lib.views.geometry import affine, blur_kernel, net

if TYPE_CHECKING:
    from cellclr_lib.views.config import ViewConfig
    from cellclr_lib.views.sampling import ViewDraw


def resample(
    images: torch.Tensor,
    box: torch.Tensor | None = None,
    flip: torch.Tensor | None = None,
    angle: torch.Tensor | None = None,
    bend: torch.Tensor | None = None,
    bend_length_px: float = 8.0,
) -> torch.Tensor:
    """Crop each image to `box` and stretch, mirror, turn and bend it, in this order, in one interpolation.

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


def sampling_grid(
    shape: tuple[int, int, int],
    box: torch.Tensor | None = None,
    flip: torch.Tensor | None = None,
    angle: torch.Tensor | None = None,
    bend: torch.Tensor | None = None,
    bend_length_px: float = 8.0,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Compute where each pixel of the result is read from, for `grid_sample(..., align_corners=False)`.

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


def gaussian_blur(images: torch.Tensor, sigma: torch.Tensor, kernel_px: int) -> torch.Tensor:
    """Blur with a Gaussian of one `sigma` per image, mirrored at the border.

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


def _positions(size: int, device: torch.device | str) -> torch.Tensor:
    """Compute the position of each pixel along an axis, (size,)."""
    return torch.arange(size, device=device) - (size - 1) / 2


@functools.lru_cache(maxsize=16)
def _mirrored(size: int, kernel_px: int, device: torch.device) -> torch.Tensor:
    """Mark (kernel_px, size, size) which pixel of an axis each tap meets, mirrored at the border pixels."""
    reach = kernel_px // 2
    met = (torch.arange(size) + torch.arange(-reach, reach + 1)[:, None]).abs()
    met = (size - 1) - ((size - 1) - met).abs()
    return one_hot(met, size).to(device, torch.float32)


def apply_batched(images: torch.Tensor, draw: ViewDraw, config: ViewConfig) -> torch.Tensor:
    """Apply a view to float32 `images` in operations of torch on the whole batch."""
    if draw.box is None and draw.flip is None and draw.angle is None and draw.bend is None:
        view = images.clone()
    else:
        bend = None
        if draw.bend is not None and draw.bend_px is not None:
            bend = draw.bend_px[:, None, None, None] * draw.bend
        view = resample(images, draw.box, draw.flip, draw.angle, bend, config.elastic_length_px)
    if draw.brightness is not None and draw.contrast is not None:
        offset = draw.brightness * (1 - draw.contrast) * view.mean((2, 3))
        view.mul_((draw.brightness * draw.contrast)[:, :, None, None]).add_(offset[:, :, None, None])
    if draw.sigma is not None:
        view = gaussian_blur(view, draw.sigma, config.blur_kernel_px)
    if draw.keep is not None:
        view.mul_(draw.keep[:, :, None, None])
    if draw.noise is not None:
        view.add_(draw.noise)
    return view
