"""Compute how far a score can be trusted: bootstrap intervals and the null.

On BBBC021 one query is about one point, and the treatments of a compound stand or fall together. So both the
bootstrap and the permutation treat the compound, not the treatment, as the unit. Explained in chapter 6,
evaluation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cellclr_lib.annotations import is_treatment
from cellclr_lib.profiles.formats import Profiles
from cellclr_lib.profiles.metrics import nsc

if TYPE_CHECKING:
    from cellclr_lib.profiles.formats import Annotations, Features
    from cellclr_lib.profiles.neighbours import Score

    Seed = int | np.random.Generator


def bootstrap_interval(
    score: Score, *, level: float = 0.95, draws: int = 10_000, seed: Seed = 0
) -> tuple[float, float]:
    """Bootstrap the interval of an accuracy: compounds are drawn with replacement, neighbours stay as found.

    Parameters
    ----------
    score : Score
    level : float
        Share of the draws inside the interval.
    draws : int
    seed : int or numpy.random.Generator

    Returns
    -------
    (float, float)
        Lower and upper end in [0, 1]; NaN if the score has no query.

    Examples
    --------
    >>> meta = pd.DataFrame({"compound": list("abcd"), "concentration_um": 1.0, "moa": ["M", "M", "N", "N"]})
    >>> bootstrap_interval(nsc(meta, np.array([[1, 0], [1, 0.1], [0, 1], [1, 0.2]])), draws=1000)
    (0.0, 1.0)
    """
    ((correct, total),) = _by_compound(score)
    weights = _draw_compounds(len(correct), draws, seed)
    return _ends(_ratio(weights @ correct, weights @ total), level)


def drop_interval(
    nsc_score: Score, nscb_score: Score, *, level: float = 0.95, draws: int = 10_000, seed: Seed = 0
) -> tuple[float, float]:
    """Bootstrap the interval of the drop: each draw of compounds scores NSC and NSCB. See `bootstrap_interval`.

    Examples
    --------
    >>> from cellclr_lib.profiles.metrics import nscb
    >>> meta = pd.DataFrame({"compound": list("abcd"), "concentration_um": 1.0, "moa": ["M", "M", "N", "N"],
    ...                      "batch": ["W1", "W2", "W1", "W2"]})
    >>> feats = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]])
    >>> drop_interval(nsc(meta, feats), nscb(meta, feats), draws=100)
    (0.0, 0.0)
    """
    (correct, total), (correct_b, total_b) = _by_compound(nsc_score, nscb_score)
    weights = _draw_compounds(len(correct), draws, seed)
    difference = _ratio(weights @ correct, weights @ total) - _ratio(weights @ correct_b, weights @ total_b)
    return _ends(difference, level)


def permutation_null(
    meta: Annotations,
    feats: Features | None = None,
    metric: Callable[..., Score] = nsc,
    *,
    draws: int = 1000,
    seed: Seed = 0,
    **options: Any,
) -> np.ndarray:
    """Score mechanisms that are shuffled over compounds: what features reach by chance.

    All compounds of `meta` take part in the shuffle. Queries, neighbours and so the denominator stay those of the
    real score; only what counts as right changes.

    Parameters
    ----------
    meta, feats : see `nsc`
    metric : function
        `nsc` or `nscb`; `options` (protocol) are passed on.
    draws : int
    seed : int or numpy.random.Generator

    Returns
    -------
    (draws,) float array
        Its mean is the chance level; NaN if there is no query.

    Raises
    ------
    ValueError
        If a compound has different mechanisms at different doses, or as for `metric`.

    Examples
    --------
    >>> meta = pd.DataFrame({"compound": list("abcd"), "concentration_um": 1.0, "moa": ["M", "M", "N", "N"]})
    >>> null = permutation_null(meta, np.eye(4) + 1, draws=200)
    >>> null.shape, bool(0 < null.mean() < 1)
    ((200,), True)
    """
    generator = np.random.default_rng(seed)
    profiles = Profiles(meta, feats)
    meta, feats = profiles.meta, profiles.feats
    pairs = metric(meta, feats, **options).neighbours
    known = meta[is_treatment(meta)].drop_duplicates(["compound", "moa"])
    if known["compound"].duplicated().any():
        raise ValueError("a compound has different mechanisms at different doses; expected one for the shuffle")
    if not len(pairs):
        return np.full(draws, np.nan)
    place = pd.Index(known["compound"])
    query, neighbour = place.get_indexer(pairs["compound"]), place.get_indexer(pairs["neighbour_compound"])
    moa = pd.factorize(known["moa"])[0]
    shuffled = generator.permuted(np.tile(moa, (draws, 1)), axis=1)
    shares: np.ndarray = (shuffled[:, query] == shuffled[:, neighbour]).mean(axis=1)
    return shares


def _by_compound(*scores: Score) -> list[tuple[np.ndarray, np.ndarray]]:
    """Count for each score correct and total queries per compound, over all compounds of all scores."""
    compounds = sorted(set().union(*(score.neighbours["compound"] for score in scores)))
    compounds = compounds or ["none"]  # zero of zero queries: every ratio is NaN
    tables = [score.by("compound").reindex(compounds, fill_value=0) for score in scores]
    return [(table["correct"].to_numpy(dtype=float), table["total"].to_numpy(dtype=float)) for table in tables]


def _draw_compounds(n: int, draws: int, seed: Seed) -> np.ndarray:
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=draws)


def _ratio(correct: np.ndarray, total: np.ndarray) -> np.ndarray:
    ratio: np.ndarray = np.divide(correct, total, out=np.full(len(total), np.nan), where=total > 0)
    return ratio


def _ends(values: np.ndarray, level: float) -> tuple[float, float]:
    values = values[~np.isnan(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
