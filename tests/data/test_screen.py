"""A screen is what its tables say; damaged images are named."""

import importlib.util
import shutil

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from cellclr_lib.data import Screen


@pytest.fixture
def copy(tiny_screen, tmp_path):
    """One plate of the tiny screen, to be damaged."""
    for table in tiny_screen.root.glob("*.csv"):
        shutil.copy(table, tmp_path)
    plate = tiny_screen.fields["plate"].iloc[0]
    shutil.copytree(tiny_screen.root / plate, tmp_path / plate)
    screen = Screen(tmp_path)
    return screen.subset(screen.fields["plate"] == plate)


@pytest.mark.real
def test_counts_of_the_real_tables(real_bbbc021):
    screen = Screen(real_bbbc021)
    assert len(screen.fields) == 13_200
    assert screen.fields["plate"].nunique() == 55
    assert screen.fields["batch"].nunique() == 10
    assert len(screen.treatments) == 103 and screen.treatments["moa"].nunique() == 12
    assert screen.treatments["compound"].nunique() == 38
    roles = screen.wells["role"].value_counts()
    assert roles["control"] == 330 and roles["treatment"] == 302 and roles["positive_control"] == 330
    taxol = screen.wells.query("compound == 'taxol' and concentration_um == 0.3 and role == 'treatment'")
    assert list(taxol["well"]) == ["D05"] * 3
    assert set(taxol["plate"]) == {"Week1_22123", "Week1_22141", "Week1_22161"}


@pytest.mark.real
def test_real_fields_and_crop_719(real_screen, real_bbbc021):
    fields = real_screen.fields.query("plate == 'Week2_24381' and well == 'B02'").sort_values("site")
    first, second = (real_screen.load_field(fields.iloc[i]) for i in (0, 1))
    assert first.shape == second.shape == (3, 1024, 1280) and first.dtype == np.uint16
    crop = np.load(real_bbbc021 / "crops.npz")["images"][719]
    np.testing.assert_array_equal(second[:, 565:633, 1139:1207] // 16, crop)
    with pytest.raises(FileNotFoundError, match="_s3_w4.*actin"):
        real_screen.load_field(fields.iloc[2])


def test_fields_carry_the_shared_columns(tiny_screen):
    columns = "plate well site batch replicate compound concentration_um moa role".split()
    assert list(tiny_screen.fields)[: len(columns)] == columns
    field = tiny_screen.load_field(tiny_screen.fields.iloc[0])
    assert field.dtype == np.uint16 and field.shape[0] == 3


def test_wells_and_subset(tiny_screen):
    wells = tiny_screen.wells
    assert not wells.duplicated(["plate", "well"]).any()
    dmso = tiny_screen.subset(tiny_screen.fields["role"] == "control")
    assert set(dmso.fields["compound"]) == {"DMSO"} and len(dmso.fields) < len(tiny_screen.fields)


def test_the_folder_named_in_the_table_is_the_second_place(copy):
    field = copy.fields.iloc[0]
    (copy.root / field["path_dna"]).parent.mkdir(exist_ok=True)
    expected = copy.load_field(field)
    shutil.move(copy.root / field["plate"], copy.root / field["path_dna"])
    np.testing.assert_array_equal(copy.load_field(field), expected)


def test_a_missing_image_is_named_with_both_places(copy):
    field = copy.fields.iloc[0]
    copy.image_path(field, "tubulin").unlink()
    with pytest.raises(FileNotFoundError, match=field["file_tubulin"]) as error:
        copy.load_field(field)
    for folder in (field["plate"], field["path_tubulin"]):
        assert str(copy.root / folder / field["file_tubulin"]) in str(error.value)


def test_a_table_written_on_windows(copy):
    field = copy.fields.iloc[0]
    expected = copy.load_field(field)
    (copy.root / field["path_dna"]).parent.mkdir(exist_ok=True)
    shutil.move(copy.root / field["plate"], copy.root / field["path_dna"])
    paths = {name: field[name].replace("/", "\\") for name in field.index if name.startswith("path_")}
    assert any("\\" in path for path in paths.values())
    np.testing.assert_array_equal(copy.load_field(pd.Series({**field, **paths})), expected)


def test_one_file_of_a_set_is_read_alone(copy):
    """An OME-TIFF of several files names its sister files; only the one that is asked for is read."""
    field = copy.fields.iloc[0]
    expected = copy.load_field(field)
    names = {channel: copy.image_path(field, channel) for channel in copy.channels}
    planes = "".join(
        f'<TiffData IFD="0" FirstC="{i}"><UUID FileName="{path.name}">urn:uuid:{i}</UUID></TiffData>'
        for i, path in enumerate(names.values())
    )
    height, width = expected.shape[1:]
    for i, path in enumerate(names.values()):
        xml = (
            '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:{i}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" '
            f'SizeX="{width}" SizeY="{height}" SizeC="3" SizeZ="1" SizeT="1" BigEndian="false">{planes}'
            "</Pixels></Image></OME>"
        )
        tifffile.imwrite(path, expected[i], description=xml, metadata=None)
    np.testing.assert_array_equal(copy.load_field(field), expected)


def test_a_codec_that_is_missing_is_the_remedy(copy):
    field = copy.fields.iloc[0]
    expected = copy.load_field(field)
    Image.fromarray(expected[0]).save(copy.image_path(field, "dna"), format="TIFF", compression="tiff_lzw")
    if importlib.util.find_spec("imagecodecs"):
        np.testing.assert_array_equal(copy.load_field(field), expected)
    else:
        with pytest.raises(ValueError, match="pip install imagecodecs") as error:
            copy.load_field(field)
        assert "fetch" not in str(error.value)


def test_a_part_that_was_never_written_is_no_black_row(copy):
    field = copy.fields.iloc[0]
    path = copy.image_path(field, "dna")
    tifffile.imwrite(path, copy.load_field(field)[0], rowsperstrip=16)
    with tifffile.TiffFile(path, mode="r+b") as file:
        counts = list(file.pages[0].databytecounts)
        file.pages[0].tags["StripByteCounts"].overwrite([*counts[:-1], 0])
    with pytest.raises(ValueError, match="damaged or no TIFF .a part of it was never written"):
        copy.load_field(field)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.99])
def test_a_truncated_image_is_named(copy, share):
    field = copy.fields.iloc[0]
    path = copy.image_path(field, "actin")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ValueError, match=field["file_actin"]):
        copy.load_field(field)


@pytest.mark.parametrize(
    "image", [np.zeros((10, 12), np.uint16), np.zeros((224, 224), np.uint8), np.zeros((3, 224, 224), np.uint16)]
)
def test_a_wrong_image_is_named(copy, image):
    field = copy.fields.iloc[0]
    tifffile.imwrite(copy.image_path(field, "actin"), image, photometric="minisblack")
    with pytest.raises(ValueError, match=field["file_actin"]):
        copy.load_field(field)


def test_a_missing_table_is_named(tmp_path):
    pd.DataFrame().to_csv(tmp_path / "BBBC021_v1_moa.csv")
    with pytest.raises(FileNotFoundError, match="BBBC021_v1_image.csv"):
        Screen(tmp_path)
