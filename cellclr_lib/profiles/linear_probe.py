"""How much a straight line can read: a logistic probe that never saw the compound it is asked about.

The nearest neighbour asks whether mechanisms are what moves a profile most; a probe asks whether they can be told
at all. It is given mechanisms, so it measures features and must not choose them. Explained in chapter 9, the real
screen.
"""

import numpy as np

from cellclr_lib.annotations import is_treatment
from cellclr_lib.profiles.tables import checked


def compound_probe(meta, feats, strength=1.0):
    """Balanced accuracy of a logistic regression on treatments whose compound it was not fitted on.

    Each compound in turn is left out with all its concentrations. Features are z-scored and mechanisms weighted
    alike, on the rest. A mechanism of one compound only cannot be learned and is left out.

    Parameters
    ----------
    meta : pandas.DataFrame
        One row per treatment (or well): ``compound moa`` and, where there is one, ``role``.
    feats : ndarray, shape (n, D), float
    strength : float
        Inverse of the ridge penalty, scikit-learn's ``C``.

    Returns
    -------
    float
        Mean over mechanisms of the share of their rows that are told, in [0, 1]; chance is one over their number.

    Raises
    ------
    ValueError
        If fewer than two mechanisms have two compounds or more.
    """
    from sklearn.linear_model import LogisticRegression  # importing it takes a second
    from sklearn.metrics import recall_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    feats = checked(meta, feats, ["compound", "moa"])
    rows = is_treatment(meta)
    compound, moa = (meta.loc[rows, name].to_numpy(dtype=object) for name in ("compound", "moa"))
    compounds = meta[rows].groupby("moa")["compound"].nunique()
    learnable = np.isin(moa, compounds.index[compounds > 1])
    compound, moa, feats = compound[learnable], moa[learnable], feats[rows][learnable]
    if len(set(moa)) < 2:
        raise ValueError(
            f"{len(set(moa))} mechanisms have two compounds or more; a probe needs two such mechanisms at least"
        )
    told = np.empty(len(moa), dtype=object)
    for left_out in sorted(set(compound)):
        asked = compound == left_out
        probe = make_pipeline(
            StandardScaler(), LogisticRegression(C=strength, class_weight="balanced", max_iter=5000, tol=1e-6)
        )
        told[asked] = probe.fit(feats[~asked], moa[~asked]).predict(feats[asked])
    return float(recall_score(moa.astype(str), told.astype(str), average="macro"))
