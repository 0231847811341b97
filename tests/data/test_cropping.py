"""Crops: the right pixels, nothing lost silently, the same after a kill as without one."""

import shutil
from dataclasses import replace

import joblib
import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

from cellclr_lib.data import CropConfig, Screen, crop_cells, crop_screen, find_nuclei, scale_to_uint8
from cellclr_lib.data import screen_cropping as module


@pytest.fixture
def damaged(tiny_screen, tmp_path):
    """Two plates of the tiny screen, one image of the second field gone."""
    for table in tiny_screen.root.glob("*.csv"):
        shutil.copy(table, tmp_path)
    plates = tiny_screen.fields["plate"].unique()[:2]
    for plate in plates:
        shutil.copytree(tiny_screen.root / plate, tmp_path / plate)
    screen = Screen(tmp_path)
    screen = screen.subset(screen.fields["plate"].isin(plates))
    screen.image_path(screen.fields.iloc[1], "actin").unlink()
    return screen


def test_each_crop_is_its_place_in_the_field(tiny_screen, tmp_path):
    some = tiny_screen.subset(tiny_screen.fields["plate"] == tiny_screen.fields["plate"].iloc[0])
    store = crop_screen(some, CropConfig(crop_px=48, dtype="uint16"), tmp_path / "store", jobs=1, progress=False)
    rows = {(row["plate"], row["well"], row["site"]): row for _, row in some.fields.iterrows()}
    assert len(store) > 20 and store.images.dtype == np.uint16
    for image, (_, cell) in zip(store.images, store.table.iterrows(), strict=True):
        field = some.load_field(rows[cell["plate"], cell["well"], cell["site"]])
        top, left = round(cell["y_px"]) - 24, round(cell["x_px"]) - 24
        np.testing.assert_array_equal(image, field[:, top : top + 48, left : left + 48])


def test_every_object_is_kept_or_rejected_with_a_reason(tiny_screen):
    field = tiny_screen.load_field(tiny_screen.fields.iloc[0])
    config = CropConfig()
    crops, kept, rejected = crop_cells(field, config)
    assert len(kept) == len(crops) and len(kept) + len(rejected) == len(find_nuclei(field[0]))
    assert set(rejected["reason"]) <= {"border", "too small", "too large", "ragged"}
    border = rejected[rejected["reason"] == "border"]
    half = config.crop_px // 2
    height, width = field.shape[1:]
    inside_x, inside_y = (
        border[axis].between(half + 1, size - half - 1) for axis, size in (("x_px", width), ("y_px", height))
    )
    assert not (inside_x & inside_y).any()


def test_debris_is_rejected():
    field = np.full((3, 300, 300), 100, np.uint16)
    rows, columns = np.mgrid[:300, :300]
    field[0][np.hypot(rows - 150, columns - 150) < 16] = 900  # a nucleus
    field[0][np.hypot(rows - 80, columns - 150) < 16] = 900  # another
    field[0][np.hypot(rows - 220, columns - 220) < 6] = 900  # a speck
    crops, _, rejected = crop_cells(field, CropConfig())
    assert len(crops) == 2 and rejected["reason"].tolist() == ["too small"]
    crops, *_ = crop_cells(np.full((3, 200, 200), 7, np.uint16), CropConfig())
    assert crops.shape == (0, 3, 96, 96)


def test_scaling_is_the_stated_line():
    images = np.array([0, 100, 150, 200, 900], np.uint16).reshape(1, 1, 1, 5)
    np.testing.assert_array_equal(scale_to_uint8(images, [[100, 200]]).ravel(), [0, 0, 128, 255, 255])
    assert scale_to_uint8(np.full((1, 1, 2, 2), 5, np.uint16), [[5, 5]]).max() == 0


def test_limits_are_the_plates_percentiles(tiny_screen, tiny_store):
    plate = tiny_screen.fields["plate"].iloc[0]
    rows = tiny_screen.fields[tiny_screen.fields["plate"] == plate]
    assert len(rows) <= CropConfig().scaling_fields
    pixels = np.stack([tiny_screen.load_field(row) for _, row in rows.iterrows()])
    expected = np.percentile(pixels, [0.5, 99.9], axis=(0, 2, 3), method="inverted_cdf").T
    np.testing.assert_allclose(tiny_store.info["scaling"][plate], expected)


def test_order_does_not_depend_on_the_number_of_workers(tiny_screen, tiny_store, tmp_path):
    again = crop_screen(tiny_screen, CropConfig(), tmp_path / "store", jobs=1, progress=False)
    np.testing.assert_array_equal(again.images, tiny_store.images)
    pd.testing.assert_frame_equal(again.table, tiny_store.table)
    place = ["plate", "well", "site"]
    pd.testing.assert_frame_equal(  # cells come in the order of the fields
        again.table[place].drop_duplicates(ignore_index=True),
        tiny_screen.fields[place].merge(again.table[place].drop_duplicates()),
    )


def test_an_unreadable_field_is_recorded_and_passed_over(damaged, tmp_path):
    store = crop_screen(damaged, CropConfig(), tmp_path / "store", jobs=1, progress=False)
    (skipped,) = store.info["skipped"]
    missing = damaged.fields.iloc[1]
    assert (skipped["plate"], skipped["well"]) == (missing["plate"], missing["well"])
    assert missing["file_actin"] in skipped["reason"]
    assert not ((store.table["plate"] == missing["plate"]) & (store.table["well"] == missing["well"])).any()


def test_nothing_readable_is_an_error(tiny_screen, tmp_path):
    for table in tiny_screen.root.glob("*.csv"):
        shutil.copy(table, tmp_path)
    with pytest.raises(ValueError, match="not one cell"):
        crop_screen(Screen(tmp_path), CropConfig(), tmp_path / "store", jobs=1, progress=False)


def test_a_killed_run_resumes_where_it_stopped(tiny_screen, tmp_path, monkeypatch):
    two = tiny_screen.subset(tiny_screen.fields["plate"].isin(tiny_screen.fields["plate"].unique()[:2]))
    undisturbed = crop_screen(two, CropConfig(), tmp_path / "whole", jobs=1, progress=False)
    cut, whole = [], module._crop_part

    def dies_after_one(screen, rows, part, limits, config):
        if len(cut) == 1:
            raise KeyboardInterrupt
        cut.append(part)
        return whole(screen, rows, part, limits, config)

    monkeypatch.setattr(module, "_crop_part", dies_after_one)
    with joblib.parallel_config("sequential"), pytest.raises(KeyboardInterrupt):
        crop_screen(two, CropConfig(), tmp_path / "killed", jobs=1, progress=False)
    assert not (tmp_path / "killed" / "store.json").exists()

    def counts(screen, rows, part, limits, config):
        assert part not in cut, "a finished part was cut again"
        return whole(screen, rows, part, limits, config)

    monkeypatch.setattr(module, "_crop_part", counts)
    store = crop_screen(two, CropConfig(), tmp_path / "killed", jobs=1, progress=False)
    np.testing.assert_array_equal(store.images, undisturbed.images)
    assert not list(store.path.glob("parts-*"))


@pytest.mark.parametrize("correction", [False, True])
def test_what_was_measured_while_files_were_missing_is_measured_again(
    tiny_screen, damaged, tmp_path, monkeypatch, correction
):
    """Limits, light and cells of the plate whose file comes back are those of a screen that was always whole."""
    config = CropConfig(illumination_correction=correction)
    plates = damaged.fields["plate"].unique()
    whole = tiny_screen.subset(tiny_screen.fields["plate"].isin(plates))
    expected = crop_screen(whole, config, tmp_path / "expected", jobs=1, progress=False)

    def dies(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "_assemble", dies)
        with pytest.raises(KeyboardInterrupt):
            crop_screen(damaged, config, tmp_path / "store", jobs=1, progress=False)
    field = damaged.fields.iloc[1]
    shutil.copy(tiny_screen.image_path(field, "actin"), damaged.image_path(field, "actin"))
    store = crop_screen(damaged, config, tmp_path / "store", jobs=1, progress=False)
    np.testing.assert_array_equal(store.images, expected.images)
    assert store.info["scaling"] == expected.info["scaling"] and not store.info["skipped"]


def test_a_store_is_written_by_one_process_at_a_time(tiny_screen, tmp_path):
    path = tmp_path / "store"
    path.mkdir()
    with FileLock(path / ".lock"), pytest.raises(FileExistsError, match="being written by another process"):
        crop_screen(tiny_screen, CropConfig(), path, jobs=1, progress=False)
    assert [file.name for file in path.iterdir()] == [".lock"]


def test_a_plate_without_a_readable_field_has_no_limits(tiny_screen, damaged, tmp_path):
    plate = damaged.fields["plate"].iloc[0]
    shutil.rmtree(damaged.root / plate)
    store = crop_screen(damaged, CropConfig(), tmp_path / "store", jobs=1, progress=False)
    assert plate not in store.info["scaling"] and len(store.info["scaling"]) == 1
    assert plate not in set(store.table["plate"])


def test_wells_that_lose_all_cells_are_named(damaged, tmp_path, caplog):
    store = crop_screen(damaged, CropConfig(), tmp_path / "store", jobs=1, progress=False)
    missing = damaged.fields.iloc[1]
    lost = len(damaged.wells) - len(store.table.drop_duplicates(["plate", "well"]))
    assert lost >= 1
    assert f"{lost} of {len(damaged.wells)} wells have no cell" in caplog.text
    assert f"{missing['plate']} {missing['well']}" in caplog.text


def test_other_settings_do_not_mix_with_an_unfinished_run(damaged, tmp_path):
    config = CropConfig(crop_px=48)
    stale = tmp_path / "store" / "parts-of-something-else"
    stale.mkdir(parents=True)
    (stale / "junk.json").write_text("[]")
    assert crop_screen(damaged, config, tmp_path / "store", jobs=1, progress=False).images.shape[-1] == 48


@pytest.mark.parametrize("wrong", [{"crop_px": 0}, {"dtype": "float32"}, {"low_percentile": 99.95}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(CropConfig(), **wrong)


@pytest.mark.real
def test_real_fields_are_cut_and_the_incomplete_one_is_reported(real_screen, tmp_path):
    well = real_screen.subset(real_screen.fields.eval("plate == 'Week2_24381' and well == 'B02' and site <= 3"))
    store = crop_screen(well, CropConfig(), tmp_path / "store", jobs=1, progress=False)
    assert set(store.table["site"]) == {1, 2} and len(store) > 200
    (skipped,) = store.info["skipped"]
    assert skipped["site"] == 3 and "actin" in skipped["reason"]
