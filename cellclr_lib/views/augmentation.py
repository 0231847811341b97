"""Make two random views of every cell: the changes that a good feature must not notice.

A view is drawn (`sampling.draw_view`: a few random numbers per cell) and then applied (`apply_view`: no randomness
left). Crop, flips, rotation and elastic deformation are composed into one sampling grid, so that pixels are
interpolated once. No crop is larger than the image, hence every view magnifies and needs no antialiasing.
Source of the views: Perakis et al. 2021. Explained in chapter 3, *views*.
"""

import numpy as np
import torch

from cellclr_lib.views.config import ViewConfig
from cellclr_lib.views.pixels import to_float
from cellclr_lib.views.sampling import ViewDraw, draw_view
from cellclr_lib.views.torch_backend import apply_batched


def two_views(
    images: np.ndarray | torch.Tensor,
    config: ViewConfig,
    generator: torch.Generator,
    partners: np.ndarray | torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw two independent random views of every cell, or of every cell and its partner.

    Parameters
    ----------
    images : ndarray or Tensor, shape (N, C, H, W)
        Integers are divided by the largest value of their type (uint8 by 255, uint16 by 65,535);
        floating-point values are taken as they are. Not changed.
    config : ViewConfig
    generator : torch.Generator
        The only source of randomness; on the CPU or on the device of `images`.
    partners : ndarray or Tensor, shape (N, C, H, W), optional
        What the second views show; `images` if not given.

    Returns
    -------
    view1, view2 : Tensor, shape (N, C, H, W), float32
        On the device of `images`. Not clipped: jitter may leave [0, 1].

    Raises
    ------
    ValueError
        If `images` is not a batch of at least one non-empty numeric (C, H, W) image, or `config` does not suit
        its shape.
    TypeError
        If `generator` is not a `torch.Generator`.

    Examples
    --------
    >>> from cellclr_lib.views import ViewConfig
    >>> images = np.full((2, 3, 32, 32), 255, np.uint8)
    >>> view1, view2 = two_views(images, ViewConfig.none(), torch.Generator().manual_seed(0))
    >>> view1.shape, view1.dtype, view2.unique().tolist()
    (torch.Size([2, 3, 32, 32]), torch.float32, [1.0])
    """
    first = _as_tensor(images)
    second = first if partners is None else _as_tensor(partners)
    if second.shape != first.shape:
        shapes = tuple(second.shape), tuple(first.shape)
        raise ValueError("partners have shape {}, images {}; expected the same".format(*shapes))
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"generator is a {type(generator).__name__}; expected a torch.Generator")
    draws = [draw_view(config, first.shape, generator).map(lambda t: t.to(first.device)) for _ in range(2)]
    view1, view2 = (apply_view(shown, draw, config) for shown, draw in zip((first, second), draws, strict=True))
    return view1, view2


@torch.no_grad()
def apply_view(images: torch.Tensor, draw: ViewDraw, config: ViewConfig) -> torch.Tensor:
    """Change `images` (N, C, H, W), a tensor of any type, as drawn; return a new float32 tensor of the same shape.

    In this order: crop, flips, rotation, elastic deformation (one interpolation, mirrored beyond the border),
    jitter, blur, channel drop, noise.

    Examples
    --------
    >>> from cellclr_lib.views import ViewConfig
    >>> config = ViewConfig()
    >>> draw = draw_view(config, (2, 3, 32, 32), torch.Generator().manual_seed(0))
    >>> images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    >>> torch.equal(apply_view(images, draw, config), apply_view(images, draw, config))
    True
    """
    with torch.autocast(images.device.type, enabled=False):  # coordinates need full precision
        if images.device.type == "cpu":
            from cellclr_lib.views.numba_backend import apply_per_image

            return apply_per_image(images, draw, config)
        return apply_batched(to_float(images), draw, config)


def _as_tensor(images: object) -> torch.Tensor:
    if isinstance(images, np.ndarray):
        if images.dtype.kind not in "iuf":
            raise ValueError(f"images must be integers or floating-point numbers, not {images.dtype}")
        native = images.dtype.newbyteorder("=")
        images = torch.from_numpy(np.require(images, dtype=native, requirements=["C", "W"]))
    if not isinstance(images, torch.Tensor) or images.ndim != 4 or images.numel() == 0:
        found = tuple(images.shape) if hasattr(images, "shape") else type(images).__name__
        raise ValueError(f"images must be (N, C, H, W) with at least one cell and pixel, not {found}")
    if images.dtype == torch.bool or images.dtype.is_complex:
        raise ValueError(f"images must be integers or floating-point numbers, not {images.dtype}")
    return images
