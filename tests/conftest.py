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
