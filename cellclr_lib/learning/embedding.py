"""Compute the representation h of every cell.

Explained in chapter 5, *training*.
"""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval
from tqdm import tqdm

from cellclr_lib.learning.checkpoint import load_checkpoint
from cellclr_lib.learning.device import autocast, choose_bf16, choose_device, freed_memory_kept
from cellclr_lib.learning.loader import pixel_source
from cellclr_lib.learning.model import Encoder, build_encoder
from cellclr_lib.learning.store_input import input_of

if TYPE_CHECKING:
    from cellclr_lib.data import CellStore

VERSION = 1  # raise it when the same cells and checkpoint give other features


def embed(
    store: CellStore,
    checkpoint: str | Path,
    *,
    batch_size: int = 512,
    device: str = "auto",
    precision: str = "auto",
    progress: bool = True,
) -> np.ndarray:
    """Compute the representation of every cell of a store by a trained encoder.

    Parameters
    ----------
    store : CellStore
        N cells with as many channels as the encoder was trained on.
    checkpoint : path
        ``train(...).checkpoint``.
    batch_size : int
        Cells computed at a time; changes the speed only.
    device : {"auto", "cpu", "cuda"}
    precision : {"auto", "bf16", "fp32"}
        "auto" takes bfloat16 where the device is good at it; features then carry about three digits.
    progress : bool
        Show a progress bar.

    Returns
    -------
    ndarray, shape (N, D), float32
        The average-pooled representation h, row i for row i of the store; no views, batch statistics frozen.

    Raises
    ------
    FileNotFoundError
        If there is no checkpoint.
    ValueError
        If the file is no checkpoint of this library, or was trained on other channels (or the same in another
        order), another type or another size of crops.
    """
    encoder, config = load_encoder(checkpoint)
    trained, given = load_checkpoint(checkpoint)["input"], input_of(store)
    for name, what in {"channels": "the channels", "dtype": "crops of type", "crop_px": "crops of side"}.items():
        if trained[name] != given[name]:
            raise ValueError(
                f"{checkpoint} was trained on {what} {_words(trained[name])}, but {store.path} has "
                f"{_words(given[name])}; cut the screen with the settings of the training's crops"
            )
    with freed_memory_kept():
        return embed_images(
            store.images,
            encoder,
            input_px=config["input_px"],
            batch_size=batch_size,
            device=device,
            precision=precision,
            progress=progress,
        )


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def embed_images(
    images: np.ndarray | torch.Tensor | CellStore,
    encoder: Encoder,
    *,
    input_px: int | None = None,
    batch_size: int = 512,
    device: str = "auto",
    precision: str = "auto",
    progress: bool = False,
) -> np.ndarray:
    """Compute the representation of images by any encoder, which is left as it was.

    Parameters
    ----------
    images : ndarray or Tensor (N, C, H, W), or CellStore
        Integers are divided by the largest value of their type, floats taken as they are.
    encoder : Encoder
    input_px : int, optional
        Images larger than this are averaged down to it, as in training.
    batch_size, device, precision, progress
        As for `embed`.

    Returns
    -------
    ndarray, shape (N, D), float32

    Examples
    --------
    >>> encoder = build_encoder("small", channels=3)
    >>> h = embed_images(np.zeros((4, 3, 32, 32), np.uint8), encoder, device="cpu")
    >>> h.shape, h.dtype
    ((4, 256), dtype('float32'))
    """
    crops = getattr(images, "images", images)
    crops = crops.cpu().numpy() if isinstance(crops, torch.Tensor) else np.asarray(crops)
    if crops.ndim != 4:
        raise ValueError(f"images must be (N, C, H, W), not {crops.shape}")
    where = choose_device(device)
    source, bf16 = pixel_source(crops, where, input_px), choose_bf16(precision, where)
    out = np.empty((len(crops), encoder.out_features), np.float32)
    network = for_inference(encoder).to(where).to(memory_format=torch.channels_last)
    bar = tqdm(total=len(crops), desc="embedding", unit="cell", disable=not progress)
    with torch.inference_mode(), autocast(where, bf16), bar:
        batches = torch.arange(len(crops)).split(batch_size)
        for rows, batch in zip(batches, source(batches), strict=True):
            h = network(batch.contiguous(memory_format=torch.channels_last))
            out[rows[0] : rows[-1] + 1] = h.float().cpu().numpy()
            bar.update(len(rows))
    return out


def for_inference(encoder: Encoder) -> Encoder:
    """Copy an encoder in evaluation mode, each batch normalisation folded into the convolution before it.

    Frozen statistics make a normalisation one factor and one summand per channel, which the convolution can apply
    itself. Features differ by rounding only.
    """
    encoder = deepcopy(encoder).eval()
    for module in list(encoder.modules()):
        children = list(module.named_children())  # in `build_encoder`'s networks, in the order of calls
        for (first, conv), (second, norm) in pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, first, fuse_conv_bn_eval(conv, norm))
                setattr(module, second, nn.Identity())
    return encoder


def load_encoder(path: str | Path) -> tuple[Encoder, dict[str, Any]]:
    """Load a trained encoder, in evaluation mode, and its training configuration (dict) from a checkpoint."""
    contents = load_checkpoint(path)
    config = contents["config"]
    with torch.device("meta"):  # draws no weights
        encoder = build_encoder(config["encoder"], contents["channels"], config["stem"])
    encoder.load_state_dict(contents["encoder"], assign=True)
    return encoder.eval(), config
