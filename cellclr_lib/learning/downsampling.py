"""Average crops down on a CPU in a compiled loop that reads them once, where they lie. Used by `loader`."""

import numpy as np
import torch

from cellclr_lib.views.jit import compiled
from cellclr_lib.views.pixels import full_scale


def average_squares(images: np.ndarray, rows: torch.Tensor, step: int) -> torch.Tensor:
    """Average each `step` × `step` square of some crops, integers scaled to [0, 1].

    Parameters
    ----------
    images : ndarray or memmap, shape (N, C, H, W), uint8, uint16 or float32
        Square crops whose sides are multiples of `step`.
    rows : Tensor, shape (n,), int64
    step : int

    Returns
    -------
    Tensor, shape (n, C, H / step, W / step), float32

    Examples
    --------
    >>> images = np.array([[[[0, 255], [255, 0]]]], np.uint8)
    >>> round(average_squares(images, torch.tensor([0]), 2).item(), 3)
    0.5
    """
    _, channels, height, width = images.shape
    small = torch.empty(len(rows), channels, height // step, width // step)
    scale = np.float32(1 / (step**2 * full_scale(getattr(torch, images.dtype.name))))
    images = images.view(np.ndarray)
    images.flags.writeable = False  # whatever it was before: one type of argument is compiled once
    # In one thread: those of torch spin for a while after every operation, and one more would get in their way.
    _average(images, rows.numpy(), scale, small.numpy())
    return small


@compiled
def _average(images: np.ndarray, rows: np.ndarray, scale: np.float32, small: np.ndarray) -> None:
    count, channels, height, width = small.shape
    step = images.shape[3] // width
    sums = np.empty(images.shape[3], np.float32)
    for i in range(count):
        for c in range(channels):
            for y in range(height):
                sums[:] = 0
                for k in range(step):
                    row = images[rows[i], c, y * step + k]
                    for x in range(len(sums)):
                        sums[x] += row[x]
                out = small[i, c, y]
                if step == 2:
                    for x in range(width):
                        out[x] = scale * (sums[2 * x] + sums[2 * x + 1])
                else:
                    for x in range(width):
                        total = np.float32(0)
                        for k in range(step):
                            total += sums[x * step + k]
                        out[x] = scale * total
