"""Measure how far two sets of crops are apart: light, nuclei, detail, correlation, and a classifier.

Each function measures one set of crops, so that simulated and real ones, or two screens, can be compared;
`classify_sets` measures how well a classifier tells one set from the other. Everything is computed crop by crop
and means something only over many. Explained in chapter 9, the real screen.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cellclr_lib.data.central_nucleus import find_nucleus

LEVELS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)  # quantiles at which distributions are compared
FOLDS = 5  # of the cross-validation
CHUNK = 256  # crops that are transformed at a time


def intensity_quantiles(images: np.ndarray, levels: Sequence[float] = LEVELS) -> np.ndarray:
    """Compute quantiles of all pixels of each channel.

    Parameters
    ----------
    images : (N, C, H, W) array
    levels : sequence of Q float in [0, 1]

    Returns
    -------
    (C, Q) float64 array
        In the unit of the pixels.

    Examples
    --------
    >>> intensity_quantiles(np.arange(16.0).reshape(1, 1, 4, 4), levels=[0, 1]).tolist()
    [[0.0, 15.0]]
    """
    images = _checked(images)
    return np.stack([np.quantile(images[:, channel], levels) for channel in range(images.shape[1])])


def nuclei(images: np.ndarray, channel: int = 0) -> pd.DataFrame:
    """Measure size and brightness of the nucleus nearest to the middle of each crop.

    Parameters
    ----------
    images : (N, C, H, W) array
    channel : int
        The one that shows the nuclei.

    Returns
    -------
    DataFrame, N rows
        ``area_px``; ``diameter_px``, of the disc of that area; ``intensity``, the mean of its pixels above the
        median of those that belong to no nucleus, in the unit of the pixels. A crop in which nothing stands out
        has area 0 and NaN elsewhere.
    """
    columns = []
    for part in _parts(_checked(images)):
        dna = part[:, channel].astype(np.float32)
        nucleus, others = find_nucleus(dna)
        area = nucleus.sum(axis=(1, 2))
        inside = np.where(nucleus, dna, np.nan)
        outside = np.where(nucleus | (others > 0), np.nan, dna)
        intensity = np.full(len(part), np.nan)
        found = area > 0
        intensity[found] = np.nanmean(inside[found], axis=(1, 2)) - np.nanmedian(outside[found], axis=(1, 2))
        columns.append((area, np.where(found, 2 * np.sqrt(area / np.pi), np.nan), intensity))
    area, diameter, intensity = (np.concatenate(column) for column in zip(*columns, strict=True))
    return pd.DataFrame({"area_px": area, "diameter_px": diameter, "intensity": intensity})


def power_spectrum(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the radially averaged power spectrum of each channel: how much of a crop is coarse, how much fine.

    Each crop and channel is freed of its mean, faded out towards its border (a Hann window, or the jump from one
    border to the other would pass for fine detail) and divided by its standard deviation, so that neither gain nor
    offset counts. White noise has a power of 1 at every frequency but the lowest, which loses to the mean.

    Parameters
    ----------
    images : (N, C, H, H) array
        Square crops. A blank one counts as power 0.

    Returns
    -------
    frequency : (R,) float64 array
        Cycles per pixel, 1/H, 2/H, ... up to 0.5; each is the middle of a ring 1/H wide.
    power : (C, R) float64 array
        Mean over the ring and over crops, relative to the mean over all frequencies but 0.

    Raises
    ------
    ValueError
        If the crops are not square, or smaller than 4 px.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(50, 1, 16, 16))
    >>> frequency, power = power_spectrum(noise)
    >>> frequency[-1], bool(abs(power[0, 4] - 1) < 0.2)
    (np.float64(0.5), True)
    """
    images = _checked(images)
    side = images.shape[-1]
    if images.shape[-2] != side or side < 4:
        raise ValueError(f"crops are {images.shape[-2]} x {side} px; expected squares of 4 px or more")
    fade = np.hanning(side + 1)[:-1]
    window = np.outer(fade, fade)
    waves = np.fft.fftfreq(side, 1 / side)
    ring = np.rint(np.hypot(waves[:, None], waves)).astype(int).ravel()
    rings = np.arange(1, side // 2 + 1)
    members = (ring[:, None] == rings) / (ring[:, None] == rings).sum(axis=0)
    total = np.zeros((images.shape[1], len(rings)))
    for part in _parts(images):
        x = part - (part * window).sum(axis=(2, 3), keepdims=True) / window.sum()
        power = np.abs(np.fft.fft2(x * window)) ** 2
        mean = power.sum(axis=(2, 3), keepdims=True) / (side**2 - 1)  # the power at frequency 0 is none
        relative = np.divide(power, mean, out=np.zeros_like(power), where=mean > 1e-9)
        total += (relative.reshape(*part.shape[:2], -1) @ members).sum(axis=0)
    return rings / side, total / len(images)


def pixel_correlations(images: np.ndarray) -> np.ndarray:
    """Correlate every two channels over the pixels of each crop.

    Parameters
    ----------
    images : (N, C, H, W) array

    Returns
    -------
    (N, P) float64 array
        Pearson's coefficient of channels (0, 1), (0, 2), ..., (1, 2), ... as `itertools.combinations` counts them;
        NaN where a channel is blank.
    """
    images = _checked(images)
    columns = []
    for part in _parts(images):
        x = part.reshape(*part.shape[:2], -1).astype(np.float64)
        x -= x.mean(axis=2, keepdims=True)
        length = np.linalg.norm(x, axis=2, keepdims=True)
        x = np.divide(x, length, out=np.full_like(x, np.nan), where=length > 0)
        pairs = [(x[:, i] * x[:, j]).sum(axis=1) for i, j in combinations(range(x.shape[1]), 2)]
        columns.append(np.stack(pairs, axis=1))
    return np.concatenate(columns)


def total_correlations(images: np.ndarray, groups: Sequence[Any] | np.ndarray | pd.Series) -> np.ndarray:
    """Correlate the mean intensity of every two channels over cells.

    Parameters
    ----------
    images : (N, C, H, W) array
    groups : sequence of N hashable
        Plate of each crop. Logarithms of the mean intensity are taken relative to the plate's mean, so that the
        staining of plates does not count.

    Returns
    -------
    (P,) float64 array
        Pearson's coefficient, pairs as in `pixel_correlations`.
    """
    light = np.log(_checked(images).mean(axis=(2, 3), dtype=np.float64) + 1)
    light -= pd.DataFrame(light).groupby(np.asarray(groups)).transform("mean").to_numpy()
    together = np.corrcoef(light.T)
    return np.array([together[i, j] for i, j in combinations(range(len(together)), 2)])


def classify_sets(
    first: np.ndarray, second: np.ndarray, first_groups: Any, second_groups: Any, *, folds: int = FOLDS
) -> tuple[float, float, np.ndarray]:
    """Measure how well a logistic regression tells two sets of cells apart by their features.

    Features are z-scored. No group is in the training and the test part of one fold at once, so that what is
    peculiar to a plate does not help.

    Parameters
    ----------
    first, second : (N, F), (M, F) float array
    first_groups, second_groups : sequences of N and M hashable
        Plate of each cell. Plates of the same name count as one group.
    folds : int
        At most as many as there are groups.

    Returns
    -------
    auc : float
        Chance that a cell of the second set looks more like the second set than one of the first does: 0.5 if the
        two cannot be told apart, 1 if they always can.
    balanced_accuracy : float
        Mean of the shares of either set that are recognised.
    weights : (F,) float64 array
        Coefficients of the regression on all cells, per standard deviation: positive for what the second set has
        more of.
    """
    feats = np.concatenate([first, second]).astype(np.float64)
    is_second = np.repeat([0, 1], [len(first), len(second)])
    groups = np.concatenate([np.asarray(first_groups), np.asarray(second_groups)])
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000, class_weight="balanced"))
    margin = cross_val_predict(
        model, feats, is_second, groups=groups, cv=GroupKFold(folds), method="decision_function"
    )
    auc, accuracy = roc_auc_score(is_second, margin), balanced_accuracy_score(is_second, margin > 0)
    return float(auc), float(accuracy), model.fit(feats, is_second)[-1].coef_[0]


def _checked(images: np.ndarray) -> np.ndarray:
    images = np.asarray(images)
    if images.ndim != 4 or not len(images):
        raise ValueError(f"images have the shape {images.shape}; expected (N, C, H, W) with N > 0")
    return images


def _parts(images: np.ndarray) -> Iterator[np.ndarray]:
    return (images[start : start + CHUNK] for start in range(0, len(images), CHUNK))
