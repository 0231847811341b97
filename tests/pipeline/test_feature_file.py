"""Features belong to the cells they were made from, in their order."""

import numpy as np
import pandas as pd
import pytest

from cellclr_lib.data import CellStore
from cellclr_lib.pipeline.feature_file import load_features, save_features


def store_of(path, order=slice(None), **changed):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (12, 3, 16, 16), dtype=np.uint8)
    table = pd.DataFrame({"plate": "p", "well": [f"B{i // 2:02d}" for i in range(12)], "x_px": rng.random(12)})
    table = table.assign(**{"compound": "a", "moa": "M", **changed}).iloc[order].reset_index(drop=True)
    return CellStore.from_arrays(images[order], table, path)


@pytest.fixture
def made(tmp_path):
    """A store, its features and their file."""
    store = store_of(tmp_path / "store")
    feats = np.random.default_rng(1).normal(size=(12, 4)).astype(np.float32)
    save_features(feats, store, tmp_path / "features.npy")
    return store, feats, tmp_path / "features.npy"


def test_come_back_as_they_were(made):
    store, feats, path = made
    np.testing.assert_array_equal(load_features(path, store), feats)
    np.testing.assert_array_equal(load_features(path, CellStore.open(store.path)), feats)


def test_of_other_cells_or_another_order_are_refused(made, tmp_path):
    _, _, path = made
    for name, store in {
        "turned": store_of(tmp_path / "turned", order=slice(None, None, -1)),
        "other": store_of(tmp_path / "other", plate="q"),
    }.items():
        with pytest.raises(ValueError, match=rf"other cells than those of .*{name}.*embed the store again"):
            load_features(path, store)
    with pytest.raises(ValueError, match="holds 12 cells, .* 4; embed it again"):
        load_features(path, store_of(tmp_path / "few", order=slice(4)))


def test_a_corrected_mechanism_changes_no_feature(made, tmp_path):
    _, feats, path = made
    corrected = store_of(tmp_path / "corrected", compound="b", moa="N")
    np.testing.assert_array_equal(load_features(path, corrected), feats)


def test_without_a_record_a_warning(made, caplog):
    store, feats, path = made
    path.with_suffix(".json").unlink()
    np.testing.assert_array_equal(load_features(path, store), feats)
    assert "no record beside these features" in caplog.text


@pytest.mark.parametrize("contents", [b"", b"no numbers", b"\x93NUMPY\x01\x00"])
def test_a_damaged_file_is_named(made, contents):
    store, _, path = made
    path.write_bytes(contents)
    with pytest.raises(ValueError, match=r"features\.npy holds no features, or is damaged"):
        load_features(path, store)


def test_refusals(made, tmp_path):
    store, feats, path = made
    with pytest.raises(FileNotFoundError, match=r"none\.npy does not exist; make it"):
        load_features(tmp_path / "none.npy", store)
    with pytest.raises(ValueError, match=r"written as \.npy, not 'features\.csv'"):
        save_features(feats, store, tmp_path / "features.csv")
    with pytest.raises(ValueError, match="3 rows for the 12 cells"):
        save_features(feats[:3], store, path)
    np.save(path, np.array(["a"] * 12))
    with pytest.raises(ValueError, match="expected numbers"):
        load_features(path, store)
    path.with_suffix(".json").write_text("{")
    np.save(path, feats)
    with pytest.raises(ValueError, match=r"features\.json is damaged"):
        load_features(path, store)
