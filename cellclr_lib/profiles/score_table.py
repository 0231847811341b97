"""Tabulate NSC, NSCB and their drop under each post-processing, from features of cells or wells."""

import pandas as pd

from cellclr_lib.profiles.aggregation import aggregate_treatments, aggregate_wells
from cellclr_lib.profiles.metrics import drop, nsc, nscb
from cellclr_lib.profiles.postprocessing import POSTS, postprocess
from cellclr_lib.profiles.uncertainty import bootstrap_interval, drop_interval, permutation_null


def tabulate_scores(meta, feats, protocol="strict", posts=tuple(POSTS), draws=10_000, null_draws=200, seed=0):
    """Score features of cells, or profiles of wells, under each post-processing.

    Parameters
    ----------
    meta : pandas.DataFrame
        One row per cell or well; see `aggregate_wells`.
    feats : ndarray, shape (n, D)
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
        ``nsc_chance nscb_chance``, the mean over MoAs shuffled over compounds.

    Notes
    -----
    Explained in chapter 6, *evaluation*.
    """
    meta, feats = aggregate_wells(meta, feats)
    rows = []
    for post in posts:
        table, profiles = aggregate_treatments(meta, postprocess(meta, feats, post))
        scores = {"nsc": nsc(table, profiles, protocol=protocol), "nscb": nscb(table, profiles, protocol=protocol)}
        row = {"post": post}
        for (name, score), metric in zip(scores.items(), (nsc, nscb), strict=True):
            low, high = bootstrap_interval(score, draws=draws, seed=seed)
            null = permutation_null(table, profiles, metric, draws=null_draws, seed=seed, protocol=protocol)
            row |= {name: score.accuracy, f"{name}_low": low, f"{name}_high": high}
            row |= {f"{name}_correct": score.correct, f"{name}_total": score.total, f"{name}_chance": null.mean()}
        low, high = drop_interval(*scores.values(), draws=draws, seed=seed)
        rows.append(row | {"drop": drop(*scores.values()), "drop_low": low, "drop_high": high})
    return pd.DataFrame(rows)
