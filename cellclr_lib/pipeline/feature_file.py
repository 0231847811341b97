"""Save the features of a store's cells, and load them for that store alone.

Beside ``features.npy`` lies ``features.json``, which records from which cells the features were made, in which
order. Features of other cells, or of the same cells in another order, would be scored without any sign of it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cellclr_lib import atomic

if TYPE_CHECKING:
    from cellclr_lib.data import CellStore

log = logging.getLogger(__name__)


def save_features(feats: np.ndarray, store: CellStore, path: str | Path) -> None:
    """Write the features of the cells of a store, and a record of these cells beside them.

    Parameters
    ----------
    feats : ndarray, shape (N, D)
        Row i belongs to row i of the store.
    store : CellStore
    path : path-like
        File to write, ``.npy``; its folder must exist.

    Raises
    ------
    ValueError
        If there is not one row per cell, or the name does not end in ``.npy``.
    """
    path = _checked(path)
    if len(feats) != len(store):
        raise ValueError(f"{len(feats)} rows for the {len(store)} cells of {store.path}; expected one each")
    with atomic.new_file(path) as part:
        np.save(part, feats)
    atomic.write_text(path.with_suffix(".json"), json.dumps({"cells": cells_key(store)}, indent=1) + "\n")


def load_features(path: str | Path, store: CellStore) -> np.ndarray:
    """Read features that were made from the cells of a store, in its order.

    Parameters
    ----------
    path : path-like
        As written by `save_features`; of another file without a record only the number of rows can be checked,
        which is said in a warning.
    store : CellStore

    Returns
    -------
    ndarray, shape (N, D)

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it holds no table of numbers, or was made from other cells or the same in another order.
    """
    path = _checked(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; make it: `python -m cellclr_lib embed`")
    try:
        feats: np.ndarray = np.load(path, allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise ValueError(f"{path} holds no features, or is damaged ({error}); embed the store again") from error
    if feats.ndim != 2 or not np.issubdtype(feats.dtype, np.number):
        raise ValueError(f"{path} holds {feats.shape} {feats.dtype}; expected numbers, (cells, features)")
    if len(feats) != len(store):
        raise ValueError(f"{path} holds {len(feats)} cells, {store.path} {len(store)}; embed it again")
    record = path.with_suffix(".json")
    if not record.is_file():
        log.warning("%s: no record beside these features says that they are of the cells of %s", path, store.path)
    elif _read(record).get("cells") != cells_key(store):
        raise ValueError(
            f"{path} was made from other cells than those of {store.path}, or from the same in another order; "
            "embed the store again"
        )
    return feats


def cells_key(store: CellStore) -> str:
    """Name the cells of a store in their order: a hash of its table and of what its images are.

    Two stores with one key hold the same cells in the same order, cut and scaled alike. Pixels are not read.
    """
    # What may be corrected later: features do not depend on it.
    annotations = ["compound", "concentration_um", "moa", "role"]
    table = store.table.drop(columns=annotations, errors="ignore")
    rows = pd.util.hash_pandas_object(table.astype(str), index=False).to_numpy()
    kind = [list(store.images.shape), str(store.images.dtype), list(store.channels), store.info.get("scaling")]
    return hashlib.sha256(rows.tobytes() + json.dumps(kind, sort_keys=True).encode()).hexdigest()[:16]


def _checked(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix != ".npy":
        raise ValueError(f"features are written as .npy, not {path.name!r}")
    return path


def _read(record: Path) -> dict[str, Any]:
    try:
        found = json.loads(record.read_text())
    except ValueError as error:
        raise ValueError(f"{record} is damaged ({error}); embed the store again") from error
    return found if isinstance(found, dict) else {}
