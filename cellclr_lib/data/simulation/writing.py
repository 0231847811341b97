"""Write a simulated screen: fields in parallel, the tables last. Explained in chapter 1, the screen."""

import logging
import os
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import tifffile
import yaml
from tqdm import tqdm

from cellclr_lib import atomic
from cellclr_lib.data.simulation import plate_map
from cellclr_lib.data.simulation.cells import draw
from cellclr_lib.data.simulation.config import SimulationConfig
from cellclr_lib.data.simulation.optics import optics, photograph
from cellclr_lib.data.simulation.population import populate
from cellclr_lib.settings import to_dict

log = logging.getLogger(__name__)
IMAGE_TABLE, MOA_TABLE = "BBBC021_v1_image.csv", "BBBC021_v1_moa.csv"
SETTINGS, TRUTH = "simulation.yaml", "truth.parquet"
VERSION = 1  # raise it when the same settings give other files
PLACEMENT = ["plate", "well", "site", "batch", "compound", "concentration_um", "moa", "role"]


def simulate(
    config: SimulationConfig, root: str | Path, *, progress: bool = True, jobs: int | None = None
) -> Path:
    """Write a simulated screen in BBBC021's layout.

    The image table is written last, so a screen that was interrupted cannot be read by mistake; calling again
    with the same settings writes it anew, and calling again on a complete screen returns at once.

    Parameters
    ----------
    config : SimulationConfig
    root : path
        Folder to write: ``BBBC021_v1_image.csv``, ``BBBC021_v1_moa.csv``, ``<plate>/<file>.tif`` (16-bit grey,
        zlib, 12-bit camera counts times 16), ``truth.parquet`` (every cell drawn: where, how strongly it shows
        its treatment, its state, debris, focus) and ``simulation.yaml`` (the settings).
    progress : bool
        Show a progress bar on standard error.
    jobs : int, optional
        Worker processes; as many as there are processors if not given. No byte depends on it.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    FileExistsError
        If the folder holds something else than this very screen.
    """
    root = Path(root)
    _claim(config, root)
    if (root / IMAGE_TABLE).exists():
        log.info("%s is complete", root)
        return root
    fields = plate_map.fields(config)
    for plate in fields["plate"].unique():
        (root / plate).mkdir(exist_ok=True)
    atomic.remove_parts(root)
    workers = joblib.Parallel(n_jobs=jobs or os.cpu_count(), return_as="generator", batch_size=4)
    written = workers(joblib.delayed(_write_field)(config, root, field) for _, field in fields.iterrows())
    truth = list(tqdm(written, total=len(fields), desc="simulate", unit="field", disable=not progress))
    with atomic.new_file(root / TRUTH) as part:
        pd.concat(truth, ignore_index=True).to_parquet(part, index=False)
    atomic.write_text(root / MOA_TABLE, plate_map.moa_table(fields).to_csv(index=False))
    atomic.write_text(root / IMAGE_TABLE, plate_map.image_table(fields).to_csv(index=False))
    return root


def simulate_field(config: SimulationConfig, field: pd.Series) -> tuple[np.ndarray, pd.DataFrame]:
    """Simulate one field in memory.

    Parameters
    ----------
    field : Series
        A row of `plate_map.fields`.

    Returns
    -------
    image : ndarray (3, H, W) uint16
        DNA, tubulin, actin; camera counts times 16.
    cells : DataFrame
        The truth: one row per cell or piece of debris, those cut by the border included.
    """
    cells, rng = populate(config, field)
    layers = draw(cells, config.field_px, rng)
    focus_loss_px = rng.uniform(2.0, 4.5) if rng.random() < config.out_of_focus else 0.0
    image = photograph(layers, optics(config, field.week, field.plate, field.well), focus_loss_px, rng)
    return image, _truth(cells, field, focus_loss_px)


def _truth(cells: pd.DataFrame, field: pd.Series, focus_loss_px: float) -> pd.DataFrame:
    truth = cells[["x_px", "y_px", "strength", "state", "nucleus_radius", "is_debris"]].copy()
    truth["out_of_focus"] = cells["out_of_focus"] | (focus_loss_px > 0)
    for i, name in enumerate(PLACEMENT):
        truth.insert(i, name, getattr(field, name))
    return truth


def _write_field(config: SimulationConfig, root: Path, field: pd.Series) -> pd.DataFrame:
    paths = [root / field.plate / getattr(field, stain) for stain, _ in plate_map.STAINS]
    image, truth = simulate_field(config, field)
    for path, channel in zip(paths, image, strict=True):
        with atomic.new_file(path) as part:
            tifffile.imwrite(
                part,
                channel,
                photometric="minisblack",
                compression="zlib",
                compressionargs={"level": 1},
                predictor=True,
                metadata=None,
                software=False,
            )
    return truth


def _claim(config: SimulationConfig, root: Path) -> None:
    """Record the settings in the folder, or refuse it."""
    expected = {
        "config": to_dict(config),
        "version": VERSION,
    }
    path = root / SETTINGS
    if path.exists():
        found = yaml.safe_load(path.read_text())
        if found != expected:
            raise FileExistsError(
                f"{root} holds a simulated screen with other settings or of another version "
                f"(see {path}); delete the folder or choose another"
            )
        return
    if root.exists() and any(atomic.PART not in entry.name for entry in root.iterdir()):
        raise FileExistsError(f"{root} is not empty and holds no {SETTINGS}; choose an empty or new folder")
    root.mkdir(parents=True, exist_ok=True)
    atomic.write_text(path, yaml.safe_dump(expected, sort_keys=False))
