"""Profiles survive the disk, and what the tools of the field make of them is what we make of them."""

import builtins
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from cellclr_lib.profiles import (
    ZScore,
    aggregate_treatments,
    aggregate_wells,
    from_parquet,
    replicate_retrieval,
    to_anndata,
    to_parquet,
)


@pytest.fixture(scope="module")
def simulated(tiny_store):
    """Well profiles of the simulated screen: brightness on a grid of 6 × 6 per stain, z-scored, a MoA unknown."""
    cells = tiny_store.images.reshape(len(tiny_store), 3, 6, 16, 6, 16).mean(axis=(3, 5)).reshape(-1, 108)
    meta, feats = aggregate_wells(tiny_store.table, cells.astype(np.float32))
    meta.loc[3, "moa"] = ""
    return meta, ZScore(rows="all").fit_transform(meta, feats)


@pytest.fixture(scope="module")
def table(simulated, tmp_path_factory):
    """The same as others read it, treatments only, with one name for compound and concentration."""
    path = tmp_path_factory.mktemp("export") / "profiles.parquet"
    to_parquet(*simulated, path)
    table = pd.read_parquet(path).query("Metadata_Role == 'treatment'").reset_index(drop=True)
    dose = table["Metadata_Concentration"].astype(str)
    table["Metadata_Treatment"] = table["Metadata_Compound"] + " " + dose
    return table


@pytest.mark.parametrize("level", ["cells", "wells", "treatments"])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_profiles_survive_the_disk(cells, tmp_path, level, kind):
    pair = {"cells": cells, "wells": aggregate_wells(*cells)}
    pair["treatments"] = aggregate_treatments(*pair["wells"])
    meta, feats = pair[level]
    to_parquet(meta, feats.astype(kind), tmp_path / "p.parquet")
    meta2, feats2, names = from_parquet(tmp_path / "p.parquet")
    pd.testing.assert_frame_equal(meta, meta2, check_dtype=False)
    np.testing.assert_array_equal(feats2, feats.astype(kind))
    assert feats2.dtype == kind and names[0] == "Cells_Embedding_0000"


def test_the_columns_are_those_of_the_field(simulated, tmp_path):
    meta, feats = simulated
    to_parquet(meta.assign(cells=7), feats, tmp_path / "p.parquet", names=[f"f{i}" for i in range(108)])
    table = pd.read_parquet(tmp_path / "p.parquet")
    expected = "Plate Well Batch Replicate Compound Concentration MoA Role cells".split()
    assert list(table)[:9] == [f"Metadata_{name}" for name in expected] and list(table)[9:11] == ["f0", "f1"]
    assert table["Metadata_MoA"].isna().tolist() == (meta["moa"] == "").tolist()
    assert table["Metadata_MoA"].isna().sum() == 1 and len(table) == len(meta)


def test_weeks_of_a_treatment_are_one_text(tmp_path):
    meta = pd.DataFrame({"compound": ["a", "b"], "batch": [("Week1", "Week2"), ("Week3",)]})
    to_parquet(meta, np.eye(2), tmp_path / "p.parquet")
    assert pd.read_parquet(tmp_path / "p.parquet")["Metadata_Batch"].tolist() == ["Week1|Week2", "Week3"]
    assert from_parquet(tmp_path / "p.parquet")[0]["batch"].tolist() == meta["batch"].tolist()


def test_inputs_are_not_changed(simulated, tmp_path):
    meta, feats = simulated
    before, values = meta.copy(), feats.copy()
    to_parquet(meta, feats, tmp_path / "p.parquet")
    pd.testing.assert_frame_equal(meta, before)
    np.testing.assert_array_equal(feats, values)


def test_refusals(simulated, tmp_path):
    meta, feats = simulated
    with pytest.raises(ValueError, match="expected one each"):
        to_parquet(meta, feats, tmp_path / "p.parquet", names=["a"])
    with pytest.raises(ValueError, match="'Metadata_0' would be read as an annotation"):
        to_parquet(meta, feats, tmp_path / "p.parquet", names=[f"Metadata_{i}" for i in range(108)])
    with pytest.raises(FileNotFoundError, match="make it first"):
        to_parquet(meta, feats, tmp_path / "none" / "p.parquet")
    with pytest.raises(FileNotFoundError, match=r"p\.parquet does not exist"):
        from_parquet(tmp_path / "p.parquet")
    pd.DataFrame({"a": [1.0]}).to_parquet(tmp_path / "bare.parquet")
    with pytest.raises(ValueError, match=r"bare\.parquet has 0 Metadata_\* and 1 feature columns"):
        from_parquet(tmp_path / "bare.parquet")


def test_without_anndata_the_remedy_is_named(simulated, monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **more):
        if name == "anndata":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"\[anndata\]"):
        to_anndata(*simulated)


def test_anndata_survives_the_disk(simulated, tmp_path):
    anndata = pytest.importorskip("anndata", reason="needs the extra anndata")
    meta, feats = simulated
    to_anndata(meta, feats).write_h5ad(tmp_path / "p.h5ad")
    again = anndata.read_h5ad(tmp_path / "p.h5ad")
    np.testing.assert_array_equal(again.X, feats)
    assert again.X.dtype == np.float32 and again.var_names[0] == "Cells_Embedding_0000"
    assert again.obs["Metadata_Plate"].tolist() == meta["plate"].tolist()
    assert again.obs["Metadata_MoA"].isna().tolist() == (meta["moa"] == "").tolist()


@pytest.mark.parametrize("suffix", ["parquet", "h5ad"])
@pytest.mark.parametrize(("samples", "rows"), [("all", "all"), ("Metadata_Compound == 'DMSO'", "controls")])
def test_pycytominer_normalises_as_we_do(simulated, tmp_path, suffix, samples, rows):
    pycytominer = pytest.importorskip("pycytominer", reason="needs the extra bench")
    meta, feats = simulated
    path = str(tmp_path / f"p.{suffix}")
    if suffix == "h5ad":
        pytest.importorskip("anndata", reason="needs the extra anndata")
        to_anndata(meta, feats).write_h5ad(path)
    else:
        to_parquet(meta, feats, path)
    theirs = pycytominer.normalize(path, samples=samples, method="standardize")
    features = [name for name in theirs if not name.startswith("Metadata_")]
    ours = ZScore(rows=rows).fit_transform(meta, feats)
    np.testing.assert_allclose(theirs[features], ours, rtol=1e-4, atol=1e-4)
    assert theirs["Metadata_MoA"].isna().sum() == 1


def slow_average_precision(feats, positive, negative):
    """AP of every row, NaN without a positive: mean over its positives of the precision down to them, by loops."""
    scores = np.full(len(feats), np.nan)
    for query in range(len(feats)):
        others = [i for i in range(len(feats)) if positive[query, i] or negative[query, i]]
        cosine = [
            feats[query] @ feats[i] / np.linalg.norm(feats[query]) / np.linalg.norm(feats[i]) for i in others
        ]
        ranked = [others[i] for i in np.argsort(-np.array(cosine))]
        hits, precision = 0, []
        for rank, i in enumerate(ranked, start=1):
            if positive[query, i]:
                hits += 1
                precision.append(hits / rank)
        if precision:
            scores[query] = np.mean(precision)
    return scores


def pairs(table, same, differ):
    """(n, n) mask by loops: all of `same` are equal and known, all of `differ` differ."""
    mask = np.zeros((len(table), len(table)), dtype=bool)
    rows = table.to_dict("records")
    for i, j in combinations(range(len(rows)), 2):
        alike = all(rows[i][name] == rows[j][name] for name in same)  # NaN equals nothing
        mask[i, j] = mask[j, i] = alike and all(rows[i][name] != rows[j][name] for name in differ)
    return mask


REPLICATES = {  # a well's replicates on the other plates of its week, against all other treatments there
    "pos_sameby": ["Metadata_Treatment", "Metadata_Batch"],
    "pos_diffby": ["Metadata_Plate"],
    "neg_sameby": ["Metadata_Batch"],
    "neg_diffby": ["Metadata_Treatment", "Metadata_Plate"],
}
MECHANISMS = {  # another compound of the same mechanism, against compounds of other mechanisms
    "pos_sameby": ["Metadata_MoA"],
    "pos_diffby": ["Metadata_Compound"],
    "neg_sameby": [],
    "neg_diffby": ["Metadata_MoA", "Metadata_Compound"],
}


@pytest.mark.parametrize("rule", [REPLICATES, MECHANISMS], ids=["replicates", "mechanisms"])
def test_average_precision_of_copairs(table, rule):
    copairs = pytest.importorskip("copairs.map", reason="needs the extra bench")
    known = table.dropna(subset="Metadata_MoA").reset_index(drop=True)
    assert len(known) == len(table) - 1
    annotations = known.filter(regex="^Metadata_")
    feats = known.drop(columns=annotations.columns).to_numpy(dtype=float)
    found = copairs.average_precision(annotations, feats, **rule, progress_bar=False)
    expected = slow_average_precision(
        feats,
        pairs(annotations, rule["pos_sameby"], rule["pos_diffby"]),
        pairs(annotations, rule["neg_sameby"], rule["neg_diffby"]),
    )
    asked = found["n_pos_pairs"].to_numpy() > 0
    np.testing.assert_array_equal(asked, np.isfinite(expected))
    np.testing.assert_allclose(found["average_precision"][asked], expected[asked], rtol=1e-6)
    group = rule["pos_sameby"][:1]
    score = copairs.mean_average_precision(
        found, group, null_size=100, threshold=0.05, seed=0, progress_bar=False
    ).set_index(group[0])["mean_average_precision"]
    means = pd.Series(expected).groupby(known[group[0]]).mean().dropna()
    np.testing.assert_allclose(score[means.index], means, rtol=1e-6)


def test_where_a_well_has_one_replicate_copairs_counts_as_replicate_retrieval_does(simulated, table):
    copairs = pytest.importorskip("copairs.map", reason="needs the extra bench")
    annotations = table.filter(regex="^Metadata_")
    feats = table.drop(columns=annotations.columns).to_numpy(dtype=float)
    found = copairs.average_precision(annotations, feats, **REPLICATES, progress_bar=False)
    asked = found[found["n_pos_pairs"] > 0]
    assert (asked["n_pos_pairs"] == 1).all()  # so the average precision is one over the rank of the replicate
    ours = replicate_retrieval(*simulated)
    assert 0 < ours.correct < ours.total == len(asked)
    place = ["plate", "well"]
    right = ours.neighbours.set_index(place)["correct"]
    theirs = asked.set_index(["Metadata_Plate", "Metadata_Well"])["average_precision"] == 1
    np.testing.assert_array_equal(right.loc[theirs.index], theirs)
