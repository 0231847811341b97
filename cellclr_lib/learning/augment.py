"""Two random views of every cell: the changes that a good feature must not notice.

A view is drawn (`draw_view`: a few random numbers per cell) and then applied (`apply_view`: no randomness left).
Crop, flips, rotation and elastic deformation are composed into one sampling grid, so that pixels are
interpolated once. No crop is larger than the image, hence every view magnifies and needs no antialiasing.
Source of the views: Perakis et al. 2021. Explained in chapter 3, *views*.
"""

import functools
import math
from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from cellclr_lib.learning.pixels import to_float
from cellclr_lib.learning.warp import exp, gaussian_blur, net_nodes, resample


@dataclass(frozen=True)
class ViewConfig:
    """Which changes a view makes, how strongly, and with which probability (0 switches one off).

    The defaults are the paper's views with vertical flips and quarter turns added: a cell lies on the plate at
    any angle, whereas the paper's own, from photographs, keep up and down apart. No label was consulted.
    Lengths are in pixels of the stored crop. Explained in chapter 3, *views*.

    Raises
    ------
    ValueError
        If a probability is outside [0, 1] or a range is not ordered, positive or possible.
    """

    crop_p: float = 1.0  # random resized crop: cut a random box, stretch it to the whole image
    crop_area: tuple[float, float] = (0.08, 1.0)  # share of the image's area in the box
    crop_aspect: tuple[float, float] = (3 / 4, 4 / 3)  # width over height of the box, uniform in its logarithm
    centre_crop_p: float = 0.0  # cut a centred box, stretch it to the whole image
    centre_crop_side: tuple[float, float] = (0.5, 1.0)  # share of each side in the box; equal ends fix it
    horizontal_flip_p: float = 0.5  # mirror left and right
    vertical_flip_p: float = 0.5  # mirror top and bottom
    quarter_turn_p: float = 0.75  # turn by 90, 180 or 270 degrees; 0.75 makes all four positions alike
    rotation_p: float = 0.0  # turn by any angle
    rotation_degrees: float = 180.0  # largest angle, either way
    elastic_p: float = 0.5  # bend by a smooth random displacement field
    elastic_std_px: float = 2.0  # standard deviation of the displacement along each axis
    elastic_length_px: float = 8.0  # distance at which the correlation of displacements has fallen to 1/e
    jitter_p: float = 0.8  # change brightness and contrast; decided and drawn for each channel on its own
    brightness: float = 0.2  # values are multiplied by 1 ± this
    contrast: float = 0.2  # distances from the channel's mean are multiplied by 1 ± this
    channel_drop_p: float = 0.0  # set one channel, chosen at random, to zero
    blur_p: float = 0.5  # Gaussian blur
    blur_kernel_px: int = 9  # width of the truncated kernel, odd
    blur_sigma_px: tuple[float, float] = (0.1, 2.0)  # standard deviation of the Gaussian
    noise_p: float = 0.0  # add white Gaussian noise
    noise_std: tuple[float, float] = (0.0, 0.05)  # its standard deviation; integer images span 0 to 1

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_p") and not 0 <= value <= 1:
                raise ValueError(f"{field.name} is {value}; expected a probability in [0, 1]")
        for name, low, high in [
            ("crop_area", 1e-6, 1),
            ("crop_aspect", 1e-3, 1e3),
            ("centre_crop_side", 1e-3, 1),
            ("blur_sigma_px", 1e-3, math.inf),
            ("noise_std", 0, math.inf),
        ]:
            ends = getattr(self, name)
            if len(ends) != 2 or not low <= ends[0] <= ends[1] <= high:
                raise ValueError(f"{name} is {ends}; expected two rising numbers in [{low}, {high}]")
        for name, high in [("rotation_degrees", 360), ("brightness", 1), ("contrast", 1)]:
            if not 0 <= getattr(self, name) <= high:
                raise ValueError(f"{name} is {getattr(self, name)}; expected a number in [0, {high}]")
        if self.elastic_std_px < 0 or self.elastic_length_px <= 0:
            raise ValueError(
                f"elastic_std_px is {self.elastic_std_px} and elastic_length_px {self.elastic_length_px}; "
                "expected a standard deviation of 0 or more and a positive length"
            )
        if self.blur_kernel_px < 1 or self.blur_kernel_px % 2 == 0:
            raise ValueError(f"blur_kernel_px is {self.blur_kernel_px}; expected an odd number of pixels")

    @classmethod
    def paper(cls):
        """The views of Perakis et al. 2021, with a true elastic deformation and each stain jittered on its own."""
        return cls(vertical_flip_p=0.0, quarter_turn_p=0.0)

    @classmethod
    def none(cls):
        """No change at all: both views are the image."""
        return cls(**{field.name: 0.0 for field in fields(cls) if field.name.endswith("_p")})

    def at_scale(self, scale):
        """The same views for images shrunk to `scale` times their side: all lengths in pixels shrink along."""
        return replace(
            self,
            elastic_std_px=self.elastic_std_px * scale,
            elastic_length_px=self.elastic_length_px * scale,
            blur_kernel_px=2 * max(1, round(self.blur_kernel_px // 2 * scale)) + 1,
            blur_sigma_px=tuple(sigma * scale for sigma in self.blur_sigma_px),
        )


@dataclass
class ViewDraw:
    """What was drawn for N cells; None where the configuration switches a change off."""

    box: torch.Tensor | None  # (N, 4) top, left, height, width of the part shown, in px
    flip: torch.Tensor | None  # (N, 2) factors of x and y: -1 mirrored, 1 not
    angle: torch.Tensor | None  # (N,) counter-clockwise, in degrees
    bend: torch.Tensor | None  # (N, 2, J, K) displacement along x and y at the nodes of a coarse net, in `bend_px`
    bend_px: torch.Tensor | None  # (N,) standard deviation of the displacement in px, 0 for none
    brightness: torch.Tensor | None  # (N, C) factor of the values
    contrast: torch.Tensor | None  # (N, C) factor of the distances from the mean
    keep: torch.Tensor | None  # (N, C) 0 for a dropped channel, else 1
    sigma: torch.Tensor | None  # (N,) standard deviation of the blur in px, 0 for none
    noise: torch.Tensor | None  # (N, C, H, W) what is added

    def map(self, change):
        """A `ViewDraw` with `change` done to each tensor."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return ViewDraw(**{name: v if v is None else change(v) for name, v in values.items()})


def two_views(images, config, generator, partners=None):
    """Two independent random views of every cell, or of every cell and its partner.

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
    """
    images = _as_tensor(images)
    partners = images if partners is None else _as_tensor(partners)
    if partners.shape != images.shape:
        shapes = tuple(partners.shape), tuple(images.shape)
        raise ValueError("partners have shape {}, images {}; expected the same".format(*shapes))
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"generator is a {type(generator).__name__}; expected a torch.Generator")
    draws = [draw_view(config, images.shape, generator).map(lambda t: t.to(images.device)) for _ in range(2)]
    return tuple(apply_view(shown, draw, config) for shown, draw in zip((images, partners), draws, strict=True))


def draw_view(config, shape, generator):
    """Draw the random numbers of one view for a batch of `shape` (N, C, H, W), on the generator's device.

    Returns
    -------
    ViewDraw
    """
    n, channels, height, width = shape
    device = generator.device

    def uniform(*size, low=0.0, high=1.0):
        return low + (high - low) * torch.rand(size, generator=generator, device=device)

    def chosen(probability, *size):
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


@torch.no_grad()
def apply_view(images, draw, config):
    """Change `images` (N, C, H, W), a tensor of any type, as drawn; gives a new float32 tensor of the same shape.

    In this order: crop, flips, rotation, elastic deformation (one interpolation, mirrored beyond the border),
    jitter, blur, channel drop, noise.
    """
    with torch.autocast(images.device.type, enabled=False):  # coordinates need full precision
        if images.device.type == "cpu":
            from cellclr_lib.learning.fused import apply_fused

            return apply_fused(images, draw, config)
        return apply_batched(to_float(images), draw, config)


def apply_batched(images, draw, config):
    """`apply_view` for float32 `images` in operations of torch on the whole batch: what a GPU is good at."""
    if draw.box is None and draw.flip is None and draw.angle is None and draw.bend is None:
        view = images.clone()
    else:
        bend = None if draw.bend is None else draw.bend_px[:, None, None, None] * draw.bend
        view = resample(images, draw.box, draw.flip, draw.angle, bend, config.elastic_length_px)
    if draw.brightness is not None:
        offset = draw.brightness * (1 - draw.contrast) * view.mean((2, 3))
        view.mul_((draw.brightness * draw.contrast)[:, :, None, None]).add_(offset[:, :, None, None])
    if draw.sigma is not None:
        view = gaussian_blur(view, draw.sigma, config.blur_kernel_px)
    if draw.keep is not None:
        view.mul_(draw.keep[:, :, None, None])
    if draw.noise is not None:
        view.add_(draw.noise)
    return view


def _as_tensor(images):
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


@functools.lru_cache(maxsize=64)
def _constant(device, *numbers):
    """Tensor of a few numbers, made once: to send them to a GPU is to wait for all that it has to do."""
    return torch.tensor(numbers, device=device)


def _draw_box(config, n, height, width, uniform):
    """Part of the image to show, (n, 4) top, left, height, width in px: a centred box within a random box."""
    size = _constant(uniform(1).device, height, width)
    box_size, corner = size.expand(n, 2), torch.zeros(n, 2, device=size.device)
    if config.crop_p:
        tries = 10  # as torchvision: the first box that fits into the image, else the largest that does
        area = height * width * uniform(n, tries, low=config.crop_area[0], high=config.crop_area[1])
        low, high = (math.log(aspect) for aspect in config.crop_aspect)
        aspect = exp(uniform(n, tries, low=low, high=high))
        tried = torch.stack([area / aspect, area * aspect], dim=2) ** 0.5  # (n, tries, 2)
        fits = (tried <= size).all(dim=2)
        aspect = min(max(width / height, config.crop_aspect[0]), config.crop_aspect[1])
        largest = _constant(size.device, min(height, width / aspect), min(width, height * aspect))
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
