"""Fixtures shared by all tests: real samples and a browser, where they are to be had, and a tiny screen."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


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
    """Folder with 138 fluorescence images of nuclei and their hand-drawn masks."""
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
    from cellclr_lib.data import CropConfig, crop_screen

    return crop_screen(tiny_screen, CropConfig(), tmp_path_factory.mktemp("tiny") / "store", progress=False)


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


@pytest.fixture(scope="session")
def skip_unless_ci():
    """Function that skips with a reason; on a CI machine a browser test that does not run is a failure."""

    def skip(reason):
        if os.environ.get("CI") == "true":
            pytest.fail(f"{reason} (in CI this is a failure, not a skip)")
        pytest.skip(reason)

    return skip


def _system_chromium():
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for path in map(shutil.which, names) if path), None)


def _install_chromium():
    """Debian's package, where this process may install one."""
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        return None
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "chromium"]):
        subprocess.run(command, check=False, capture_output=True, timeout=600)
    return _system_chromium()


@pytest.fixture(scope="session")
def browser(skip_unless_ci):
    """Chromium of the system, else Playwright's own, else Debian's package, else a skip with the reason."""
    playwright = pytest.importorskip("playwright.sync_api").sync_playwright().start()
    executable = _system_chromium()
    if executable is None and not Path(playwright.chromium.executable_path).exists():
        executable = _install_chromium()
        if executable is None:
            playwright.stop()
            skip_unless_ci(
                "no Chromium: neither on the PATH, nor Playwright's own, nor could Debian's be installed"
            )
    browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
    yield browser
    browser.close()
    playwright.stop()
