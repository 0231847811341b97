"""From the features of cells to the table that is reported: NSC, NSCB and drop under each post-processing."""

from pathlib import Path

import pandas as pd

from cellclr_lib.profiles.aggregate import treatments, wells
from cellclr_lib.profiles.metrics import drop, nsc, nscb
from cellclr_lib.profiles.postprocess import TVN, Standardizer, Whitener
from cellclr_lib.profiles.uncertainty import drop_interval, interval, permutation_null

# What is done to well profiles, in order. Whitening and TVN need features of one unit, so they follow a z-score.
POSTS = {
    "none": (),
    "standardised": (lambda: Standardizer(rows="all"),),
    "whitening": (lambda: Standardizer(rows="all"), Whitener),
    "tvn": (lambda: Standardizer(rows="all"), TVN),
}


def postprocess(meta, feats, post):
    """Well profiles after one of the named post-processings.

    Parameters
    ----------
    meta : pandas.DataFrame
        One row per well.
    feats : ndarray, shape (wells, D)
    post : str
        "none"; "standardised", z-score of each feature over all wells; "whitening" or "tvn", the same followed by
        `Whitener` or `TVN`, which are fitted on DMSO wells only.

    Returns
    -------
    ndarray, shape (wells, D')
    """
    if post not in POSTS:
        raise ValueError(f"post-processing must be one of {tuple(POSTS)}, not {post!r}")
    for step in POSTS[post]:
        feats = step().fit(meta, feats).transform(meta, feats)
    return feats


def report(meta, feats, protocol="strict", posts=tuple(POSTS), draws=10_000, null_draws=200, seed=0):
    """Score features of cells, or profiles of wells, under each post-processing.

    Parameters
    ----------
    meta : pandas.DataFrame
        One row per cell or well; see `wells`.
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
    meta, feats = wells(meta, feats)
    rows = []
    for post in posts:
        table, profiles = treatments(meta, postprocess(meta, feats, post))
        scores = {"nsc": nsc(table, profiles, protocol), "nscb": nscb(table, profiles, protocol)}
        row = {"post": post}
        for (name, score), metric in zip(scores.items(), (nsc, nscb), strict=True):
            low, high = interval(score, draws=draws, seed=seed)
            null = permutation_null(table, profiles, metric, draws=null_draws, seed=seed, protocol=protocol)
            row |= {name: score.accuracy, f"{name}_low": low, f"{name}_high": high}
            row |= {f"{name}_correct": score.correct, f"{name}_total": score.total, f"{name}_chance": null.mean()}
        low, high = drop_interval(*scores.values(), draws=draws, seed=seed)
        rows.append(row | {"drop": drop(*scores.values()), "drop_low": low, "drop_high": high})
    return pd.DataFrame(rows)


def published_scores():
    """Scores that others have published for BBBC021, to be read beside a `report`.

    Returns
    -------
    pandas.DataFrame
        ``method year supervision post nsc nsc_status nscb nscb_status source``: scores in percent, NaN where none
        is confirmed; status "read" in a primary source, "inferred" from statements in it, or "unconfirmed";
        ``source`` is an entry of the book's bibliography. Explained in chapter 9, *the real screen*.
    """
    return pd.read_csv(Path(__file__).with_name("published.csv"))
