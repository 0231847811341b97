"""From fields of view to single-cell crops: one square per nucleus, scaled per plate and channel.

The work is cut into parts of a few fields each. A part is written in one step, so a run that is killed goes on
where it stopped, and a field that cannot be read is recorded and passed over instead of ending the run.
"""

import json
import logging
import os
import shutil
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

import joblib
import numpy as np
import pandas as pd
from skimage.measure import regionprops
from tqdm import tqdm

from cellclr_lib import atomic
from cellclr_lib.data.illumination import FEW_FIELDS, CorrectedScreen, Illumination, fit_illumination
from cellclr_lib.data.nuclei import segment_nuclei
from cellclr_lib.data.positions import read_positions
from cellclr_lib.data.store import CellStore
from cellclr_lib.settings import from_dict, settings_key, to_dict

log = logging.getLogger(__name__)

COLUMNS = ["plate", "well", "site", "batch", "replicate", "compound", "concentration_um", "moa", "role"]
FIELDS_PER_PART = 16
SHOWN = 5  # skipped fields that are named on the screen; all are in store.json
VERSION = 1  # raise it when the same screen and settings give other crops


@dataclass(frozen=True)
class CropConfig:
    """How cells are cut and scaled; the defaults suit BBBC021 (20×, nuclei about 32 px across)."""

    crop_px: int = 96  # side of the square around a nucleus, pixels
    dtype: Literal["uint8", "uint16"] = "uint8"  # uint8: scaled per plate and channel; uint16: raw values
    low_percentile: float = 0.5  # of a plate's pixels in one channel, becomes 0
    high_percentile: float = 99.9  # becomes 255; brighter pixels are clipped
    scaling_fields: int = 16  # fields per plate, evenly spread, from which the percentiles are taken
    min_area_px: int = 150  # smaller objects are debris (a condensed mitotic nucleus has about 300)
    max_area_px: int = 6000  # larger ones are clumps or dirt (a nucleus has about 800)
    min_solidity: float = 0.75  # share of its convex hull that a nucleus fills; ragged objects are debris
    illumination_correction: bool = False  # divide out the light of each plate, measured on all of its fields
    object_table: Path | None = None  # published positions, one row per cell; nuclei are then not looked for
    image_table: Path | None = None  # the fields that object_table speaks of; see `read_positions`

    def __post_init__(self):
        if self.crop_px < 1:
            raise ValueError(f"crop_px must be at least 1, not {self.crop_px}")
        if self.dtype not in ("uint8", "uint16"):
            raise ValueError(f"dtype must be 'uint8' or 'uint16', not {self.dtype!r}")
        if not 0 <= self.low_percentile < self.high_percentile <= 100:
            raise ValueError(
                f"low_percentile {self.low_percentile} must be below high_percentile {self.high_percentile}, "
                "both in [0, 100]"
            )
        if (self.object_table is None) != (self.image_table is None):
            raise ValueError("object_table and image_table belong together; give both or neither")


def crop_screen(screen, config, path, *, jobs=None, progress=True):
    """Cut every cell of a screen and keep them in a store; a killed run is resumed by calling again.

    Parameters
    ----------
    screen : Screen
    path : path-like
        Folder for the store. A finished store there is refused; an unfinished one is completed if it was begun
        with the same settings, else begun anew.
    config : CropConfig, optional
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
        If `path` holds a finished store.
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
    workers = joblib.Parallel(n_jobs=jobs or os.cpu_count(), return_as="generator_unordered")
    fields = screen.fields
    if config.object_table is not None:
        fields = fields.assign(centres=read_positions(config.object_table, config.image_table, fields))
    began_with = settings_key(config, str(screen.root.resolve()), joblib.hash(fields), VERSION)
    parts = path / f"parts-{began_with}"
    parts.mkdir(parents=True, exist_ok=True)

    light, scaling = {}, {}
    if config.illumination_correction:
        light = _measure_light(screen, parts, workers, progress)
        screen = CorrectedScreen(screen, light)
    if config.dtype == "uint8":
        scaling = _saved(parts / "scaling.json", lambda: _measure_scaling(screen, config, workers, progress))
    work = [
        rows.iloc[start : start + FIELDS_PER_PART]
        for _, rows in fields.groupby("plate", sort=False)
        for start in range(0, len(rows), FIELDS_PER_PART)
    ]
    work = [
        (parts / f"{number:05d}", rows) for number, rows in enumerate(work)
    ]  # a plate's name may hold anything
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


def crop_cells(field, config, centres=None):
    """Find the nuclei of one field and cut a square around each.

    Parameters
    ----------
    field : ndarray, shape (C, H, W), uint16
        Channel 0 is DNA.
    config : CropConfig
    centres : ndarray, shape (n, 2), optional
        (row, column) of each nucleus in px, as `find_nuclei` and `read_positions` give them; none is then looked
        for.

    Returns
    -------
    crops : ndarray, shape (n, C, crop_px, crop_px), uint16
        Raw values; the nucleus is in the middle.
    kept : pandas.DataFrame
        n rows ``x_px y_px nucleus_area_px``, x being the column and y the row; the area is NaN where `centres`
        were given.
    rejected : pandas.DataFrame
        ``x_px y_px nucleus_area_px reason``; reason is "border", "too small", "too large" or "ragged";
        where `centres` were given, only "border".

    Raises
    ------
    ValueError
        If one of `centres` lies outside the field.
    """
    objects, ragged = _find(field, config) if centres is None else _given(field, centres)
    size = config.crop_px
    top = objects["y_px"].round().astype(int) - size // 2
    left = objects["x_px"].round().astype(int) - size // 2
    height, width = field.shape[1:]
    reason = np.select(
        [
            objects["nucleus_area_px"] < config.min_area_px,
            objects["nucleus_area_px"] > config.max_area_px,
            ragged,
            (top < 0) | (left < 0) | (top + size > height) | (left + size > width),
        ],
        ["too small", "too large", "ragged", "border"],
        default="",
    )
    keep = reason == ""
    corners = zip(top[keep], left[keep], strict=True)
    crops = [field[:, y : y + size, x : x + size] for y, x in corners]
    crops = np.stack(crops) if crops else np.empty((0, len(field), size, size), field.dtype)
    return crops, objects[keep], objects[~keep].assign(reason=reason[~keep])


def _find(field, config):
    """The objects of the DNA channel, and which of them are ragged."""
    nuclei = regionprops(segment_nuclei(field[0]))
    places = [(*nucleus.centroid[::-1], nucleus.area) for nucleus in nuclei]
    objects = pd.DataFrame(places, columns=["x_px", "y_px", "nucleus_area_px"], dtype=float)
    # An object fills at most as much of its bounding box as of its convex hull, which takes far longer to find.
    limit = config.min_solidity
    ragged = np.array([nucleus.extent < limit and nucleus.solidity < limit for nucleus in nuclei], dtype=bool)
    return objects, ragged


def _given(field, centres):
    """The same where only the centres are known."""
    height, width = field.shape[1:]
    outside = (centres < 0).any(axis=1) | (centres > (height - 1, width - 1)).any(axis=1)
    if outside.any():
        y, x = centres[outside][0]
        raise ValueError(
            f"{outside.sum()} of {len(centres)} positions lie outside a field of {width} × {height} px, first "
            f"x {x:g}, y {y:g}; do they belong to these images?"
        )
    objects = pd.DataFrame(centres[:, ::-1], columns=["x_px", "y_px"]).assign(nucleus_area_px=np.nan)
    return objects, np.zeros(len(objects), dtype=bool)


def scale_to_uint8(images, limits):
    """Scale raw crops so that each channel's limits become 0 and 255.

    Parameters
    ----------
    images : ndarray, shape (..., C, H, W), uint16
    limits : array-like, shape (C, 2)
        Low and high value of each channel.

    Returns
    -------
    ndarray, same shape, uint8
        Values outside the limits are clipped.
    """
    low, high = np.asarray(limits, np.float32).T[:, :, None, None]
    scaled = (images.astype(np.float32) - low) * (255 / np.maximum(high - low, 1))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _measure_light(screen, parts, workers, progress):
    """``{plate: Illumination}``; a plate of which no field can be read has none."""
    plates = list(screen.fields.groupby("plate", sort=False))
    calls = (
        joblib.delayed(_plate_light)(screen, rows, parts / f"light-{number:05d}.json")
        for number, (_, rows) in enumerate(plates)
    )
    bar = tqdm(workers(calls), total=len(plates), desc="measuring light", unit="plate", disable=not progress)
    if few := [plate for plate, rows in plates if len(rows) < FEW_FIELDS]:
        log.warning(
            "%d plates have fewer than %d fields, first %s: the light measured on them holds traces of cells",
            len(few),
            FEW_FIELDS,
            few[0],
        )
    found = dict(bar)
    return {plate: found[plate] for plate in sorted(found) if found[plate] is not None}


def _plate_light(screen, rows, file):
    def readable():
        for _, row in rows.iterrows():
            try:
                yield screen.load_field(row)
            except (OSError, ValueError):
                continue  # recorded with its reason when it is its turn to be cropped

    def measure():
        fields = readable()
        first = next(fields, None)
        try:
            return None if first is None else to_dict(fit_illumination(chain([first], fields)))
        except ValueError as error:
            raise ValueError(f"plate {plate}: {error}") from error

    plate = rows["plate"].iloc[0]
    found = _saved(file, measure)
    return plate, None if found is None else from_dict(Illumination, found, file)


def _measure_scaling(screen, config, workers, progress):
    """``{plate: [[low, high] of each channel]}``."""
    plates = list(screen.fields.groupby("plate", sort=False))
    calls = (joblib.delayed(_plate_limits)(screen, rows, config) for _, rows in plates)
    bar = tqdm(workers(calls), total=len(plates), desc="measuring plates", unit="plate", disable=not progress)
    return dict(sorted(bar))


def _plate_limits(screen, rows, config):
    count = min(config.scaling_fields, len(rows))
    counts = np.zeros((len(screen.channels), 2**16), np.int64)
    for i in np.linspace(0, len(rows) - 1, count).round().astype(int):
        try:
            field = screen.load_field(rows.iloc[i])
        except (OSError, ValueError):
            continue  # recorded with its reason when it is its turn to be cropped
        for channel, image in enumerate(field):
            counts[channel] += np.bincount(image.ravel(), minlength=2**16)
    shares = np.array([config.low_percentile, config.high_percentile]) / 100
    limits = [np.searchsorted(np.cumsum(c), shares * c.sum(), side="left").tolist() for c in counts]
    return rows["plate"].iloc[0], limits


def _crop_part(screen, rows, part, limits, config):
    """Crop a few fields of one plate into ``<part>.npy``, tables, and, last, ``<part>.json``."""
    crops, kept, rejected, skipped = [], [], [], []
    for _, row in rows.iterrows():
        try:
            field = screen.load_field(row)
        except (OSError, ValueError) as error:
            place = {"plate": row["plate"], "well": row["well"], "site": int(row["site"])}
            skipped.append({**place, "reason": str(error)})
            continue
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
    _saved(part.with_suffix(".json"), lambda: skipped)
    return len(rows)


def _assemble(screen, path, parts, names, light, scaling, config):
    """Join the parts, in order, into one store and remove them."""
    skipped = [entry for name in names for entry in json.loads(name.with_suffix(".json").read_text())]
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
    return store


def _saved(path, make):
    """The JSON in `path`; made and written in one step if it is not there."""
    if not path.exists():
        atomic.write_text(path, json.dumps(make()))
    return json.loads(path.read_text())
