"""Cut all fields of a screen into single-cell crops, one square per nucleus, scaled per plate and channel.

The work is divided into parts of a few fields each. A part is written in one step, so a run that is killed resumes
where it stopped, and a field that cannot be read is recorded and passed over instead of ending the run.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from tqdm import tqdm

from cellclr_lib.data.field_cropping import CropConfig, crop_cells, scale_to_uint8
from cellclr_lib.data.illumination import CorrectedScreen, Illumination
from cellclr_lib.data.plate_calibration import measure_light, measure_scaling, saved
from cellclr_lib.data.positions import read_positions
from cellclr_lib.data.screen import Screen
from cellclr_lib.data.store import CellStore
from cellclr_lib.settings import settings_key, to_dict

log = logging.getLogger(__name__)

COLUMNS = ["plate", "well", "site", "batch", "replicate", "compound", "concentration_um", "moa", "role"]
FIELDS_PER_PART = 16
SHOWN = 5  # skipped fields that are named on the screen; all are in store.json
VERSION = 1  # raise it when the same screen and settings give other crops


def crop_screen(
    screen: Screen, config: CropConfig | None, path: str | Path, *, jobs: int | None = None, progress: bool = True
) -> CellStore:
    """Cut every cell of a screen and keep them in a store; a killed run is resumed by calling again.

    Parameters
    ----------
    screen : Screen
    config : CropConfig or None
        None: the defaults.
    path : path-like
        Folder for the store. A finished store there is refused; an unfinished one is completed if it was begun
        with the same settings, else begun anew.
    jobs : int, optional
        Worker processes; as many as there are processors if not given. The result does not depend on it.
    progress : bool
        Show a progress bar.

    Returns
    -------
    CellStore
        ``images (N, C, crop_px, crop_px)`` in the order of the screen's fields, the table with nucleus centres
        ``x_px y_px`` (column and row in the field) and ``nucleus_area_px``, ``.rejected`` with a reason for each
        object that was not kept, and ``.info["skipped"]`` with a reason for each field that could not be read;
        ``.info["scaling"]`` and ``.info["light"]`` hold what was measured on each plate.

    Raises
    ------
    FileExistsError
        If `path` holds a finished store, or another process writes to it.
    ValueError
        If no field could be read or no cell was found, or as `read_positions` if published positions are given.

    Notes
    -----
    Explained in chapter 2, *from fields to cells*.
    """
    config = config or CropConfig()
    path = Path(path)
    if (path / "store.json").exists():
        raise FileExistsError(f"{path} already holds a cell store; choose another folder or remove it")
    path.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path / ".lock", timeout=0):
            return _crop_screen(screen, config, path, jobs, progress)
    except Timeout:
        raise FileExistsError(
            f"{path} is being written by another process; wait, or take another folder"
        ) from None


def _crop_screen(
    screen: Screen, config: CropConfig, path: Path, jobs: int | None, progress: bool
) -> CellStore:
    """Cut every cell, as the only process that writes to `path`."""
    if (path / "store.json").exists():
        raise FileExistsError(f"{path} already holds a cell store; choose another folder or remove it")
    workers = joblib.Parallel(n_jobs=jobs or os.cpu_count(), return_as="generator_unordered")
    fields = screen.fields
    if config.object_table is not None and config.image_table is not None:
        fields = fields.assign(centres=read_positions(config.object_table, config.image_table, fields))
    began_with = settings_key(config, str(screen.root.resolve()), joblib.hash(fields), VERSION)
    parts = path / f"parts-{began_with}"
    folders = _plate_folders(parts, fields)

    light, scaling = {}, {}
    if config.illumination_correction:
        light = measure_light(screen, folders, workers, progress)
        screen = CorrectedScreen(screen, light)
    if config.dtype == "uint8":
        scaling = measure_scaling(screen, config, folders, workers, progress)
    work = [
        (folders[plate] / f"part{start:06d}", rows.iloc[start : start + FIELDS_PER_PART])
        for plate, rows in fields.groupby("plate", sort=False)
        for start in range(0, len(rows), FIELDS_PER_PART)
    ]
    todo = [(part, rows) for part, rows in work if not part.with_suffix(".json").exists()]
    with tqdm(total=len(fields), desc="cutting cells", unit="field", disable=not progress) as bar:
        bar.update(len(fields) - sum(len(rows) for _, rows in todo))
        calls = (
            joblib.delayed(_crop_part)(screen, rows, part, scaling.get(rows["plate"].iloc[0]), config)
            for part, rows in todo
        )
        for done in workers(calls):
            bar.update(done)
    return _assemble(screen, path, parts, [part for part, _ in work], light, scaling, config)


def _plate_folders(parts: Path, fields: pd.DataFrame) -> dict[str, Path]:
    """Make a folder for each plate; one with a field that could not be read before is begun anew.

    What was measured and cut while files were missing would be wrong now that they may be there. The folders are
    numbered, since a plate's name may be no name of a folder.
    """
    folders = {plate: parts / f"{number:05d}" for number, plate in enumerate(fields["plate"].unique())}
    for folder in folders.values():
        if any(json.loads(file.read_text())["unreadable"] for file in folder.glob("*.json")):
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
    return folders


def _crop_part(
    screen: Screen, rows: pd.DataFrame, part: Path, limits: list[list[int]] | None, config: CropConfig
) -> int:
    """Crop a few fields of one plate into ``<part>.npy``, tables, and, last, ``<part>.json``."""
    crops, kept, rejected, skipped = [], [], [], []
    for _, row in rows.iterrows():
        try:
            field = screen.load_field(row)
        except (OSError, ValueError) as error:
            place = {"plate": row["plate"], "well": row["well"], "site": int(row["site"])}
            skipped.append({**place, "reason": str(error)})
            continue
        if limits is None and config.dtype == "uint8":
            raise ValueError(
                f"plate {row['plate']}: no field could be read when the plate was measured, now one can; "
                "run the same command again"
            )
        try:
            cut, cells, refused = crop_cells(field, config, row.get("centres"))
        except ValueError as error:
            raise ValueError(f"{row['plate']} {row['well']} site {row['site']}: {error}") from error
        crops.append(cut if limits is None else scale_to_uint8(cut, limits))
        kept.append(cells.assign(**row[COLUMNS]))
        rejected.append(refused.assign(**row[["plate", "well", "site"]]))
    if crops:
        np.save(part.with_suffix(".npy"), np.concatenate(crops))
        pd.concat(kept).to_parquet(part.with_suffix(".kept"))
        pd.concat(rejected).to_parquet(part.with_suffix(".rejected"))
    saved(part.with_suffix(".json"), lambda: {"unreadable": skipped})
    return len(rows)


def _assemble(
    screen: Screen,
    path: Path,
    parts: Path,
    names: list[Path],
    light: dict[str, Illumination],
    scaling: dict[str, Any],
    config: CropConfig,
) -> CellStore:
    """Join the parts, in order, into one store and remove them."""
    records = [json.loads(name.with_suffix(".json").read_text()) for name in names]
    skipped = [entry for record in records for entry in record["unreadable"]]
    for entry in skipped[:SHOWN]:
        log.warning("skipped a field: %s", entry["reason"])
    if len(skipped) > SHOWN:
        log.warning("skipped %d more fields; store.json lists them", len(skipped) - SHOWN)
    names = [name for name in names if name.with_suffix(".npy").exists()]
    tables = [pd.read_parquet(name.with_suffix(".kept")) for name in names]
    length = sum(map(len, tables))
    if length == 0:
        reason = skipped[0]["reason"] if skipped else "no nucleus passed the limits of CropConfig"
        raise ValueError(f"{screen.root}: not one cell was cut; {len(skipped)} fields skipped, first: {reason}")
    images = (np.load(name.with_suffix(".npy"), mmap_mode="r") for name in names)
    rejected = [pd.read_parquet(name.with_suffix(".rejected")) for name in names]
    store = CellStore.from_batches(
        zip(images, tables, strict=True),
        (length, len(screen.channels), config.crop_px, config.crop_px),
        config.dtype,
        path,
        channels=screen.channels,
        rejected=pd.concat(rejected, ignore_index=True),
        config=to_dict(config),
        light={plate: to_dict(found) for plate, found in light.items()},
        scaling=scaling,
        skipped=skipped,
        source=screen.root.name,
    )
    shutil.rmtree(parts)
    wells = screen.fields[["plate", "well"]].drop_duplicates()
    filled = pd.MultiIndex.from_frame(store.table[["plate", "well"]].drop_duplicates())
    empty = wells[~pd.MultiIndex.from_frame(wells).isin(filled)]
    if len(empty):
        first = ", ".join(f"{well.plate} {well.well}" for well in empty.head(SHOWN).itertuples())
        log.warning("%d of %d wells have no cell and will not be scored, first %s", len(empty), len(wells), first)
    return store
