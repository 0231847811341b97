"""Cut the cells of one field of view: a square around each nucleus.

The whole screen is cut by `cellclr_lib.data.screen_cropping`. Explained in chapter 2, *from fields to cells*.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from skimage.measure import regionprops

from cellclr_lib.data.nuclei import segment_nuclei


@dataclass(frozen=True)
class CropConfig:
    """Set how cells are cut and scaled; the defaults suit BBBC021 (20×, nuclei about 32 px across).

    Raises
    ------
    ValueError
        If a value is impossible; names the field.

    Examples
    --------
    >>> CropConfig(crop_px=64, illumination_correction=True).dtype
    'uint8'
    """

    crop_px: int = 96  #: side of the square around a nucleus, pixels
    dtype: Literal["uint8", "uint16"] = "uint8"  #: uint8: scaled per plate and channel; uint16: raw values
    low_percentile: float = 0.5  #: of a plate's pixels in one channel, becomes 0
    high_percentile: float = 99.9  #: becomes 255; brighter pixels are clipped
    scaling_fields: int = 16  #: fields per plate, evenly spread, from which the percentiles are taken
    min_area_px: int = 150  #: smaller objects are debris (a condensed mitotic nucleus has about 300)
    max_area_px: int = 6000  #: larger ones are clumps or dirt (a nucleus has about 800)
    min_solidity: float = 0.75  #: share of its convex hull that a nucleus fills; ragged objects are debris
    illumination_correction: bool = False  #: divide out the light of each plate, measured on all of its fields
    object_table: Path | None = None  #: published positions, one row per cell; nuclei are then not looked for
    image_table: Path | None = None  #: the fields of object_table; see `read_positions`

    def __post_init__(self) -> None:
        if self.crop_px < 1:
            raise ValueError(f"crop_px must be at least 1, not {self.crop_px}")
        if self.dtype not in ("uint8", "uint16"):
            raise ValueError(f"dtype must be 'uint8' or 'uint16', not {self.dtype!r}")
        if not 0 <= self.low_percentile < self.high_percentile <= 100:
            raise ValueError(
                f"low_percentile {self.low_percentile} must be below high_percentile {self.high_percentile}, "
                "both in [0, 100]"
            )
        if (self.object_table is None) != (self.image_table is None):
            raise ValueError("object_table and image_table belong together; give both or neither")


def crop_cells(
    field: np.ndarray, config: CropConfig, centres: np.ndarray | None = None
) -> tuple[np.ndarray, pd.DataFrame, pd.DataFrame]:
    """Find the nuclei of one field and cut a square around each.

    Parameters
    ----------
    field : ndarray, shape (C, H, W), uint16
        Channel 0 is DNA.
    config : CropConfig
    centres : ndarray, shape (n, 2), optional
        (row, column) of each nucleus in px, as `find_nuclei` and `read_positions` give them; none is then looked
        for.

    Returns
    -------
    crops : ndarray, shape (n, C, crop_px, crop_px), uint16
        Raw values; the nucleus is in the middle.
    kept : pandas.DataFrame
        n rows ``x_px y_px nucleus_area_px``, x being the column and y the row; the area is NaN where `centres`
        were given.
    rejected : pandas.DataFrame
        ``x_px y_px nucleus_area_px reason``; reason is "border", "too small", "too large" or "ragged";
        where `centres` were given, only "border".

    Raises
    ------
    ValueError
        If one of `centres` lies outside the field.

    Examples
    --------
    >>> field = np.random.default_rng(0).normal(100, 5, (3, 96, 96)).astype(np.uint16)
    >>> field[0, 30:60, 30:60] = 1000
    >>> crops, kept, rejected = crop_cells(field, CropConfig(crop_px=48))
    >>> crops.shape, kept[["x_px", "y_px"]].round().to_numpy().tolist(), len(rejected)
    ((1, 3, 48, 48), [[44.0, 44.0]], 0)
    """
    objects, ragged = _find(field, config) if centres is None else _given(field, centres)
    size = config.crop_px
    top = objects["y_px"].round().astype(int) - size // 2
    left = objects["x_px"].round().astype(int) - size // 2
    height, width = field.shape[1:]
    reason = np.select(
        [
            objects["nucleus_area_px"] < config.min_area_px,
            objects["nucleus_area_px"] > config.max_area_px,
            ragged,
            (top < 0) | (left < 0) | (top + size > height) | (left + size > width),
        ],
        ["too small", "too large", "ragged", "border"],
        default="",
    )
    keep = reason == ""
    corners = zip(top[keep], left[keep], strict=True)
    squares = [field[:, y : y + size, x : x + size] for y, x in corners]
    crops = np.stack(squares) if squares else np.empty((0, len(field), size, size), field.dtype)
    return crops, objects[keep], objects[~keep].assign(reason=reason[~keep])


def _find(field: np.ndarray, config: CropConfig) -> tuple[pd.DataFrame, np.ndarray]:
    """Find the objects of the DNA channel, and which of them are ragged."""
    nuclei = regionprops(segment_nuclei(field[0]))
    places = [(*nucleus.centroid[::-1], nucleus.area) for nucleus in nuclei]
    objects = pd.DataFrame(places, columns=["x_px", "y_px", "nucleus_area_px"], dtype=float)
    # An object fills at most as much of its bounding box as of its convex hull, which takes far longer to find.
    limit = config.min_solidity
    ragged = np.array([nucleus.extent < limit and nucleus.solidity < limit for nucleus in nuclei], dtype=bool)
    return objects, ragged


def _given(field: np.ndarray, centres: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
    """Describe objects of which only the centres are known."""
    height, width = field.shape[1:]
    outside = (centres < 0).any(axis=1) | (centres > (height - 1, width - 1)).any(axis=1)
    if outside.any():
        y, x = centres[outside][0]
        raise ValueError(
            f"{outside.sum()} of {len(centres)} positions lie outside a field of {width} × {height} px, first "
            f"x {x:g}, y {y:g}; do they belong to these images?"
        )
    objects = pd.DataFrame(centres[:, ::-1], columns=["x_px", "y_px"]).assign(nucleus_area_px=np.nan)
    return objects, np.zeros(len(objects), dtype=bool)


def scale_to_uint8(images: np.ndarray, limits: Any) -> np.ndarray:
    """Scale raw crops so that each channel's limits become 0 and 255.

    Parameters
    ----------
    images : ndarray, shape (..., C, H, W), uint16
    limits : array-like, shape (C, 2)
        Low and high value of each channel.

    Returns
    -------
    ndarray, same shape, uint8
        Values outside the limits are clipped.

    Examples
    --------
    >>> raw = np.array([[[[100, 200, 300]]]], np.uint16)
    >>> scale_to_uint8(raw, [(100, 300)]).ravel().tolist()
    [0, 128, 255]
    """
    low, high = np.asarray(limits, np.float32).T[:, :, None, None]
    scaled = (images.astype(np.float32) - low) * (255 / np.maximum(high - low, 1))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
