"""Published positions: the same crops as with nuclei that were found; clear words where tables do not fit."""

import numpy as np
import pandas as pd
import pytest

from cellclr_lib.data import CropConfig, crop_cells, crop_screen, find_nuclei, read_positions

OBJECTS = ["TableNumber", "ImageNumber", "ObjectNumber", "Nuclei_Location_Center_X", "Nuclei_Location_Center_Y"]
IMAGES = ["TableNumber", "ImageNumber", "Image_Metadata_Plate", "Image_FileName_DAPI", "Image_Metadata_Well"]


@pytest.fixture(scope="module")
def some(tiny_screen):
    """Three fields of two plates."""
    return tiny_screen.subset(np.isin(np.arange(len(tiny_screen.fields)), [0, 1, len(tiny_screen.fields) - 1]))


@pytest.fixture(scope="module")
def tables(some):
    """The two tables, with the centres that detection finds."""
    cells, images = [], []
    for number, (_, row) in enumerate(some.fields.iterrows(), start=233):
        table = 1 + number % 2
        images.append((table, number, row["plate"], row["file_dna"], row["well"]))
        for i, (y, x) in enumerate(find_nuclei(some.load_field(row)[0]), start=1):
            cells.append((table, number, i, x, y))
    return pd.DataFrame(cells, columns=OBJECTS), pd.DataFrame(images, columns=IMAGES)


def write(folder, objects, images, header=False):
    """As in the supplement, or with the names in the first line; the CropConfig that names the files."""
    paths = folder / "supplement_Object.txt", folder / "supplement_Image.txt"
    for path, table in zip(paths, (objects, images), strict=True):
        table.to_csv(path, sep="\t", header=header, index=False)
        if not header:
            columns = "\n".join(f"  `{name}` float DEFAULT NULL," for name in table)
            keys = "  PRIMARY KEY (`TableNumber`,`ImageNumber`)\n) ENGINE=MyISAM;"
            path.with_suffix(".sql").write_text(f"CREATE TABLE `{path.stem}` (\n{columns}\n{keys}")
    return CropConfig(crop_px=48, object_table=paths[0], image_table=paths[1])


@pytest.mark.parametrize("header", [False, True])
def test_found_and_published_nuclei_give_the_same_crops(some, tables, tmp_path, header):
    lenient = CropConfig(crop_px=48, min_area_px=0, max_area_px=10**9, min_solidity=0)
    found = crop_screen(some, lenient, tmp_path / "found", jobs=1, progress=False)
    given = crop_screen(some, write(tmp_path, *tables, header), tmp_path / "given", jobs=1, progress=False)
    assert len(found) > 20
    np.testing.assert_array_equal(given.images, found.images)
    area = "nucleus_area_px"
    pd.testing.assert_frame_equal(given.table.drop(columns=area), found.table.drop(columns=area))
    pd.testing.assert_frame_equal(given.rejected.drop(columns=area), found.rejected.drop(columns=area))
    assert given.table[area].isna().all() and set(given.rejected["reason"]) == {"border"}
    assert given.info["config"]["object_table"].endswith("supplement_Object.txt")


def test_cells_may_come_in_any_order_and_fields_may_be_empty(some, tables, tmp_path):
    objects, images = tables
    first = objects["ImageNumber"] == 233
    mixed = objects[~first].sample(frac=1, random_state=0)
    config = write(tmp_path, mixed, images[::-1])
    none, *others = read_positions(config.object_table, config.image_table, some.fields)
    assert none.shape == (0, 2)
    for centres, number in zip(others, (234, 235), strict=True):
        expected = mixed.loc[mixed["ImageNumber"] == number, OBJECTS[4:2:-1]]
        np.testing.assert_allclose(centres, expected, rtol=1e-12)
    store = crop_screen(some, config, tmp_path / "store", jobs=1, progress=False)
    assert len(store.table[["plate", "well"]].drop_duplicates()) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda o, i: (o.rename(columns={OBJECTS[3]: "X"}), i), "lacks the column.* Nuclei_Location_Center_X"),
        (lambda o, i: (o, i.rename(columns={IMAGES[3]: "File"})), "lacks the column.* Image_FileName_DAPI"),
        (lambda o, i: (o, i[1:]), "no row for 1 of 3 fields, first Week1_.* site 1"),
        (lambda o, i: (o.assign(ImageNumber=o["ImageNumber"] + 1), i), "cells belong to fields that .* not list"),
        (lambda o, i: (o.assign(**{OBJECTS[4]: r"\N"}), i), r"of cell 1 are .*; expected two numbers"),
        (lambda o, i: (o, pd.concat([i, i[:1]])), "occurs twice"),
    ],
)
def test_tables_that_do_not_fit_are_refused(some, tables, tmp_path, change, words):
    config = write(tmp_path, *change(*tables))
    with pytest.raises(ValueError, match=words):
        read_positions(config.object_table, config.image_table, some.fields)


def test_a_missing_table_or_name_is_said(some, tables, tmp_path):
    config = write(tmp_path, *tables)
    statement = config.object_table.with_suffix(".sql")
    statement.write_text(statement.read_text().replace("  `ObjectNumber` float DEFAULT NULL,\n", ""))
    with pytest.raises(ValueError, match=r"has 5 columns, supplement_Object\.sql names 4"):
        read_positions(config.object_table, config.image_table, some.fields)
    statement.unlink()
    with pytest.raises(ValueError, match=r"needs supplement_Object\.sql beside it"):
        read_positions(config.object_table, config.image_table, some.fields)
    config.image_table.unlink()
    with pytest.raises(FileNotFoundError, match=r"supplement_Image\.txt"):
        read_positions(config.object_table, config.image_table, some.fields)
    with pytest.raises(ValueError, match="give both or neither"):
        CropConfig(object_table=config.object_table)


@pytest.mark.parametrize("outside", [(10.0, -0.6), (10.0, 300.0), (200.0, 10.0)])
def test_positions_outside_the_field_are_refused(some, tables, tmp_path, outside):
    objects, images = tables
    objects = objects.copy()
    objects.loc[len(objects) - 1, OBJECTS[3:]] = outside
    with pytest.raises(ValueError, match=r"1 of \d+ positions lie outside a field of 300 × 200 px"):
        crop_cells(np.zeros((3, 200, 300), np.uint16), CropConfig(), np.array([(5.0, 5.0), outside]))
    last = some.fields.iloc[-1]
    objects.loc[len(objects) - 1, OBJECTS[3:]] = (1e4, 5.0)
    with pytest.raises(ValueError, match=f"{last['plate']} {last['well']} site {last['site']}: 1 of"):
        crop_screen(some, write(tmp_path, objects, images), tmp_path / "store", jobs=1, progress=False)


def test_another_table_does_not_go_on_with_an_unfinished_run(some, tables, tmp_path):
    objects, images = tables
    begun = tmp_path / "store"
    with pytest.raises(ValueError, match="outside"):
        crop_screen(
            some, write(tmp_path, objects.assign(**{OBJECTS[3]: 1e4}), images), begun, jobs=1, progress=False
        )
    config = write(tmp_path, objects, images)
    fresh = crop_screen(some, config, tmp_path / "fresh", jobs=1, progress=False)
    np.testing.assert_array_equal(crop_screen(some, config, begun, jobs=1, progress=False).images, fresh.images)
