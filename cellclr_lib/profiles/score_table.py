"""Tabulate NSC, NSCB and their drop under each post-processing, from features of cells or wells."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from cellclr_lib.profiles.aggregation import aggregate_treatments, aggregate_wells
from cellclr_lib.profiles.formats import Profiles
from cellclr_lib.profiles.metrics import drop, nsc, nscb
from cellclr_lib.profiles.postprocessing import POSTS, postprocess
from cellclr_lib.profiles.uncertainty import bootstrap_interval, drop_interval, permutation_null

if TYPE_CHECKING:
    from cellclr_lib.profiles.formats import Annotations, Features

log = logging.getLogger(__name__)


def tabulate_scores(
    meta: Annotations,
    feats: Features | None = None,
    *,
    protocol: str = "strict",
    posts: Sequence[str] = tuple(POSTS),
    draws: int = 10_000,
    null_draws: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Score features of cells, or profiles of wells, under each post-processing.

    Parameters
    ----------
    meta, feats : DataFrame and ndarray, shape (n, D)
        One row per cell or well, see `aggregate_wells`; or another form of `cellclr_lib.profiles.formats`.
    protocol : str
        "strict" or "published"; see `nscb`.
    posts : sequence of str
        Which of `POSTS`.
    draws, null_draws : int
        Bootstrap draws of the intervals and permutations of the null.
    seed : int

    Returns
    -------
    pandas.DataFrame
        One row per post-processing: ``post``; ``nsc nscb drop`` as shares in [0, 1], each with the ends ``_low
        _high`` of its 95 % interval (bootstrap over compounds); ``nsc_correct nsc_total nscb_correct nscb_total``;
        ``nsc_chance nscb_chance``, the mean over MoAs shuffled over compounds. A post-processing that cannot be
        fitted, such as TVN where a week has no DMSO, has scores of NaN; ``.attrs["not_scored"]`` tells why.

    Raises
    ------
    ValueError
        If a post-processing is unknown, none can be fitted, or as for the functions that are called.

    Notes
    -----
    Explained in chapter 6, *evaluation*.

    Examples
    --------
    >>> import numpy as np
    >>> meta = pd.DataFrame({"plate": "p", "well": [f"A{i}" for i in range(1, 7)],
    ...                      "compound": ["DMSO", "DMSO", "a", "b", "c", "d"], "concentration_um": 1.0,
    ...                      "moa": ["DMSO", "DMSO", "M", "M", "N", "N"],
    ...                      "batch": ["W1", "W2", "W1", "W2", "W1", "W2"]})
    >>> feats = np.array([[0, 0], [0.1, 0], [3, 1], [3, 1.1], [1, 3], [1.1, 3]])
    >>> table = tabulate_scores(meta, feats, posts=["none"], draws=10, null_draws=2)
    >>> table[["nsc", "nscb", "drop"]].iloc[0].tolist()
    [1.0, 1.0, 0.0]
    """
    cells = Profiles(meta, feats)
    meta, feats = aggregate_wells(cells.meta, cells.feats)
    if unknown := [post for post in posts if post not in POSTS]:
        raise ValueError(f"post-processing must be one of {tuple(POSTS)}, not {unknown[0]!r}")
    rows: list[dict[str, object]] = []
    not_scored: dict[str, str] = {}
    for post in posts:
        try:
            processed = postprocess(meta, feats, post)
        except ValueError as error:
            log.warning("%s is not scored: %s", post, error)
            not_scored[post] = str(error)
            rows.append({"post": post})
            continue
        table, profiles = aggregate_treatments(meta, processed)
        scores = {"nsc": nsc(table, profiles, protocol=protocol), "nscb": nscb(table, profiles, protocol=protocol)}
        row: dict[str, object] = {"post": post}
        for (name, score), metric in zip(scores.items(), (nsc, nscb), strict=True):
            low, high = bootstrap_interval(score, draws=draws, seed=seed)
            null = permutation_null(table, profiles, metric, draws=null_draws, seed=seed, protocol=protocol)
            row |= {name: score.accuracy, f"{name}_low": low, f"{name}_high": high}
            row |= {f"{name}_correct": score.correct, f"{name}_total": score.total, f"{name}_chance": null.mean()}
        low, high = drop_interval(*scores.values(), draws=draws, seed=seed)
        rows.append(row | {"drop": drop(*scores.values()), "drop_low": low, "drop_high": high})
    if len(not_scored) == len(rows):
        raise ValueError(next(iter(not_scored.values())))
    rows.sort(key=len, reverse=True)  # the columns are those of a whole row
    columns = list(rows[0])
    out = pd.DataFrame(rows, columns=columns).set_index("post").loc[list(posts)].reset_index()
    out.attrs["not_scored"] = not_scored
    return out
