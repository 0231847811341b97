"""Name the post-processings of well profiles, and apply one.

The estimators lie in `z_score`, `whitening` and `tvn`. Explained in chapter 7, *post-processing*.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sklearn.base import clone

from cellclr_lib.profiles.transforms import Transform
from cellclr_lib.profiles.tvn import TVN
from cellclr_lib.profiles.whitening import Whitener
from cellclr_lib.profiles.z_score import ZScore

if TYPE_CHECKING:
    from cellclr_lib.profiles.formats import Annotations, Features

# What is done to well profiles, in order. Whitening and TVN need features of one unit, so they follow a z-score.
POSTS: dict[str, Sequence[Transform]] = {
    "none": (),
    "z_score": (ZScore(rows="all"),),
    "whitening": (ZScore(rows="all"), Whitener()),
    "tvn": (ZScore(rows="all"), TVN()),
}


def postprocess(meta: Annotations, feats: Features | None = None, post: str = "z_score") -> Any:
    """Apply one of the named post-processings to well profiles.

    Parameters
    ----------
    meta, feats : DataFrame and ndarray, shape (wells, D)
        One row per well; or another form of `cellclr_lib.profiles.formats`.
    post : str
        "none"; "z_score", z-score of each feature over all wells; "whitening" or "tvn", the same followed by
        `Whitener` or `TVN`, which are fitted on DMSO wells only.

    Returns
    -------
    ndarray, shape (wells, D), or the form that came in

    Raises
    ------
    ValueError
        If there is no such post-processing, or as for the estimators.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> meta = pd.DataFrame({"compound": ["DMSO", "taxol"]})
    >>> postprocess(meta, np.array([[1.0], [3.0]]), "z_score").ravel().tolist()
    [-1.0, 1.0]
    """
    if post not in POSTS:
        raise ValueError(f"post-processing must be one of {tuple(POSTS)}, not {post!r}")
    alone = feats is None
    for step in POSTS[post]:
        out = clone(step).fit_transform(meta, feats)
        meta, feats = (out, None) if alone else (meta, out)
    return meta if alone else feats
