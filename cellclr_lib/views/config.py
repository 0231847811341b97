"""Hold the settings of a view: which random changes are made to a cell, how strongly and how often.

Explained in chapter 3, *views*.
"""

import math
from dataclasses import dataclass, fields, replace
from typing import Any, Self


@dataclass(frozen=True)
class ViewConfig:
    """Set which changes a view makes, how strongly, and with which probability (0 switches one off).

    The defaults are the paper's views with vertical flips and quarter turns added: a cell lies on the plate at
    any angle, whereas the paper's own, from photographs, keep up and down apart. No label was consulted.
    Lengths are in pixels of the stored crop. Explained in chapter 3, *views*.

    Raises
    ------
    ValueError
        If a probability is outside [0, 1] or a range is not ordered, positive or possible.

    Examples
    --------
    >>> ViewConfig(crop_area=(0.5, 1.0), blur_p=0).blur_p
    0
    """

    crop_p: float = 1.0  #: random resized crop: cut a random box, stretch it to the whole image
    crop_area: tuple[float, float] = (0.08, 1.0)  #: share of the image's area in the box
    crop_aspect: tuple[float, float] = (3 / 4, 4 / 3)  #: width over height of the box, uniform in its logarithm
    centre_crop_p: float = 0.0  #: cut a centred box, stretch it to the whole image
    centre_crop_side: tuple[float, float] = (0.5, 1.0)  #: share of each side in the box; equal ends fix it
    horizontal_flip_p: float = 0.5  #: mirror left and right
    vertical_flip_p: float = 0.5  #: mirror top and bottom
    quarter_turn_p: float = 0.75  #: turn by 90, 180 or 270 degrees; 0.75 makes all four positions alike
    rotation_p: float = 0.0  #: turn by any angle
    rotation_degrees: float = 180.0  #: largest angle, either way
    elastic_p: float = 0.5  #: bend by a smooth random displacement field
    elastic_std_px: float = 2.0  #: standard deviation of the displacement along each axis
    elastic_length_px: float = 8.0  #: distance at which the correlation of displacements has fallen to 1/e
    jitter_p: float = 0.8  #: change brightness and contrast; decided and drawn for each channel on its own
    brightness: float = 0.2  #: values are multiplied by 1 ± this
    contrast: float = 0.2  #: distances from the channel's mean are multiplied by 1 ± this
    channel_drop_p: float = 0.0  #: set one channel, chosen at random, to zero
    blur_p: float = 0.5  #: Gaussian blur
    blur_kernel_px: int = 9  #: width of the truncated kernel, odd
    blur_sigma_px: tuple[float, float] = (0.1, 2.0)  #: standard deviation of the Gaussian
    noise_p: float = 0.0  #: add white Gaussian noise
    noise_std: tuple[float, float] = (0.0, 0.05)  #: its standard deviation; integer images span 0 to 1

    def __post_init__(self) -> None:
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
    def paper(cls) -> Self:
        """Return the views of Perakis et al. 2021, with a true elastic deformation and jitter of each stain."""
        return cls(vertical_flip_p=0.0, quarter_turn_p=0.0)

    @classmethod
    def none(cls) -> Self:
        """Return no change at all: both views are the image."""
        off: dict[str, Any] = {field.name: 0.0 for field in fields(cls) if field.name.endswith("_p")}
        return cls(**off)

    def at_scale(self, scale: float) -> Self:
        """Return the same views for images shrunk to `scale` times their side: all lengths in pixels shrink along.

        Examples
        --------
        >>> ViewConfig().at_scale(0.5).elastic_std_px
        1.0
        """
        return replace(
            self,
            elastic_std_px=self.elastic_std_px * scale,
            elastic_length_px=self.elastic_length_px * scale,
            blur_kernel_px=2 * max(1, round(self.blur_kernel_px // 2 * scale)) + 1,
            blur_sigma_px=(self.blur_sigma_px[0] * scale, self.blur_sigma_px[1] * scale),
        )
