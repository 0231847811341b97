"""Draw the random numbers of a view; `cellclr_lib.views.augmentation` applies them.

Explained in chapter 3, *views*.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch

from cellclr_lib.views.geometry import exp, net_nodes

if TYPE_CHECKING:
    from cellclr_lib.views.config import ViewConfig


@dataclass
class ViewDraw:
    """Hold what was drawn for N cells; None where the configuration switches a change off."""

    box: torch.Tensor | None  #: (N, 4) top, left, height, width of the part shown, in px
    flip: torch.Tensor | None  #: (N, 2) factors of x and y: -1 mirrored, 1 not
    angle: torch.Tensor | None  #: (N,) counter-clockwise, in degrees
    bend: torch.Tensor | None  #: (N, 2, J, K) displacement at the nodes of a coarse net, in `bend_px`
    bend_px: torch.Tensor | None  #: (N,) standard deviation of the displacement in px, 0 for none
    brightness: torch.Tensor | None  #: (N, C) factor of the values
    contrast: torch.Tensor | None  #: (N, C) factor of the distances from the mean
    keep: torch.Tensor | None  #: (N, C) 0 for a dropped channel, else 1
    sigma: torch.Tensor | None  #: (N,) standard deviation of the blur in px, 0 for none
    noise: torch.Tensor | None  #: (N, C, H, W) what is added

    def map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> ViewDraw:
        """Return a `ViewDraw` with `change` done to each tensor."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return ViewDraw(**{name: v if v is None else change(v) for name, v in values.items()})


def draw_view(config: ViewConfig, shape: Sequence[int], generator: torch.Generator) -> ViewDraw:
    """Draw the random numbers of one view for a batch of `shape` (N, C, H, W), on the generator's device.

    Returns
    -------
    ViewDraw

    Examples
    --------
    >>> from cellclr_lib.views.config import ViewConfig
    >>> draw = draw_view(ViewConfig(noise_p=0), (2, 3, 48, 48), torch.Generator().manual_seed(0))
    >>> draw.box.shape, draw.noise
    (torch.Size([2, 4]), None)
    """
    n, channels, height, width = shape
    device = generator.device

    def uniform(*size: int, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
        return low + (high - low) * torch.rand(size, generator=generator, device=device)

    def chosen(probability: float | torch.Tensor, *size: int) -> torch.Tensor:
        return uniform(*size) < probability

    draw = ViewDraw(*[None] * len(fields(ViewDraw)))
    if config.crop_p or config.centre_crop_p:
        draw.box = _draw_box(config, n, height, width, uniform)
    if config.horizontal_flip_p or config.vertical_flip_p:
        chance = _constant(device, config.horizontal_flip_p, config.vertical_flip_p)
        draw.flip = 1 - 2 * chosen(chance, n, 2).float()
    if config.quarter_turn_p or config.rotation_p:
        turns = uniform(n, low=1, high=4).floor() * chosen(config.quarter_turn_p, n)
        limit = config.rotation_degrees
        draw.angle = 90 * turns + uniform(n, low=-limit, high=limit) * chosen(config.rotation_p, n)
    if config.elastic_p and config.elastic_std_px:
        nodes = [net_nodes(size, config.elastic_length_px) for size in (height, width)]
        draw.bend_px = config.elastic_std_px * chosen(config.elastic_p, n)
        draw.bend = torch.randn(n, 2, *nodes, generator=generator, device=device)
    if config.jitter_p:
        used = chosen(config.jitter_p, n, channels)
        for name in ("brightness", "contrast"):
            limit = getattr(config, name)
            setattr(draw, name, 1 + used * uniform(n, channels, low=-limit, high=limit))
    if config.channel_drop_p:
        if channels < 2:
            raise ValueError("channel_drop_p would empty images of one channel; set it to 0")
        victim = uniform(n, 1, high=channels).floor()
        hit = (torch.arange(channels, device=device) == victim) & chosen(config.channel_drop_p, n, 1)
        draw.keep = 1 - hit.float()
    if config.blur_p:
        low, high = config.blur_sigma_px
        draw.sigma = uniform(n, low=low, high=high) * chosen(config.blur_p, n)
    if config.noise_p:
        low, high = config.noise_std
        size = uniform(n, 1, 1, 1, low=low, high=high) * chosen(config.noise_p, n, 1, 1, 1)
        draw.noise = size * torch.randn(shape, generator=generator, device=device)
    return draw


@functools.lru_cache(maxsize=64)
def _constant(device: torch.device, *numbers: float) -> torch.Tensor:
    """Make a tensor of a few numbers, once: to send them to a GPU is to wait for all that it has to do."""
    return torch.tensor(numbers, device=device)


def _draw_box(
    config: ViewConfig, n: int, height: int, width: int, uniform: Callable[..., torch.Tensor]
) -> torch.Tensor:
    """Draw the part of the image to show, (n, 4) top, left, height, width in px: a centred within a random box."""
    size = _constant(uniform(1).device, height, width)
    box_size, corner = size.expand(n, 2), torch.zeros(n, 2, device=size.device)
    if config.crop_p:
        tries = 10  # as torchvision: the first box that fits into the image, else the largest that does
        area = height * width * uniform(n, tries, low=config.crop_area[0], high=config.crop_area[1])
        low, high = (math.log(aspect) for aspect in config.crop_aspect)
        aspect = exp(uniform(n, tries, low=low, high=high))
        tried = torch.stack([area / aspect, area * aspect], dim=2) ** 0.5  # (n, tries, 2)
        fits = (tried <= size).all(dim=2)
        whole = min(max(width / height, config.crop_aspect[0]), config.crop_aspect[1])
        largest = _constant(size.device, min(height, width / whole), min(width, height * whole))
        first = fits.int().argmax(dim=1)
        random = torch.where(fits.any(dim=1)[:, None], tried[torch.arange(n, device=size.device), first], largest)
        where = torch.where(fits.any(dim=1)[:, None], uniform(n, 2), 0.5)
        used = uniform(n, 1) < config.crop_p
        corner = torch.where(used, where * (size - random), corner)
        box_size = torch.where(used, random, box_size)
    if config.centre_crop_p:
        low, high = config.centre_crop_side
        share = torch.where(uniform(n, 1) < config.centre_crop_p, uniform(n, 1, low=low, high=high), 1.0)
        corner = corner + (1 - share) / 2 * box_size
        box_size = share * box_size
    return torch.cat([corner, box_size], dim=1)
