"""The logistic probe against scikit-learn's own leave-one-group-out, and where its answer is known."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cellclr_lib.profiles import compound_probe


def profiles(separation, seed=0, width=6):
    """Three mechanisms of three compounds, four concentrations each; DMSO; a mechanism of a single compound."""
    rng = np.random.default_rng(seed)
    rows = [(f"{moa}{i}", moa, "treatment") for moa in "abc" for i in range(3) for _ in range(4)]
    rows += [("DMSO", "DMSO", "control")] * 5 + [("alone", "d", "treatment")] * 3
    meta = pd.DataFrame(rows, columns=["compound", "moa", "role"])
    centre = {moa: rng.normal(size=width) for moa in meta["moa"].unique()}
    feats = separation * np.stack([centre[moa] for moa in meta["moa"]]) + rng.normal(size=(len(meta), width))
    return meta, feats


@pytest.mark.parametrize("separation", [0.0, 0.7, 1.5])
def test_equals_leave_one_group_out(separation):
    meta, feats = profiles(separation)
    asked = meta["moa"].isin([*"abc"])
    probe = make_pipeline(
        StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=10_000, tol=1e-10)
    )
    told = cross_val_predict(
        probe, feats[asked], meta["moa"][asked], groups=meta["compound"][asked], cv=LeaveOneGroupOut()
    )
    assert compound_probe(meta, feats) == pytest.approx(balanced_accuracy_score(meta["moa"][asked], told))


def test_known_answers():
    meta, feats = profiles(20.0)
    assert compound_probe(meta, feats) == 1.0
    # Features that name the compound and nothing else say nothing of a compound that was left out.
    own = pd.get_dummies(meta["compound"]).to_numpy(dtype=float)
    assert compound_probe(meta, own) <= 1 / 3


def test_order_of_rows_does_not_matter():
    meta, feats = profiles(0.7)
    order = np.random.default_rng(1).permutation(len(meta))
    shuffled = compound_probe(meta.iloc[order].reset_index(drop=True), feats[order])
    assert shuffled == pytest.approx(compound_probe(meta, feats))


def test_too_few_mechanisms():
    meta, feats = profiles(1.0)
    few = meta["moa"].isin(["a", "d", "DMSO"]).to_numpy()
    with pytest.raises(ValueError, match="1 mechanisms have two compounds"):
        compound_probe(meta[few], feats[few])
