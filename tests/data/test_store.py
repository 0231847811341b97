"""A store gives back what was put in, and refuses what does not fit."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from cellclr_lib.data import CellStore


@pytest.fixture
def cells():
    images = np.random.default_rng(0).integers(0, 2**16, (7, 3, 5, 5), dtype=np.uint16)
    return images, pd.DataFrame({"plate": list("aabbccd"), "x_px": np.arange(7.0)}, index=range(10, 17))


def test_round_trip(cells, tmp_path):
    images, table = cells
    CellStore.from_arrays(images, table, tmp_path / "store", source="a test")
    store = CellStore.open(tmp_path / "store")
    assert isinstance(store.images, np.memmap) and not store.images.flags.writeable
    np.testing.assert_array_equal(store.images, images)
    pd.testing.assert_frame_equal(store.table, table.reset_index(drop=True), check_dtype=False)
    assert store.channels == ("dna", "tubulin", "actin")
    assert len(store) == 7
    assert store.info["source"] == "a test" and store.info["crop_px"] == 5
    assert len(store.rejected) == 0


def test_batches_equal_arrays(cells, tmp_path):
    images, table = cells
    batches = [(images[:3], table[:3]), (images[3:], table[3:])]
    store = CellStore.from_batches(batches, images.shape, images.dtype, tmp_path / "store")
    np.testing.assert_array_equal(store.images, images)
    assert store.table["plate"].tolist() == table["plate"].tolist()


def test_other_channel_counts_get_names(cells, tmp_path):
    images, table = cells
    assert CellStore.from_arrays(images[:, :2], table, tmp_path / "store").channels == ("channel0", "channel1")


def test_a_finished_store_is_never_overwritten(cells, tmp_path):
    CellStore.from_arrays(*cells, tmp_path / "store")
    with pytest.raises(FileExistsError, match="already holds"):
        CellStore.from_arrays(*cells, tmp_path / "store")


def test_an_unfinished_store_is_not_opened(cells, tmp_path):
    CellStore.from_arrays(*cells, tmp_path / "store")
    (tmp_path / "store" / "store.json").unlink()
    with pytest.raises(FileNotFoundError, match="no finished cell store"):
        CellStore.open(tmp_path / "store")


def test_damaged_pixels_are_named(cells, tmp_path):
    store = CellStore.from_arrays(*cells, tmp_path / "store")
    pixels = (store.path / "images.npy").read_bytes()
    (store.path / "images.npy").write_bytes(pixels[: len(pixels) // 2])
    with pytest.raises(ValueError, match="images.npy"):
        CellStore.open(store.path)


def test_pixels_and_table_must_belong_together(cells, tmp_path):
    images, table = cells
    with pytest.raises(ValueError, match="6 table rows"):
        CellStore.from_arrays(images, table[:6], tmp_path / "a")
    with pytest.raises(ValueError, match="uint8 or uint16"):
        CellStore.from_arrays(images.astype(float), table, tmp_path / "b")
    with pytest.raises(ValueError, match="channel names"):
        CellStore.from_arrays(images, table, tmp_path / "c", channels=["one"])
    with pytest.raises(ValueError, match=r"\(N, C, H, W\)"):
        CellStore.from_arrays(images[0], table, tmp_path / "d")
    store = CellStore.from_arrays(images, table, tmp_path / "e")
    table[:5].reset_index(drop=True).to_parquet(store.path / "cells.parquet")
    with pytest.raises(ValueError, match="do not belong"):
        CellStore.open(store.path)


@pytest.mark.parametrize("change", [{"cells": 6}, {"channels": ["one"]}, {"crop_px": 9}])
def test_the_record_and_the_pixels_must_agree(cells, tmp_path, change):
    store = CellStore.from_arrays(*cells, tmp_path / "store")
    (store.path / "store.json").write_text(json.dumps(store.info | change))
    with pytest.raises(ValueError, match=r"store\.json names .* images\.npy holds"):
        CellStore.open(store.path)


def test_what_the_disk_cannot_hold_is_not_begun(cells, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OSError, match=r"store needs .* GB, and 0\.00 GB are free"):
        CellStore.from_arrays(*cells, tmp_path / "store")
    assert not list((tmp_path / "store").iterdir())


def test_an_error_on_the_way_leaves_no_half_written_pixels(cells, tmp_path):
    images, table = cells
    with pytest.raises(ValueError, match="given where 9 were announced"):
        CellStore.from_batches([(images, table)], (9, *images.shape[1:]), images.dtype, tmp_path / "store")
    assert not list((tmp_path / "store").iterdir())


def test_store_json_is_plain(cells, tmp_path):
    store = CellStore.from_arrays(*cells, tmp_path / "store")
    assert json.loads((store.path / "store.json").read_text())["cells"] == 7
