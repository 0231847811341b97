"""Measure what all fields of a plate share before they are cut: its uneven light and the range of its pixels.

Explained in chapter 2, *from fields to cells*.
"""

import json
import logging
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from tqdm import tqdm

from cellclr_lib import atomic
from cellclr_lib.data.field_cropping import CropConfig
from cellclr_lib.data.illumination import FEW_FIELDS, Illumination, fit_illumination
from cellclr_lib.data.screen import Screen
from cellclr_lib.settings import from_dict, to_dict

log = logging.getLogger(__name__)


def measure_light(
    screen: Screen, folders: dict[str, Path], workers: joblib.Parallel, progress: bool
) -> dict[str, Illumination]:
    """Measure the light of each plate into its folder; a plate of which no field can be read has none."""
    plates = list(screen.fields.groupby("plate", sort=False))
    calls = (joblib.delayed(_plate_light)(screen, rows, folders[plate]) for plate, rows in plates)
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


def _plate_light(screen: Screen, rows: pd.DataFrame, folder: Path) -> tuple[str, Illumination | None]:
    plate = rows["plate"].iloc[0]

    def measure() -> dict[str, Any]:
        unreadable = []

        def readable() -> Iterator[np.ndarray]:
            for _, row in rows.iterrows():
                try:
                    yield screen.load_field(row)
                except (OSError, ValueError) as error:
                    unreadable.append(str(error))  # shown with the field when it is its turn to be cropped

        fields = readable()
        first = next(fields, None)
        try:
            light = None if first is None else to_dict(fit_illumination(chain([first], fields)))
        except ValueError as error:
            raise ValueError(f"plate {plate}: {error}") from error
        return {"light": light, "unreadable": unreadable}

    file = folder / "light.json"
    found = saved(file, measure)["light"]
    return plate, None if found is None else from_dict(Illumination, found, file)


def measure_scaling(
    screen: Screen, config: CropConfig, folders: dict[str, Path], workers: joblib.Parallel, progress: bool
) -> dict[str, list[list[int]]]:
    """Measure the low and high value of each channel of each plate, ``{plate: [[low, high], ...]}``.

    A plate of which no field can be read has none.
    """
    plates = list(screen.fields.groupby("plate", sort=False))
    calls = (joblib.delayed(_plate_limits)(screen, rows, config, folders[plate]) for plate, rows in plates)
    bar = tqdm(workers(calls), total=len(plates), desc="measuring plates", unit="plate", disable=not progress)
    return {plate: limits for plate, limits in sorted(bar) if limits is not None}


def _plate_limits(
    screen: Screen, rows: pd.DataFrame, config: CropConfig, folder: Path
) -> tuple[str, list[list[int]] | None]:
    def measure() -> dict[str, Any]:
        count = min(config.scaling_fields, len(rows))
        spaced = np.linspace(0, len(rows) - 1, count).round().astype(int).tolist()
        # Where one of these cannot be read, another field takes its place.
        order = spaced + [i for i in range(len(rows)) if i not in set(spaced)]
        counts, read, unreadable = np.zeros((len(screen.channels), 2**16), np.int64), 0, []
        for i in order:
            if read == count:
                break
            try:
                field = screen.load_field(rows.iloc[i])
            except (OSError, ValueError) as error:
                unreadable.append(str(error))  # shown with the field when it is its turn to be cropped
                continue
            read += 1
            for channel, image in enumerate(field):
                counts[channel] += np.bincount(image.ravel(), minlength=2**16)
        if not read:
            return {"limits": None, "unreadable": unreadable}
        shares = np.array([config.low_percentile, config.high_percentile]) / 100
        limits = [np.searchsorted(np.cumsum(c), shares * c.sum(), side="left").tolist() for c in counts]
        return {"limits": limits, "unreadable": unreadable}

    return rows["plate"].iloc[0], saved(folder / "scaling.json", measure)["limits"]


def saved(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Read the JSON in `path`; make and write it in one step if it is not there."""
    if not path.exists():
        atomic.write_text(path, json.dumps(make()))
    found: dict[str, Any] = json.loads(path.read_text())
    return found
