"""Fixtures shared by all tests: where the real samples lie, if they are here at all."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def _real(name):
    """Folder of real samples, from CELLCLR_DATA or the folder `shared/real` beside the repository."""
    places = [REPOSITORY.parent / "shared" / "real" / name]
    if os.environ.get("CELLCLR_DATA"):
        places.insert(0, Path(os.environ["CELLCLR_DATA"]) / name)
    for place in places:
        if place.is_dir():
            return place
    pytest.skip(f"real samples {name!r} are in neither CELLCLR_DATA nor ../shared/real")


@pytest.fixture(scope="session")
def real_bbbc021():
    """Folder with the official BBBC021 tables, one small archive, 1,996 crops and the Ljosa profiles."""
    return _real("bbbc021")


@pytest.fixture(scope="session")
def real_dsb2018():
    """Folder with 138 fluorescence images of nuclei and their hand-made masks."""
    return _real("nuclei_dsb2018")


@pytest.fixture(scope="session")
def repository():
    """Root of the repository."""
    return REPOSITORY


@pytest.fixture(scope="session")
def tiny_screen(tmp_path_factory):
    """A simulated screen of a few hundred cells (do not write to it)."""
    from cellclr_lib.data import Screen, SimulationConfig, simulate

    return Screen(simulate(SimulationConfig.smoke(), tmp_path_factory.mktemp("tiny") / "screen", progress=False))


@pytest.fixture(scope="session")
def tiny_store(tiny_screen, tmp_path_factory):
    """The cells of `tiny_screen` (do not write to it)."""
    from cellclr_lib.data import crop_screen

    return crop_screen(tiny_screen, tmp_path_factory.mktemp("tiny") / "store", progress=False)


@pytest.fixture(scope="session")
def real_screen(real_bbbc021, tmp_path_factory):
    """The real tables beside the unpacked sample archive: eight genuine images of one well."""
    import shutil
    import zipfile

    from cellclr_lib.data import Screen

    root = tmp_path_factory.mktemp("real")
    for table in ("BBBC021_v1_image.csv", "BBBC021_v1_moa.csv"):
        shutil.copy(real_bbbc021 / table, root)
    with zipfile.ZipFile(real_bbbc021 / "BBBC021_v1_images_Week2_24381.zip") as archive:
        archive.extractall(root)
    return Screen(root)
