"""Make or load: every screen, store, checkpoint and feature table under one cache, never stale.

An artefact is named by a key of everything that decides it: its configuration, that of the stages before it, and
the code of the modules that make it. What is there is loaded; what is not is made, with a progress bar. Change a
setting or a line of that code and the name changes with it. Old names stay until the cache is deleted.

The cache is the folder `CELLCLR_CACHE`, or ``~/.cache/cellclr``. Every chapter of the book gets what it needs
from here, so any of them runs alone.
"""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from filelock import FileLock

from cellclr_lib import config as configuration
from cellclr_lib.data import CellStore, CropConfig, Screen, SimulationConfig, crop_screen, simulate

LIBRARY = Path(__file__).parent
SCREEN_CODE = [LIBRARY / "data" / "simulate"]
CROP_CODE = [LIBRARY / "annotations.py"] + [
    LIBRARY / "data" / name
    for name in ("screen.py", "illumination.py", "nuclei.py", "positions.py", "cropping.py", "store.py")
]
BASELINE_CODE = [LIBRARY / "learning"]
# The history holds scores of the monitor, so the code of those scores counts; the baselines do not.
LEARNING_CODE = [LIBRARY / "monitor.py"] + sorted(
    set((LIBRARY / "learning").glob("*.py"))
    - {LIBRARY / "learning" / "baselines.py", LIBRARY / "learning" / "handmade.py"}
)
LEARNING_CODE += [LIBRARY / "profiles" / name for name in ("aggregate.py", "metrics.py", "postprocess.py")]
METHODS = ("pixel_pca", "handmade", "untrained", "simclr")


def cache():
    """The folder of all artefacts: `CELLCLR_CACHE`, or ``~/.cache/cellclr``."""
    return Path(os.environ.get("CELLCLR_CACHE") or Path.home() / ".cache" / "cellclr")


def screen(source=None):
    """The simulated screen of a configuration, or the screen in a folder.

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
    folder = cache() / "screens" / _screen_key(source)
    with _lock(folder):
        return Screen(simulate(source, folder))


def crops(cropping=None, source=None):
    """The single cells of a screen.

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
    folder = cache() / "crops" / configuration.key(cropping, _screen_key(source), code=CROP_CODE + tables)
    with _lock(folder):
        if not (folder / "store.json").exists():
            crop_screen(screen(source), folder, cropping)
    return CellStore.open(folder)


def checkpoint(training=None, cropping=None, source=None, monitor=True):
    """A trained encoder and its history.

    Parameters
    ----------
    training : TrainConfig, optional
        `folder` is set here.
    cropping : CropConfig, optional
    source : SimulationConfig or path-like, optional
        As for `screen`.
    monitor : bool
        Add replicate retrieval by epoch to the history (`cellclr_lib.monitor`).

    Returns
    -------
    TrainResult
        ``.checkpoint`` (path) and ``.history`` (DataFrame).
    """
    from cellclr_lib.learning import TrainConfig, train
    from cellclr_lib.monitor import ReplicateRetrieval

    training = training or TrainConfig()
    store = crops(cropping, source)
    name = configuration.key(replace(training, folder=None), store.path.name, code=LEARNING_CODE)
    folder = cache() / "runs" / name
    with _lock(folder):
        on_epoch = ReplicateRetrieval(store) if monitor else None
        return train(replace(training, folder=str(folder)), store, on_epoch=on_epoch)


def features(method, training=None, cropping=None, source=None, seed=0):
    """Features of every cell of a screen by one of the compared methods.

    Parameters
    ----------
    method : str
        "pixel_pca", "handmade", "untrained" (an encoder with random weights) or "simclr".
    training : TrainConfig, optional
        Encoder and input size of "untrained" and "simclr".
    cropping, source
        As for `crops`.
    seed : int
        Of "pixel_pca" and "untrained", and of the training of "simclr".

    Returns
    -------
    meta : pandas.DataFrame
        The store's table, N rows.
    feats : ndarray, shape (N, D), float32
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, not {method!r}")
    from cellclr_lib import learning

    training = replace(training or learning.TrainConfig(), seed=seed)
    store = crops(cropping, source)
    if method == "simclr":
        trained = checkpoint(training, cropping, source).checkpoint
        return store.table, _cached(
            trained.parent / "features.npy", lambda: learning.embed(trained, store, device=training.device)
        )
    make = {
        "pixel_pca": lambda: learning.pixel_pca(store.images, seed=seed),
        "handmade": lambda: learning.handmade_features(store.images, channels=store.channels),
        "untrained": lambda: learning.untrained_encoder(
            store.images, training.encoder, seed=seed, input_px=training.input_px
        ),
    }[method]
    settings = {"untrained": (training.encoder, training.input_px, seed), "pixel_pca": (seed,), "handmade": ()}
    name = configuration.key(method, settings[method], store.path.name, code=BASELINE_CODE)
    return store.table, _cached(cache() / "features" / f"{name}.npy", make)


def published(name):
    """Path of a published file of the real screen: where you keep real data, else from the cache or the network.

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
    places += [folder / "shared" / "real" for folder in (LIBRARY.parent, LIBRARY.parent.parent)]
    return fetch(name, cache() / "published", [place / "bbbc021" for place in places])


def size():
    """Bytes in the cache."""
    return sum(file.stat().st_size for file in cache().rglob("*") if file.is_file())


def clear():
    """Delete the whole cache."""
    shutil.rmtree(cache(), ignore_errors=True)


def _screen_key(source):
    if isinstance(source, SimulationConfig):
        return configuration.key(source, code=SCREEN_CODE)
    # A real screen: its folder and its two tables say which one it is.
    root = Path(source).resolve()
    return configuration.key(str(root), code=sorted(root.glob("BBBC021_v1_*.csv")))


def _cached(path, make):
    with _lock(path):
        if not path.exists():
            partial = path.with_suffix(".partial.npy")
            np.save(partial, np.asarray(make(), dtype=np.float32))
            partial.replace(path)
    return np.load(path)


def _lock(path):
    """Two chapters that need one artefact at the same time must not make it twice."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_name(path.name + ".lock"))
