"""Every form of profiles gives the same numbers and comes back as it came."""

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline

from cellclr_lib.profiles import (
    TVN,
    Coral,
    Whitener,
    ZScore,
    aggregate_treatments,
    aggregate_wells,
    bootstrap_interval,
    compound_probe,
    control_retrieval,
    nsc,
    nscb,
    permutation_null,
    postprocess,
    replicate_retrieval,
    tabulate_scores,
    to_anndata,
    week_accuracy,
)
from cellclr_lib.profiles.formats import Profiles, theirs

NAMES = ["area", "eccentricity", "dna", "tubulin", "actin", "texture"]


def as_named(meta, feats):
    return meta, pd.DataFrame(feats, columns=NAMES)


def as_table(meta, feats):
    return (pd.concat([theirs(meta), pd.DataFrame(feats, columns=NAMES)], axis=1),)


def as_metadata_and_feats(meta, feats):
    return theirs(meta), feats


def as_anndata(meta, feats):
    pytest.importorskip("anndata", reason="needs the extra anndata")
    return (to_anndata(meta, feats, names=NAMES),)


FORMS = [as_named, as_table, as_metadata_and_feats, as_anndata]


def parts(profiles):
    """Annotations, features and names of any form."""
    taken = Profiles(*profiles) if isinstance(profiles, tuple) else Profiles(profiles)
    return taken.meta, taken.feats, taken.names


def packed(profiles):
    return profiles if isinstance(profiles, tuple) else (profiles,)


@pytest.mark.parametrize("form", FORMS)
def test_scores_do_not_depend_on_the_form(cells, form):
    wells = aggregate_wells(*cells)
    treated = aggregate_treatments(*wells)
    for score in (replicate_retrieval, week_accuracy, control_retrieval):
        pd.testing.assert_frame_equal(score(*form(*wells)).neighbours, score(*wells).neighbours, check_dtype=False)
    for score in (nsc, nscb):
        again, expected = score(*form(*treated)), score(*treated)
        assert (str(again), again.left_out) == (str(expected), expected.left_out)
        assert bootstrap_interval(again) == bootstrap_interval(expected)


@pytest.mark.parametrize("form", FORMS)
def test_functions_of_profiles_take_every_form(cells, form):
    wells = aggregate_wells(*cells)
    treated = aggregate_treatments(*wells)
    np.testing.assert_array_equal(
        permutation_null(*form(*treated), draws=20), permutation_null(*treated, draws=20)
    )
    short = {"draws": 20, "null_draws": 5}
    pd.testing.assert_frame_equal(tabulate_scores(*form(*cells), **short), tabulate_scores(*cells, **short))
    assert compound_probe(*form(*treated)) == compound_probe(*treated)


@pytest.mark.parametrize("form", FORMS)
def test_averages_come_back_as_they_came(cells, form):
    came = form(*cells)
    wells = packed(aggregate_wells(*came))
    assert [type(part) for part in wells] == [type(part) for part in came]
    meta, feats, names = parts(wells)
    expected_meta, expected = aggregate_wells(*cells)
    np.testing.assert_array_equal(feats, expected)
    pd.testing.assert_frame_equal(meta.reset_index(drop=True), expected_meta, check_dtype=False)
    assert names == (None if form is as_metadata_and_feats else NAMES)
    treated = packed(aggregate_treatments(*wells))
    meta, feats, names = parts(treated)
    expected_meta, expected = aggregate_treatments(expected_meta, expected)
    np.testing.assert_array_equal(feats, expected)
    assert meta["batch"].tolist() == expected_meta["batch"].tolist()
    assert names == (None if form is as_metadata_and_feats else NAMES)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("step", [ZScore(rows="all", by="plate"), Whitener(), Coral(), TVN(center=True)])
def test_transforms_give_back_what_they_were_given(cells, form, step):
    wells = aggregate_wells(*cells)
    came = form(*wells)
    out = step.fit(*came).transform(*came)
    whole = (came[0], out) if len(came) == 2 else (out,)
    meta, feats, names = parts(whole)
    np.testing.assert_array_equal(feats, step.fit_transform(*wells))
    assert meta["well"].tolist() == wells[0]["well"].tolist()
    assert type(out) is type(came[-1])
    if form is not as_metadata_and_feats:  # a mixture of features must not bear the name of one of them
        mixed = isinstance(step, Whitener | TVN)
        assert names == ([f"Whitened_{i:04d}" for i in range(6)] if mixed else NAMES)


@pytest.mark.parametrize("form", [as_table, as_anndata])
def test_steps_of_a_pipeline(cells, form):
    wells = aggregate_wells(*cells)
    (profiles,) = form(*wells)
    piped = make_pipeline(ZScore(rows="all"), Whitener()).fit(profiles).transform(profiles)
    expected = postprocess(*wells, "whitening")
    np.testing.assert_array_equal(parts((piped,))[1], expected)
    np.testing.assert_array_equal(parts((postprocess(profiles, post="whitening"),))[1], expected)


def test_nothing_that_came_in_is_changed(cells):
    pytest.importorskip("anndata", reason="needs the extra anndata")
    wells = aggregate_wells(*cells)
    (table,), (adata,) = as_table(*wells), as_anndata(*wells)
    adata.obsm["umap"], adata.uns["screen"] = np.zeros((len(adata), 2)), "mine"
    before, x = table.copy(), adata.X.copy()
    ZScore().fit_transform(table)
    out = ZScore().fit_transform(adata)
    pd.testing.assert_frame_equal(table, before)
    np.testing.assert_array_equal(adata.X, x)
    assert out.uns["screen"] == "mine" and out.obsm["umap"].shape == (len(out), 2)


def test_sparse_anndata_with_our_names(cells):
    anndata = pytest.importorskip("anndata", reason="needs the extra anndata")
    from scipy.sparse import csr_matrix

    meta, feats = aggregate_wells(*cells)
    obs = meta.set_axis(meta.index.astype(str))
    adata = anndata.AnnData(csr_matrix(feats), obs=obs)
    assert week_accuracy(adata).accuracy == week_accuracy(meta, feats).accuracy


def test_refusals(cells):
    meta, feats = aggregate_wells(*cells)
    with pytest.raises(TypeError, match=r"must hold Metadata_\* columns and features"):
        nsc(meta)
    with pytest.raises(TypeError, match="expected .meta, feats., one table .* or an AnnData; got ndarray"):
        nsc(feats)
    with pytest.raises(ValueError, match="feature 'note' is not a number"):
        ZScore().fit(as_table(meta, feats)[0].assign(note="x"))
    with pytest.raises(ValueError, match=r"lacks the column\(s\) compound"):
        ZScore().fit(as_table(meta, feats)[0].drop(columns="Metadata_Compound"))
