"""Save and load checkpoints of a training, and check that a checkpoint belongs to it.

A checkpoint holds plain dicts, numbers and tensors only, so that reading one runs no code.
"""

from __future__ import annotations

import pickle
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from cellclr_lib import atomic
from cellclr_lib.learning.config import VERSION
from cellclr_lib.settings import to_dict

if TYPE_CHECKING:
    from cellclr_lib.data import CellStore
    from cellclr_lib.learning.config import TrainConfig

FORMAT = "cellclr checkpoint 2"  # first entry of every checkpoint; change it when its entries change
PLATE_MAP = ("plate", "well", "compound", "concentration_um", "role")  # columns that choose positives and controls
FINGERPRINT_CELLS = 64  # cells, evenly spaced over the store, by which its pixels are recognised


def save_checkpoint(path: str | Path, **entries: Any) -> None:
    """Write `entries` as a checkpoint; a kill leaves the old file or the new one, never half of one."""
    with atomic.new_file(path) as part:
        torch.save({"format": FORMAT, **entries}, part)


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Load the contents of a checkpoint, as plain dicts and CPU tensors.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is none, or the file is not a checkpoint of this library.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}; make one: `python -m cellclr_lib train`")
    try:
        contents = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} is not a checkpoint of cellclr, or is damaged; train again") from error
    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        raise ValueError(f"{path} is not a checkpoint of this version of cellclr ({FORMAT}); train again")
    checkpoint: dict[str, Any] = contents
    return checkpoint


def run_identity(store: CellStore, config: TrainConfig) -> dict[str, Any]:
    """Collect what decides the outcome of a training: settings, cells and version, as a plain dict."""
    settings = to_dict(config)
    for name in ("device", "folder", "checkpoint_every_s"):
        del settings[name]
    some = store.images[np.unique(np.linspace(0, len(store) - 1, FINGERPRINT_CELLS).astype(int))]
    cells = {"shape": list(store.images.shape), "dtype": str(some.dtype), "pixels": zlib.crc32(some.tobytes())}
    identity = {"configuration": settings, "store": cells, "version": VERSION}
    if config.positives != "cell" or config.objective == "sup_con" or config.control_weight != 1:
        # Only these trainings read the plate map.
        columns = [name for name in PLATE_MAP if name in store.table]
        rows = pd.util.hash_pandas_object(store.table[columns].astype(str), index=False)
        identity["plate map"] = zlib.crc32(rows.to_numpy().tobytes())
    return identity


def check_same_run(wanted: dict[str, Any], found: dict[str, Any], folder: str | Path) -> None:
    """Raise ValueError unless a folder holds the training that is wanted; the message says what differs."""
    if wanted == found:
        return
    ours, theirs = wanted["configuration"], found["configuration"]
    if differing := [name for name in ours if name not in theirs or ours[name] != theirs[name]]:
        what = "another configuration: " + ", ".join(
            f"{name} is {theirs.get(name)!r} there and {ours[name]!r} here" for name in differing
        )
    elif wanted.get("plate map") != found.get("plate map"):
        what = "another plate map"
    elif wanted["store"] != found["store"]:
        what = f"other cells, {found['store']['shape']} there and {wanted['store']['shape']} here"
    else:
        what = "another version of training"
    raise ValueError(f"{folder} holds a training of {what}; choose another folder or remove it")
