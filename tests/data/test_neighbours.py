"""Every public function takes what its neighbour gives: places in a field, from finding to cutting to a table."""

import numpy as np
import pandas as pd
import pytest

from cellclr_lib.data import CropConfig, crop_cells, find_nuclei, read_positions, segment_nuclei

CROPPING = CropConfig()


@pytest.fixture(scope="module")
def row(tiny_screen):
    return tiny_screen.fields.iloc[0]


@pytest.fixture(scope="module")
def field(tiny_screen, row):
    return tiny_screen.load_field(row)


def test_nuclei_that_are_found_are_cut_where_they_lie(field):
    centres = find_nuclei(field[0])
    half = CROPPING.crop_px // 2
    inside = (centres >= half) & (centres < np.array(field.shape[1:]) - half)
    crops, kept, _ = crop_cells(field, CROPPING, centres=centres)
    assert len(crops) == inside.all(axis=1).sum() > 3
    np.testing.assert_allclose(kept[["y_px", "x_px"]], centres[inside.all(axis=1)])
    # A field is not square in what it shows: rows and columns that change places would cut other pixels.
    for crop, (y, x) in zip(crops, kept[["y_px", "x_px"]].round().astype(int).to_numpy(), strict=True):
        assert crop[0, half - 4 : half + 4, half - 4 : half + 4].mean() == pytest.approx(
            field[0, y - 4 : y + 4, x - 4 : x + 4].mean(), rel=0.2
        )


def test_labels_have_their_centres_in_the_table_of_cells(field):
    labels = segment_nuclei(field[0])
    _, kept, _ = crop_cells(field, CROPPING)
    at = kept[["y_px", "x_px"]].round().astype(int).to_numpy()
    assert (labels[at[:, 0], at[:, 1]] > 0).mean() > 0.9  # a bent nucleus may have its centre outside


def test_the_table_of_cells_leads_back_to_the_same_crops(field, row, tmp_path):
    crops, kept, _ = crop_cells(field, CROPPING)
    again, _, _ = crop_cells(field, CROPPING, centres=kept[["y_px", "x_px"]].to_numpy())
    np.testing.assert_array_equal(again, crops)
    objects = pd.DataFrame(
        {
            "TableNumber": 1,
            "ImageNumber": 1,
            "Nuclei_Location_Center_X": kept["x_px"],
            "Nuclei_Location_Center_Y": kept["y_px"],
        }
    )
    images = pd.DataFrame({"TableNumber": [1], "ImageNumber": [1], "Image_FileName_DAPI": [row["file_dna"]]})
    objects.to_csv(tmp_path / "objects.txt", sep="\t", index=False)
    images.to_csv(tmp_path / "images.txt", sep="\t", index=False)
    (centres,) = read_positions(tmp_path / "objects.txt", tmp_path / "images.txt", pd.DataFrame([row]))
    np.testing.assert_array_equal(crop_cells(field, CROPPING, centres=centres)[0], crops)
