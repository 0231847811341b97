"""Compute features by an encoder with random weights: what the architecture alone gives.

Explained in chapter 6, *evaluation*.
"""

from typing import Any

import numpy as np

from cellclr_lib.baselines.images import check_images

VERSION = 1  # raise it when the same cells and seed give other features


def untrained_features(
    images: np.ndarray, *, name: str = "small", seed: int = 0, input_px: int | None = None, **options: Any
) -> np.ndarray:
    """Compute features of an encoder with random weights: what the architecture alone gives.

    Parameters
    ----------
    images : (N, C, H, W) uint8 or uint16 array
    name : str
        See `cellclr_lib.learning.build_encoder`.
    seed : int
        Of the weights.
    input_px : int, optional
        Larger crops are averaged down to this side.
    **options
        Passed on to `cellclr_lib.learning.embed_images`.

    Returns
    -------
    (N, D) float32 array

    Examples
    --------
    >>> crops = np.zeros((2, 3, 32, 32), np.uint8)
    >>> untrained_features(crops, device="cpu").shape
    (2, 256)
    """
    import torch

    from cellclr_lib.learning.embedding import embed_images
    from cellclr_lib.learning.loader import read_shrunk
    from cellclr_lib.learning.model import build_encoder

    check_images(images)
    with torch.random.fork_rng(devices=[]):  # leaves the global state as it was
        torch.manual_seed(seed)
        encoder = build_encoder(name, channels=images.shape[1])
    # Channels are brought to mean 0 and deviation 1, as training does, so that only the weights are untrained.
    rows = np.unique(np.linspace(0, len(images) - 1, 1000).astype(int))
    some = read_shrunk(images, torch.from_numpy(rows), input_px)
    encoder.set_statistics(some.mean((0, 2, 3)), some.std((0, 2, 3)))
    return embed_images(images, encoder, input_px=input_px, **options)
