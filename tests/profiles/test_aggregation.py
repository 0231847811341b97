"""Cells to wells to treatments against plain loops; what is refused."""

import numpy as np
import pandas as pd
import pytest

from cellclr_lib.profiles import aggregate_treatments, aggregate_wells, load_profiles


def test_wells_are_means_of_their_cells(cells):
    meta, feats = cells
    well_meta, well_feats = aggregate_wells(meta, feats)
    assert list(well_meta) == "plate well batch replicate compound concentration_um moa role".split()
    seen = []
    for plate, well in zip(meta["plate"], meta["well"], strict=True):
        if (plate, well) not in seen:
            seen.append((plate, well))
    assert list(zip(well_meta["plate"], well_meta["well"], strict=True)) == seen  # first appearance
    for i, (plate, well) in enumerate(seen):
        own = [x for x, p, w in zip(feats, meta["plate"], meta["well"], strict=True) if (p, w) == (plate, well)]
        np.testing.assert_allclose(well_feats[i], sum(own) / len(own), rtol=1e-12)


def test_wells_leave_well_level_data_alone_and_keep_the_type(cells):
    once = aggregate_wells(*cells)
    twice = aggregate_wells(*once)
    pd.testing.assert_frame_equal(once[0], twice[0])
    np.testing.assert_array_equal(once[1], twice[1])
    assert aggregate_wells(cells[0], cells[1].astype(np.float32))[1].dtype == np.float32


def test_wells_sum_in_double_precision():
    meta = pd.DataFrame({"plate": ["p"] * 100_000, "well": ["B02"] * 100_000})
    feats = np.full((100_000, 1), 1e4 + 0.1, dtype=np.float32)
    assert aggregate_wells(meta, feats)[1][0, 0] == feats[0, 0]


def test_wells_do_not_depend_on_the_order_of_cells(cells):
    order = np.random.default_rng(0).permutation(len(cells[0]))
    meta, feats = aggregate_wells(*cells)
    meta2, feats2 = aggregate_wells(cells[0].iloc[order], cells[1][order])
    place = meta2.set_index(["plate", "well"]).index.get_indexer(meta.set_index(["plate", "well"]).index)
    np.testing.assert_allclose(feats2[place], feats, rtol=1e-12)


def test_treatments_are_medians_of_their_wells(cells):
    meta, feats = aggregate_wells(*cells)
    table, values = aggregate_treatments(meta, feats)
    assert set(table["compound"]) == {f"c{c}" for c in range(10)}  # no DMSO, no controls, nothing unannotated
    assert len(table) == 20 and table["batch"].map(type).eq(tuple).all()
    for i, row in table.iterrows():
        own = [
            feats[j]
            for j in range(len(meta))
            if meta["compound"][j] == row["compound"] and meta["concentration_um"][j] == row["concentration_um"]
        ]
        assert row["n_wells"] == len(own)
        np.testing.assert_allclose(values[i], np.median(own, axis=0))


def test_treatment_batches_are_sorted_tuples_and_doses_compare_robustly():
    meta = pd.DataFrame(
        {
            "compound": ["a"] * 3,
            "concentration_um": [0.3, 0.1 + 0.2, 0.3],
            "moa": ["M"] * 3,
            "batch": ["Week2", "Week1", "Week2"],
        }
    )
    table, values = aggregate_treatments(meta, np.array([[1.0], [2.0], [6.0]]))
    assert table["batch"].tolist() == [("Week1", "Week2")] and values.tolist() == [[2.0]]


def test_without_roles_what_is_annotated_and_not_dmso_is_a_treatment(cells):
    meta, feats = aggregate_wells(*cells)
    table, _ = aggregate_treatments(meta.drop(columns="role"), feats)
    assert set(table["compound"]) == {f"c{c}" for c in range(10)} | {"taxol"}


def test_inputs_are_not_changed(cells):
    meta, feats = aggregate_wells(*cells)
    before, values = meta.copy(), feats.copy()
    aggregate_treatments(meta, feats)
    pd.testing.assert_frame_equal(meta, before)
    np.testing.assert_array_equal(feats, values)


def test_refusals(cells):
    meta, feats = cells
    with pytest.raises(ValueError, match=r"call|average the cells"):
        aggregate_treatments(meta, feats)
    with pytest.raises(ValueError, match="expected \\(rows, features\\)"):
        aggregate_wells(meta[:-1], feats)
    with pytest.raises(ValueError, match="lacks the column\\(s\\) well"):
        aggregate_wells(meta.drop(columns="well"), feats)
    broken = feats.copy()
    broken[3, 2] = np.nan
    with pytest.raises(ValueError, match=r"feats\[3, 2\] is nan"):
        aggregate_wells(meta, broken)
    mixed = meta.assign(compound=np.where(np.arange(len(meta)) == 5, "other", meta["compound"]))
    with pytest.raises(ValueError, match="differ in 'compound'"):
        aggregate_wells(mixed, feats)
    with pytest.raises(ValueError, match="no row is a treatment"):
        aggregate_treatments(*aggregate_wells(meta[meta["compound"] == "DMSO"], feats[meta["compound"] == "DMSO"]))


@pytest.mark.real
def test_real_profiles_have_the_known_counts(ljosa):
    meta, feats = ljosa(True)
    assert feats.shape == (632, 464) and ljosa(False)[1].shape == (632, 516)
    assert meta["role"].value_counts().to_dict() == {"control": 330, "treatment": 302}
    assert len(meta.attrs["features"]) == 464 and np.isfinite(feats).all()
    table, _ = aggregate_treatments(meta, feats)
    assert len(table) == 103 and table["moa"].nunique() == 12 and set(table["n_wells"]) == {2, 3}
    assert table["batch"].map(len).eq(1).all()
    wells_meta, wells_feats = aggregate_wells(meta, feats)
    np.testing.assert_array_equal(wells_feats, feats)
    pd.testing.assert_frame_equal(wells_meta, meta)


@pytest.mark.real
def test_a_missing_file_is_named(real_bbbc021, tmp_path):
    with pytest.raises(FileNotFoundError, match="gone.csv.gz"):
        load_profiles(
            tmp_path / "gone.csv.gz", real_bbbc021 / "BBBC021_v1_image.csv", real_bbbc021 / "BBBC021_v1_moa.csv"
        )
