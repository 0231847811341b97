"""Measure how well a linear model tells mechanisms apart, on compounds that it has not seen.

NSC and NSCB show whether mechanisms are what moves a profile most; a probe shows whether they can be read from
it at all. It is given mechanisms, so it measures features and must not choose them. Explained in chapter 9, the
real screen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cellclr_lib.annotations import is_treatment
from cellclr_lib.profiles.formats import Profiles

if TYPE_CHECKING:
    from cellclr_lib.profiles.formats import Annotations, Features


def compound_probe(meta: Annotations, feats: Features | None = None, *, strength: float = 1.0) -> float:
    """Compute the balanced accuracy of a logistic regression on compounds that it was not fitted on.

    Each compound in turn is left out with all its concentrations. Features are z-scored and mechanisms weighted
    alike, on the rest. A mechanism of one compound only cannot be learned and is left out.

    Parameters
    ----------
    meta, feats : DataFrame and ndarray, shape (n, D)
        One row per treatment (or well): ``compound moa`` and, where there is one, ``role``; or another form of
        `cellclr_lib.profiles.formats`.
    strength : float
        Inverse of the ridge penalty, scikit-learn's ``C``.

    Returns
    -------
    float
        Mean over mechanisms of the share of their rows that are predicted right, in [0, 1]; chance is one over
        the number of mechanisms.

    Raises
    ------
    ValueError
        If fewer than two mechanisms have two compounds or more.

    Examples
    --------
    >>> import pandas as pd
    >>> meta = pd.DataFrame({"compound": list("abcd"), "moa": ["M", "M", "N", "N"]})
    >>> compound_probe(meta, np.array([[1.0, 0.0], [1.1, 0.1], [0.0, 1.0], [0.1, 1.2]]))
    1.0
    """
    from sklearn.linear_model import LogisticRegression  # importing it takes a second
    from sklearn.metrics import recall_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    profiles = Profiles(meta, feats, ["compound", "moa"])
    meta, feats = profiles.meta, profiles.feats
    rows = is_treatment(meta)
    compound, moa = (meta.loc[rows, name].to_numpy(dtype=object) for name in ("compound", "moa"))
    compounds = meta[rows].groupby("moa")["compound"].nunique()
    learnable = np.isin(moa, compounds.index[compounds > 1])
    compound, moa, feats = compound[learnable], moa[learnable], feats[rows][learnable]
    if len(set(moa)) < 2:
        raise ValueError(
            f"{len(set(moa))} mechanisms have two compounds or more; a probe needs two such mechanisms at least"
        )
    predicted = np.empty(len(moa), dtype=object)
    for left_out in sorted(set(compound)):
        held_out = compound == left_out
        probe = make_pipeline(
            StandardScaler(), LogisticRegression(C=strength, class_weight="balanced", max_iter=5000, tol=1e-6)
        )
        predicted[held_out] = probe.fit(feats[~held_out], moa[~held_out]).predict(feats[held_out])
    return float(recall_score(moa.astype(str), predicted.astype(str), average="macro"))
