"""Check the crops that a baseline is given."""


import numpy as np


def check_images(images: np.ndarray) -> None:
    """Raise ValueError unless `images` is a batch (N, C, H, W) of at least one crop."""
    if images.ndim != 4 or not len(images):
        raise ValueError(f"images has the shape {images.shape}; expected (N, C, H, W) with N > 0")
