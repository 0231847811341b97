"""Correct uneven illumination, measured on a plate's own fields (retrospective illumination correction).

At every place of a field the camera shows ``dark + light · scene``. Over the fields of a plate the scene is the
same everywhere, but for chance: so the mean of the fields, as in CellProfiler's method, is the light but for
two numbers, and so is any percentile. Chance is large, though: the mean of a few hundred fields still shows
where cells happened to gather. So only places that are lit by cells are averaged, each relative to the cells of
its own field; how many cells there are no longer matters. The low percentile, which is smooth, gives `dark`
once the light is known. The two are improved in turns.

The surface is the polynomial of second order of CellProfiler's *Fit Polynomial*, whose six numbers can be had
from one plate. Explained in chapter 2, *from fields to cells*.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cellclr_lib.data.screen import Screen

BLOCK_PX = 16  # side of the squares that are averaged before anything else: finer than any lamp
BACKGROUND_PERCENTILE = 2  # over the fields, of each square: no cell there, or hardly any
CAP_PERCENTILE = 96  # of all squares of a channel: brighter ones hold dirt or round cells and count as so much
FLOOR = 0.2  # of the mean light; nothing is divided by less
ROUNDS = 20  # measured to be enough for four digits
FEW_FIELDS = 60  # of the size of BBBC021's; with fewer, cells show through


@dataclass(frozen=True)
class Illumination:
    """Hold the light of one plate.

    Examples
    --------
    >>> even = Illumination(dark=(100.0,), surface=((1.0, 0.0, 0.0, 0.0, 0.0, 0.0),))
    >>> field = np.full((1, 64, 64), 500, np.uint16)
    >>> bool((even.correct(field) == field).all())
    True
    """

    dark: tuple[float, ...]  #: camera value without light, of each channel
    surface: tuple[tuple[float, ...], ...]  #: of each channel: factors of 1, x, y, x², xy, y² in [-1, 1]

    def light(self, shape: tuple[int, ...]) -> np.ndarray:
        """Compute the relative light of each channel.

        Parameters
        ----------
        shape : (int, int)
            Height and width of a field, px.

        Returns
        -------
        ndarray, shape (C, H, W), float32
            Its mean is 1, its smallest value `FLOOR`.
        """
        light: np.ndarray = np.asarray(self.surface, np.float32) @ _terms(shape).astype(np.float32)
        return np.maximum(light, np.float32(FLOOR)).reshape(-1, *shape)

    def correct(self, field: np.ndarray) -> np.ndarray:
        """Correct a field to what even light would have shown.

        Parameters
        ----------
        field : ndarray, shape (C, H, W), unsigned integer

        Returns
        -------
        ndarray of the same shape and type
            What is dark stays as it is; rounded, and clipped to the range of the type.
        """
        dark = np.asarray(self.dark, np.float32)[:, None, None]
        even = dark + (field - dark) / self.light(field.shape[1:])
        return np.clip(np.rint(even), 0, np.iinfo(field.dtype).max).astype(field.dtype)


class CorrectedScreen(Screen):
    """Read the fields of a screen as even light would have shown them.

    Parameters
    ----------
    screen : Screen
    light : dict of str to Illumination
        The light of each plate.
    """

    def __init__(self, screen: Screen, light: dict[str, Illumination]) -> None:
        self.root, self.fields, self.light = screen.root, screen.fields, light

    def load_field(self, field: pd.Series) -> np.ndarray:
        """Read one field and divide out the light of its plate; else as `Screen.load_field`."""
        image = super().load_field(field)  # first: a plate that cannot be read has no light
        return self.light[field["plate"]].correct(image)


def fit_illumination(fields: Iterable[np.ndarray]) -> Illumination:
    """Measure the light on the fields of one plate.

    Parameters
    ----------
    fields : iterable of ndarray, shape (C, H, W), unsigned integer
        All of one shape, read one after the other. As many as there are, see `FEW_FIELDS`.

    Returns
    -------
    Illumination

    Raises
    ------
    ValueError
        If there is no field, they differ in shape, or they are too small.

    Notes
    -----
    On simulated plates, where the light is known, this was more exact than the mean of the fields, clipped or not,
    their median or low percentile, and trimmed means. Explained in chapter 2, *from fields to cells*.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shade = np.linspace(0.8, 1.2, 128)  # from left to right
    >>> fields = [(100 + 400 * shade * rng.random((1, 128, 128))).astype(np.uint16) for _ in range(20)]
    >>> light = fit_illumination(fields).light((128, 128))
    >>> bool(light[0, :, -1].mean() > light[0, :, 0].mean())
    True
    """
    squares: list[np.ndarray] = []
    shape: tuple[int, ...] | None = None
    for field in fields:
        if shape is not None and field.shape != shape:
            raise ValueError(f"fields of {shape} and {field.shape} on one plate; light is measured on one shape")
        shape = field.shape
        if min(shape[1:]) < 4 * BLOCK_PX:
            raise ValueError(
                f"a field of {shape} is too small to measure light on; expected {4 * BLOCK_PX} px a side"
            )
        squares.append(_squares(field))
    if shape is None:
        raise ValueError("no field to measure the light on")
    terms = _terms(shape[1:], BLOCK_PX).T
    dark, surface = zip(*(_fit_channel(channel, terms) for channel in np.stack(squares, axis=1)), strict=True)
    return Illumination(dark, surface)


def _fit_channel(squares: np.ndarray, terms: np.ndarray) -> tuple[float, tuple[float, ...]]:
    """Fit dark value and surface of one channel from `squares` (fields, places) and `terms` (places, 6)."""
    background = terms @ _least_squares(terms, np.percentile(squares, BACKGROUND_PERCENTILE, axis=0))
    dark, light, surface = 0.95 * background.min(), np.ones(len(terms)), np.eye(6)[0]
    for _ in range(ROUNDS):
        scene = (squares - dark) / light
        scene = np.minimum(scene, np.percentile(scene, CAP_PERCENTILE))
        # Between background and the average, in the middle as ratios go.
        lit = scene > np.sqrt(max((background - dark).mean(), 0) * max(scene.mean(), 0))
        lit &= scene > 0
        if not lit.any(axis=1).any():
            break  # nothing can be measured in an empty channel
        of_field = np.where(lit, scene, 0).sum(axis=1) / np.maximum(lit.sum(axis=1), 1)
        relative = np.divide(scene, of_field[:, None], out=np.zeros_like(scene), where=lit)
        count = lit.sum(axis=0)
        surface = _least_squares(terms, light * relative.sum(axis=0) / np.maximum(count, 1), count)
        surface /= (terms @ surface).mean()
        light = np.maximum(terms @ surface, FLOOR)
        # background = dark + haze · light
        bowl = light - light.mean()
        haze = (bowl @ background) / max(bowl @ bowl, 1e-12)
        dark = np.clip(background.mean() - haze, 0, 0.99 * background.min())
    return float(dark), tuple(surface.tolist())


def _squares(field: np.ndarray) -> np.ndarray:
    """Average the squares of `BLOCK_PX`, (C, places); what is left at the border does not count."""
    channels, height, width = field.shape
    rows, columns = height // BLOCK_PX, width // BLOCK_PX
    whole = field[:, : rows * BLOCK_PX, : columns * BLOCK_PX]
    return whole.reshape(channels, rows, BLOCK_PX, columns, BLOCK_PX).mean(axis=(2, 4)).reshape(channels, -1)


def _terms(shape: tuple[int, ...], step: int = 1) -> np.ndarray:
    """Compute 1, x, y, x², xy, y² at the centres of the squares of `step` px of a field, (6, places)."""
    y, x = ((np.arange(size // step) + 0.5) * step / size * 2 - 1 for size in shape)
    y, x = (axis.ravel() for axis in np.meshgrid(y, x, indexing="ij"))
    return np.stack([np.ones_like(x), x, y, x**2, x * y, y**2])


def _least_squares(terms: np.ndarray, values: np.ndarray, weights: float | np.ndarray = 1.0) -> np.ndarray:
    root = np.sqrt(np.broadcast_to(weights, values.shape))
    solution: np.ndarray = np.linalg.lstsq(terms * root[:, None], values * root, rcond=None)[0]
    return solution
