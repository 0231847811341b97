"""Annotations: real counts on the official tables, the taxol rule and every refusal on made-up ones."""

import numpy as np
import pandas as pd
import pytest

from cellclr_lib.annotations import read_annotations, round_concentration


@pytest.fixture
def tables(tmp_path):
    """Writer of a small screen: list of (plate, well, compound, concentration) -> two paths."""
    known = [("A", "1", "Eg5"), ("taxol", "0.3", "Stab"), ("taxol", "1", "Stab"), ("DMSO", "0", "DMSO")]

    def write(wells, moa=known, sites=2, **changed):
        rows = [
            {
                "TableNumber": 1,
                "ImageNumber": 10 * i + s,
                "Image_Metadata_Plate_DAPI": plate,
                "Image_Metadata_Well_DAPI": well,
                "Replicate": 1,
                "Image_Metadata_Compound": compound,
                "Image_Metadata_Concentration": dose,
            }
            | {f"Image_FileName_{c}": f"{well}_{s}_{c}.tif" for c in ("DAPI", "Tubulin", "Actin")}
            | {f"Image_PathName_{c}": plate for c in ("DAPI", "Tubulin", "Actin")}
            for i, (plate, well, compound, dose) in enumerate(wells)
            for s in range(sites)
        ]
        pd.DataFrame(rows).assign(**changed).to_csv(tmp_path / "image.csv", index=False)
        annotation = pd.DataFrame(moa, columns=["compound", "concentration", "moa"])
        annotation.to_csv(tmp_path / "moa.csv", index=False)
        return tmp_path / "image.csv", tmp_path / "moa.csv"

    return write


@pytest.mark.real
def test_official_tables(real_bbbc021):
    fields = read_annotations(real_bbbc021 / "BBBC021_v1_image.csv", real_bbbc021 / "BBBC021_v1_moa.csv")
    assert len(fields) == 13_200 and fields["plate"].nunique() == 55 and fields["batch"].nunique() == 10
    wells = fields.drop_duplicates(["plate", "well"])
    assert wells["role"].value_counts().to_dict() == {
        "unannotated": 2338,
        "positive_control": 330,
        "control": 330,
        "treatment": 302,
    }
    scored = wells[wells["role"] == "treatment"]
    assert len(scored.drop_duplicates(["compound", "concentration_um"])) == 103
    assert scored["moa"].nunique() == 12
    taxol = scored[(scored["compound"] == "taxol") & (scored["concentration_um"] == 0.3)]
    assert set(zip(taxol["plate"], taxol["well"], strict=True)) == {
        (plate, "D05") for plate in ("Week1_22123", "Week1_22141", "Week1_22161")
    }
    named = fields["file_dna"].str.extract(r"_s(\d)_")[0].astype(int)  # names are read here and nowhere else
    assert (fields["site"] == named).all()


def test_roles_moa_batch_and_sites(tables):
    fields = read_annotations(
        *tables(
            [
                ("Week1_1", "B02", "DMSO", "0"),
                ("Week1_1", "C03", "A", "1.0000"),
                ("Week10_2", "C04", "A", "3"),
                ("own", "C05", "B", "2e-4"),
            ]
        )
    )
    wells = fields[fields["site"] == 1]
    assert wells["role"].tolist() == ["control", "treatment", "unannotated", "unannotated"]
    assert wells["moa"].tolist() == ["DMSO", "Eg5", "", ""]
    assert wells["batch"].tolist() == ["Week1", "Week1", "Week10", "own"]
    assert fields["site"].tolist() == [1, 2] * 4
    assert fields["file_actin"].iloc[3] == "C03_1_Actin.tif" and fields["path_dna"].iloc[0] == "Week1_1"


def test_sites_follow_image_numbers_and_order_is_kept(tables):
    fields = read_annotations(*tables([("p", "C03", "A", "1")], sites=4, ImageNumber=[3, 4, 1, 2]))
    assert fields["site"].tolist() == [3, 4, 1, 2]


@pytest.mark.parametrize("mirrored", [False, True])
def test_positive_control_is_told_from_its_dose_series(tables, mirrored):
    series = [("03", "3"), ("04", "1"), ("05", "0.3"), ("06", "0.1"), ("10", "0.001"), ("11", "0.3")]
    if mirrored:
        series = [(f"{14 - int(c):02d}", dose) for c, dose in series]
    wells = [("Week1_1", f"D{c}", "taxol", dose) for c, dose in series] + [
        ("Week1_1", "B11", "taxol", "0.3"),
        ("Week2_1", "D05", "taxol", "0.3"),
    ]
    roles = read_annotations(*tables(wells, sites=1)).set_index(["plate", "well"])["role"]
    step, control = ("D09", "D03") if mirrored else ("D05", "D11")
    assert roles["Week1_1", step] == "treatment" and roles["Week1_1", control] == "positive_control"
    assert roles["Week1_1", "B11"] == roles["Week2_1", "D05"] == "positive_control"
    bare = read_annotations(*tables(wells, sites=1), positive_control=None)
    assert "positive_control" not in set(bare["role"])


def test_round_concentration_joins_what_differs_in_the_seventh_digit():
    values = np.array([0.0, np.float32(0.3), 3e-6, 1 / 3 * 3e-4, 1000.0])
    assert round_concentration(values).tolist() == [0.0, 0.3, 3e-6, 1e-4, 1000.0]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"Image_Metadata_Concentration": "3 uM"}, "'3 uM' in line 2 and 3 more"),
        ({"Image_Metadata_Concentration": "-1"}, "not negative"),
        ({"Replicate": "x"}, "Replicate is 'x'"),
        ({"Image_Metadata_Compound": ["A", "A", "A", "B"]}, "well C03 of plate p holds A 1 µM and B 1 µM"),
        ({"Image_Metadata_Well_DAPI": ["B03", "B03", "B3", "B3"]}, "names one well B03 and B3, first in line 2"),
        ({"Image_Metadata_Well_DAPI": ["B03", "B03", "b03", "b03"]}, "names one well B03 and b03"),
        ({"Replicate": "1.7"}, "Replicate is 1.7 in line 2 and 3 more; expected 1, 2"),
        ({"Image_Metadata_Compound": ["A", "A", "dmso", "dmso"]}, "is 'dmso' in line 4 and 1 more; controls"),
        ({"Image_FileName_Actin": ["a", "b", "a", "c"]}, "the image p/a is listed in lines 2 and 4"),
        (
            {"Image_FileName_Actin": ["x", "a", "b", "c"], "Image_FileName_Tubulin": ["x", "d", "e", "f"]},
            "the image p/x is listed in two channels of line 2",
        ),
        ({"Image_Metadata_Plate_DAPI": ""}, "Image_Metadata_Plate_DAPI is empty"),
    ],
)
def test_refusals_name_file_place_and_finding(tables, changed, words):
    paths = tables([("p", "B03", "A", "1"), ("p", "C03", "A", "1")], **changed)
    with pytest.raises(ValueError, match=words) as error:
        read_annotations(*paths)
    assert "image.csv" in str(error.value)


def test_doses_of_single_precision_are_those_of_the_mechanism_table(tables):
    paths = tables([("p", "B03", "A", repr(float(np.float32(0.1))))], moa=[("A", "0.1", "Eg5")])
    assert read_annotations(*paths)["role"].unique().tolist() == ["treatment"]


def test_a_table_that_is_not_utf8_is_named_with_its_line(tables):
    image, moa = tables([("p", "B03", "A", "1")])
    moa.write_bytes(moa.read_bytes() + "A,3,µ\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"moa\.csv, line 6: not UTF-8 .*save the table as UTF-8"):
        read_annotations(image, moa)


def test_missing_file_missing_column_and_two_mechanisms(tables, tmp_path):
    image, moa = tables([("p", "B03", "A", "1")])
    with pytest.raises(FileNotFoundError, match="none.csv"):
        read_annotations(tmp_path / "none.csv", moa)
    with pytest.raises(ValueError, match="lacks the column"):
        read_annotations(moa, moa)
    image, moa = tables([("p", "B03", "A", "1")], moa=[("A", "1", "x"), ("A", "1.0", "y")])
    with pytest.raises(ValueError, match="A at 1 µM has more than one mechanism"):
        read_annotations(image, moa)
