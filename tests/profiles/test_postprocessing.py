"""Standardising, whitening, CORAL and TVN against closed forms and dense matrices on shifted, correlated data."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from cellclr_lib.profiles import TVN, Coral, Whitener, ZScore, aggregate_wells


@pytest.fixture
def correlated():
    """120 wells of 5 shifted, correlated features in three weeks, every second one DMSO."""
    generator = np.random.default_rng(3)
    meta = pd.DataFrame({"compound": ["DMSO", "a"] * 60, "batch": np.repeat(["Week1", "Week2", "Week10"], 40)})
    meta["plate"] = meta["batch"] + "_" + pd.Series(np.repeat([0, 1, 0, 1, 0, 1], 20)).astype(str)
    mixing = generator.normal(size=(5, 5)) * [5, 2, 1, 0.5, 0.1]
    feats = generator.normal(size=(120, 5)) @ mixing + 100
    return meta, feats + 3 * np.repeat(generator.normal(size=(3, 5)), 40, axis=0)


def power(matrix, exponent):
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * values**exponent) @ vectors.T


def dmso(meta, feats):
    return feats[(meta["compound"] == "DMSO").to_numpy()]


@pytest.mark.parametrize("rows", ["controls", "all"])
@pytest.mark.parametrize("by", [None, "plate", "batch"])
def test_standardizer_gives_its_rows_mean_zero_and_deviation_one(correlated, rows, by):
    meta, feats = correlated
    out = ZScore(rows, by).fit_transform(meta, feats)
    for _, index in meta.groupby(by).groups.items() if by else [(None, meta.index)]:
        part = meta.loc[index], out[index]
        chosen = dmso(*part) if rows == "controls" else part[1]
        np.testing.assert_allclose(chosen.mean(axis=0), 0, atol=1e-10)
        np.testing.assert_allclose(chosen.std(axis=0), 1)


def test_standardizer_only_centres_a_constant_feature(correlated):
    meta, feats = correlated
    constant = np.where((meta["compound"] == "DMSO").to_numpy(), 0.1, 0.7)
    out = ZScore().fit_transform(meta, np.column_stack([feats, constant]))
    np.testing.assert_allclose(out[:, 5], constant - 0.1, atol=1e-12)


@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0])
def test_whitened_controls_have_the_known_covariance(correlated, lam):
    meta, feats = correlated
    white = dmso(meta, Whitener(lam).fit_transform(meta, feats))
    spread = np.linalg.eigvalsh(np.cov(dmso(meta, feats).T, ddof=0))[::-1]
    covariance = white.T @ white / len(white)
    np.testing.assert_allclose(covariance, np.diag(spread / (spread + lam)), atol=1e-8)
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-8)
    if lam == 0:
        assert np.allclose(covariance, np.eye(5), atol=1e-8)


def test_whitening_is_the_published_matrix(correlated):
    meta, feats = correlated
    controls = dmso(meta, feats)
    centred = controls - controls.mean(axis=0)
    expected = (feats - controls.mean(axis=0)) @ power(centred.T @ centred / len(centred) + np.eye(5), -0.5)
    white = Whitener().fit_transform(meta, feats)  # equal up to the rotation that is not undone
    np.testing.assert_allclose(white @ white.T, expected @ expected.T, atol=1e-8)


def test_whitening_on_both_controls(correlated):
    """Each kind of control varies around its own mean; features count from DMSO."""
    meta, feats = correlated
    treated = np.flatnonzero(meta["compound"] != "DMSO")[:20]
    meta = meta.assign(role=np.where(meta["compound"] == "DMSO", "control", "treatment"))
    meta.loc[treated, "role"] = "positive_control"
    feats = feats.copy()
    feats[treated] += [10, -5, 3, 0, 1]  # where positive controls lie must not count as variation
    rows = [dmso(meta, feats), feats[treated]]
    scatter = sum((x - x.mean(axis=0)).T @ (x - x.mean(axis=0)) for x in rows) / sum(map(len, rows))
    expected = (feats - rows[0].mean(axis=0)) @ power(scatter + 2 * np.eye(5), -0.5)
    white = Whitener(2, controls="both").fit_transform(meta, feats)
    np.testing.assert_allclose(white @ white.T, expected @ expected.T, atol=1e-8)
    with pytest.raises(ValueError, match="0 rows have the role positive_control"):
        Whitener(controls="both").fit(meta.assign(role="control"), feats)
    with pytest.raises(ValueError, match="controls is 'positive'"):
        Whitener(controls="positive").fit(meta, feats)


@pytest.mark.parametrize("features", [5, 60])  # 60: more features than a week has controls
@pytest.mark.parametrize("lam", [0.3, 1.0])
@pytest.mark.parametrize("centred", [False, True])
def test_coral_equals_its_dense_matrices(correlated, features, lam, centred):
    meta, feats = correlated
    feats = feats - 100 if features == 5 else np.random.default_rng(1).normal(size=(120, 60)) + 0.3
    out = Coral(lam, center=centred).fit_transform(meta, feats)
    mean = {
        week: dmso(group, feats[group.index]).mean(axis=0) if centred else 0
        for week, group in meta.groupby("batch")
    }
    moved = feats - np.stack([mean[week] + np.zeros(features) for week in meta["batch"]])
    controls = dmso(meta, moved)
    everything = power(controls.T @ controls / len(controls) + lam * np.eye(features), 0.5)
    for _, group in meta.groupby("batch"):
        own = dmso(group, moved[group.index])
        week = power(own.T @ own / len(own) + np.eye(features), -0.5)
        np.testing.assert_allclose(out[group.index], moved[group.index] @ week @ everything, atol=1e-8)


@pytest.mark.parametrize("center", [False, True])
def test_tvn_is_whitening_then_coral(correlated, center):
    meta, feats = correlated
    white = Whitener(0.7).fit_transform(meta, feats)
    expected = Coral(0.7, center=center).fit_transform(meta, white)
    np.testing.assert_allclose(TVN(0.7, center=center).fit_transform(meta, feats), expected)


def test_centred_coral_removes_the_mean_of_each_week(correlated):
    meta, feats = correlated
    out = TVN(center=True).fit_transform(meta, feats)
    for _, group in meta.groupby("batch"):
        np.testing.assert_allclose(dmso(group, out[group.index]).mean(axis=0), 0, atol=1e-9)


@pytest.mark.parametrize("make", [ZScore, lambda: ZScore("all", "plate"), Whitener, Coral, TVN])
def test_every_transform_keeps_shape_type_input_and_the_meaning_of_rows(cells, make):
    meta, feats = aggregate_wells(*cells)
    feats = feats.astype(np.float32)
    before = feats.copy()
    fitted = make().fit(meta, feats)
    out = fitted.transform(meta, feats)
    assert out.shape == feats.shape and out.dtype == np.float32
    np.testing.assert_array_equal(feats, before)
    some = np.random.default_rng(0).permutation(len(meta))[:30]
    np.testing.assert_allclose(fitted.transform(meta.iloc[some], feats[some]), out[some], rtol=1e-5, atol=1e-5)
    again = make().fit(meta.iloc[::-1], feats[::-1]).transform(meta, feats)
    np.testing.assert_allclose(again, out, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("make", [ZScore, Whitener, Coral, TVN])
def test_only_controls_are_fitted(cells, make):
    meta, feats = aggregate_wells(*cells)
    treated = (meta["compound"] != "DMSO").to_numpy()
    changed = feats.copy()
    changed[treated] += 1000
    np.testing.assert_allclose(make().fit(meta, changed).transform(meta, feats), make().fit_transform(meta, feats))


@pytest.mark.parametrize(
    "step",
    [ZScore("all", "plate"), Whitener(2, controls="both"), Coral(0.5, center=True), TVN(3, center=True)],
)
def test_they_are_estimators(correlated, step):
    """Scikit-learn clones them with their parameters, prints these, and tells whether they are fitted."""
    meta, feats = correlated
    meta = meta.assign(role=np.where(meta["compound"] == "DMSO", "control", "positive_control"))
    fitted = clone(step).fit(meta, feats)
    assert clone(fitted).get_params() == step.get_params()
    for name, value in step.get_params().items():
        assert f"{name}={value!r}" in str(step)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        clone(fitted).transform(meta, feats)
    changed = clone(step).set_params(**type(step)().get_params()).fit(meta, feats).transform(meta, feats)
    np.testing.assert_array_equal(changed, type(step)().fit(meta, feats).transform(meta, feats))
    assert not np.allclose(changed, fitted.transform(meta, feats))


def test_refusals(correlated):
    meta, feats = correlated
    with pytest.raises(ValueError, match="not fitted"):
        TVN().transform(meta, feats)
    with pytest.raises(ValueError, match="expected rows 'controls'"):
        ZScore("dmso").fit(meta, feats)
    with pytest.raises(ValueError, match="not negative"):
        Whitener(-1).fit(meta, feats)
    with pytest.raises(ValueError, match="0 rows have the compound DMSO"):
        Whitener().fit(meta.assign(compound="a"), feats)
    with pytest.raises(ValueError, match="lam=0"):
        Whitener(0).fit(meta, np.hstack([feats, feats[:, :1]]))
    with pytest.raises(ValueError, match="batch 'Week2' had no DMSO"):
        Coral().fit(meta[meta["batch"] == "Week1"], feats[:40]).transform(meta, feats)
    with pytest.raises(ValueError, match="plate 'p': 1 rows"):
        ZScore(by="plate").fit(meta[:2].assign(plate="p"), feats[:2])
    with pytest.raises(ValueError, match="is nan"):
        Whitener().fit(meta, np.where(feats == feats[4, 4], np.nan, feats))
