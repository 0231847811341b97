"""Turn a drawn field into camera counts: batch effects, blur, uneven light, noise.

Explained in chapter 1, the screen, and chapter 2, fields to cells.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from cellclr_lib.data.simulation.config import SimulationConfig
from cellclr_lib.data.simulation.plate_map import generator

OFFSET = np.array([34.0, 34.0, 38.0])  # camera counts of an empty field: dark signal
HAZE = np.array([6.0, 8.0, 10.0])  # light from medium and plastic, follows the illumination
BLUR_PX = np.array([1.08, 0.97, 0.9])  # standard deviation of the point spread
SCATTER = np.array([0.18, 0.12, 0.12])  # share of the light that arrives from what lies above and below
# Spread of the log gain between weeks, plates of a week and wells of a plate, from real crops and fields.
GAIN_WEEK = np.array([0.22, 0.33, 0.24])
GAIN_PLATE = np.array([0.18, 0.10, 0.13])
GAIN_WELL = np.array([0.14, 0.08, 0.10])
VIGNETTE = 0.24  # of the light is lost in the corners
READ_NOISE = 2.4  # camera counts
COUNTS_PER_SHOT = 0.06  # variance of the shot noise per camera count of light
FULL_SCALE = 4095  # 12-bit camera; files hold counts times 16


@dataclass(frozen=True)
class Optics:
    """Hold what week, plate and well do to an image, each of shape (3,) in the order DNA, tubulin, actin."""

    gain: np.ndarray  # factor on the stain
    offset: np.ndarray  # camera counts
    haze: np.ndarray  # camera counts
    blur_px: np.ndarray
    vignette: float  # relative loss of light in the corners
    centre: np.ndarray  # (2,) brightest point, in units of half the field


def optics(config: SimulationConfig, week: int, plate: str, well: str) -> Optics:
    """Draw the optics of one well: its week's, changed by its plate's, changed by its own."""
    by_week, by_plate = generator(config, "week optics", week), generator(config, "plate optics", plate)
    by_well = generator(config, "well optics", plate, well)
    w, p, s = config.week_effect, config.plate_effect, config.well_effect
    gain = np.exp(
        w * GAIN_WEEK * by_week.normal(size=3)
        + p * GAIN_PLATE * by_plate.normal(size=3)
        + s * GAIN_WELL * by_well.normal(size=3)
    )
    offset = OFFSET + w * 3.0 * by_week.normal(size=3) + p * 1.0 * by_plate.normal(size=3)
    haze = HAZE * np.exp(w * 0.4 * by_week.normal(size=3) + p * 0.25 * by_plate.normal(size=3))
    blur = BLUR_PX * np.exp(
        w * 0.15 * by_week.normal(size=3) + p * 0.12 * by_plate.normal(size=3) + s * 0.15 * by_well.normal()
    )
    vignette = VIGNETTE * np.exp(w * 0.4 * by_week.normal())
    centre = w * 0.25 * by_week.normal(size=2) + p * 0.1 * by_plate.normal(size=2)
    return Optics(gain, offset, haze, np.clip(blur, 0.7, 3.0), min(vignette, 0.5), centre)


def photograph(layers: np.ndarray, optics: Optics, focus_loss_px: float, rng: np.random.Generator) -> np.ndarray:
    """Photograph a drawn field.

    Parameters
    ----------
    layers : ndarray (2, 3, H, W) float32
        From `cells.draw`: in focus, out of focus.
    focus_loss_px : float
        Additional blur of the whole field.

    Returns
    -------
    ndarray (3, H, W) uint16
        Camera counts times 16, as in the real files.
    """
    _, channels, height, width = layers.shape
    rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None] - np.float32(optics.centre[0])
    columns = np.linspace(-1, 1, width, dtype=np.float32) - np.float32(optics.centre[1])
    light = 1.0 - 0.5 * np.float32(optics.vignette) * (rows**2 + columns**2)
    out = np.empty((channels, height, width), np.uint16)
    for c in range(channels):
        blur = np.hypot(optics.blur_px[c], focus_loss_px)
        image = gaussian_filter(layers[0, c], blur, truncate=3.0)
        if layers[1, c].any():
            image += gaussian_filter(layers[1, c], np.hypot(blur, 3.5), truncate=3.0)
        image += SCATTER[c] * (_coarse_blur(image, 10) - image)
        image = (image * np.float32(optics.gain[c]) + np.float32(optics.haze[c])) * light
        noise = rng.standard_normal(image.shape, np.float32)
        noise *= np.sqrt(np.float32(READ_NOISE**2) + np.float32(COUNTS_PER_SHOT) * np.maximum(image, 0.0))
        image += noise
        image += np.float32(optics.offset[c])
        out[c] = np.clip(np.rint(image), 0, FULL_SCALE).astype(np.uint16) * 16
    return out


def _coarse_blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur widely, made cheap on a four times smaller image."""
    height, width = image.shape
    padded = np.pad(image, ((0, -height % 4), (0, -width % 4)), mode="edge")
    small = padded.reshape(padded.shape[0] // 4, 4, padded.shape[1] // 4, 4).mean((1, 3))
    wide = np.kron(gaussian_filter(small, sigma / 4), np.ones((4, 4), np.float32))
    return wide[:height, :width]
