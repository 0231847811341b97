"""Make or load every screen, store, checkpoint and feature table under one folder.

A result is named by a key of everything that decides it: its settings, those of the stages before it, and
the declared `VERSION` of each stage. What is there is loaded; what is not is made, with a progress bar. Another
setting or version gives another name. Old names stay until the folder is deleted.

The folder is `CELLCLR_CACHE`, or ``~/.cache/cellclr``. Every chapter of the book gets what it needs from here, so
any of them runs alone.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from filelock import FileLock

from cellclr_lib import atomic
from cellclr_lib.data import CellStore, CropConfig, Screen, SimulationConfig, crop_screen, simulate, simulation
from cellclr_lib.data import screen_cropping as cropping_stage
from cellclr_lib.settings import settings_key

if TYPE_CHECKING:
    from cellclr_lib.learning import TrainConfig, TrainResult

REPOSITORY = Path(__file__).resolve().parents[2]
METHODS = ("pixel_pca", "handcrafted", "untrained", "simclr")


def folder() -> Path:
    """Return the folder of all artefacts: `CELLCLR_CACHE`, or ``~/.cache/cellclr``."""
    return Path(os.environ.get("CELLCLR_CACHE") or Path.home() / ".cache" / "cellclr")


def screen(source: SimulationConfig | str | Path | None = None) -> Screen:
    """Simulate the screen of a configuration, or open the screen in a folder.

    Parameters
    ----------
    source : SimulationConfig or path-like, optional
        A configuration is simulated if it is not there yet; a path is opened as it is. The default screen if not
        given.

    Returns
    -------
    Screen
    """
    source = source or SimulationConfig()
    if not isinstance(source, SimulationConfig):
        return Screen(source)
    made = folder() / "screens" / _screen_key(source)
    with _lock(made):
        return Screen(simulate(source, made))


def crops(cropping: CropConfig | None = None, source: SimulationConfig | str | Path | None = None) -> CellStore:
    """Cut the single cells of a screen, or load them.

    Parameters
    ----------
    cropping : CropConfig, optional
    source : SimulationConfig or path-like, optional
        As for `screen`.

    Returns
    -------
    CellStore
    """
    cropping, source = cropping or CropConfig(), source or SimulationConfig()
    tables = [Path(table) for table in (cropping.object_table, cropping.image_table) if table is not None]
    parts = cropping, cropping_stage.VERSION, _screen_key(source), [_digest(table) for table in tables]
    made = folder() / "crops" / settings_key(*parts)
    with _lock(made):
        if not (made / "store.json").exists():
            crop_screen(screen(source), cropping, made)
    return CellStore.open(made)


def checkpoint(
    training: TrainConfig | None = None,
    cropping: CropConfig | None = None,
    source: SimulationConfig | str | Path | None = None,
    *,
    monitor: bool = True,
) -> TrainResult:
    """Train an encoder on the cells of a screen, or load it.

    Parameters
    ----------
    training : TrainConfig, optional
        `folder` is set here.
    cropping : CropConfig, optional
    source : SimulationConfig or path-like, optional
        As for `screen`.
    monitor : bool
        Add replicate retrieval by epoch to the history (`cellclr_lib.pipeline.callbacks`).

    Returns
    -------
    TrainResult
        ``.checkpoint`` (path) and ``.history`` (DataFrame).
    """
    from cellclr_lib.learning import TrainConfig, config, train
    from cellclr_lib.pipeline import callbacks

    training = training or TrainConfig()
    store = crops(cropping, source)
    versions = config.VERSION, callbacks.VERSION if monitor else None
    made = folder() / "runs" / settings_key(replace(training, folder=None), versions, store.path.name)
    with _lock(made):
        on_epoch = callbacks.ReplicateRetrieval(store) if monitor else None
        return train(store, replace(training, folder=str(made)), on_epoch=on_epoch)


def features(
    method: str,
    training: TrainConfig | None = None,
    cropping: CropConfig | None = None,
    source: SimulationConfig | str | Path | None = None,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Compute the features of every cell of a screen by one of the compared methods, or load them.

    Parameters
    ----------
    method : str
        "pixel_pca", "handcrafted", "untrained" (an encoder with random weights) or "simclr".
    training : TrainConfig, optional
        Encoder and input size of "untrained" and "simclr", and the seed of every method that has one.
    cropping, source
        As for `crops`.

    Returns
    -------
    meta : pandas.DataFrame
        The store's table, N rows.
    feats : ndarray, shape (N, D), float32
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, not {method!r}")
    from cellclr_lib.baselines import handcrafted, pixel_pca, untrained
    from cellclr_lib.learning import TrainConfig, embedding

    training = training or TrainConfig()
    store = crops(cropping, source)
    parts: tuple[Any, ...] = (store.path.name,)
    make: Callable[[], np.ndarray]
    if method == "simclr":
        trained = checkpoint(training, cropping, source).checkpoint
        parts = embedding.VERSION, trained.parent.name
        make = partial(embedding.embed, store, trained, device=training.device)
    elif method == "untrained":
        parts = untrained.VERSION, training.encoder, training.input_px, training.seed, *parts
        encoder: dict[str, Any] = {"name": training.encoder, "seed": training.seed, "input_px": training.input_px}
        make = partial(untrained.untrained_features, store.images, **encoder)
    elif method == "pixel_pca":
        parts = pixel_pca.VERSION, training.seed, *parts
        make = partial(pixel_pca.pixel_pca_features, store.images, seed=training.seed)
    else:
        parts = handcrafted.VERSION, *parts
        make = partial(handcrafted.handcrafted_features, store.images, channels=store.channels)
    return store.table, _cached(folder() / "features" / f"{settings_key(method, *parts)}.npy", make)


def published(name: str) -> Path:
    """Find a published file of the real screen: where you keep real data, in the cache, or on the network.

    Parameters
    ----------
    name : str
        One of `cellclr_lib.data.download.PUBLISHED`.

    Returns
    -------
    pathlib.Path
        Looked for in the folder ``bbbc021`` of `CELLCLR_DATA` and of ``shared/real`` in or beside the repository,
        then in the cache; else downloaded. The checksum is verified wherever it lies.

    Raises
    ------
    FileNotFoundError
        If it is in none of these places and cannot be downloaded.
    ValueError
        If the name is unknown or the contents are not the published ones.
    """
    from cellclr_lib.data.download import fetch

    given = os.environ.get("CELLCLR_DATA")
    places = [Path(given)] if given else []
    places += [folder / "shared" / "real" for folder in (REPOSITORY, REPOSITORY.parent)]
    return fetch(name, folder() / "published", places=[place / "bbbc021" for place in places])


def size() -> int:
    """Count the bytes in the cache."""
    return sum(file.stat().st_size for file in folder().rglob("*") if file.is_file())


def clear() -> None:
    """Delete the whole cache."""
    shutil.rmtree(folder(), ignore_errors=True)


def _screen_key(source: SimulationConfig | str | Path) -> str:
    if isinstance(source, SimulationConfig):
        return settings_key(source, simulation.VERSION)
    # A screen in a folder is known by the folder and by its two tables.
    root = Path(source).resolve()
    return settings_key(str(root), [_digest(table) for table in sorted(root.glob("BBBC021_v1_*.csv"))])


def _cached(path: Path, make: Callable[[], np.ndarray]) -> np.ndarray:
    with _lock(path):
        if not path.exists():
            with atomic.new_file(path) as part:
                np.save(part, np.asarray(make(), dtype=np.float32))
    made: np.ndarray = np.load(path)
    return made


def _lock(path: Path) -> FileLock:
    """Lock an artefact: two chapters that need it at the same time must not make it twice."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_name(path.name + ".lock"))


def _digest(path: str | Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
