"""What a training leaves on disk: how it is written, read, and known again.

A checkpoint holds plain dicts, numbers and tensors only, so that reading one runs no code.
"""

import os
import pickle
import zlib
from pathlib import Path

import numpy as np
import torch

from cellclr_lib import config as configuration

FORMAT = "cellclr checkpoint 1"  # first entry of every checkpoint; change it when its entries change
FINGERPRINT_CELLS = 64  # cells, evenly spaced over the store, by which its pixels are known again

# What a trained encoder depends on, besides its configuration and the store.
CODE = [
    Path(__file__).with_name(f"{name}.py")
    for name in (
        "augment",
        "warp",
        "fused",
        "compiled",
        "compute",
        "pixels",
        "averaged",
        "model",
        "loss",
        "pairs",
        "ranks",
        "gradcache",
        "optimizer",
        "train",
    )
]


def save_checkpoint(path, **entries):
    """Write `entries` as a checkpoint; a kill leaves the old file or the new one, never half of one."""
    partial = _partial(path)
    torch.save({"format": FORMAT, **entries}, partial)
    os.replace(partial, path)


def replace_file(path, text):
    """Write `text` to the file `path` in one step."""
    partial = _partial(path)
    partial.write_text(text)
    os.replace(partial, path)


def load_checkpoint(path):
    """Contents of a checkpoint, as plain dicts and CPU tensors.

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
    return contents


def run_identity(config, store):
    """What decides the outcome of a training: configuration, cells and code, as a plain dict."""
    settings = configuration.to_dict(config)
    for name in ("device", "folder", "checkpoint_every_s"):
        del settings[name]
    some = store.images[np.unique(np.linspace(0, len(store) - 1, FINGERPRINT_CELLS).astype(int))]
    cells = {"shape": list(store.images.shape), "dtype": str(some.dtype), "pixels": zlib.crc32(some.tobytes())}
    return {"configuration": settings, "store": cells, "code": configuration.key(code=CODE)}


def check_same_run(asked, found, folder):
    """Raise ValueError unless the training found in `folder` is the one asked for; says what differs."""
    if asked == found:
        return
    ours, theirs = asked["configuration"], found["configuration"]
    if differing := [name for name in ours if name not in theirs or ours[name] != theirs[name]]:
        what = "another configuration: " + ", ".join(
            f"{name} is {theirs.get(name)!r} there and {ours[name]!r} here" for name in differing
        )
    elif asked["store"] != found["store"]:
        what = f"other cells, {found['store']['shape']} there and {asked['store']['shape']} here"
    else:
        what = "another version of this library's code"
    raise ValueError(f"{folder} holds a training of {what}; choose another folder or remove it")


def _partial(path):
    return path.with_name(f"{path.name}.{os.getpid()}.partial")
