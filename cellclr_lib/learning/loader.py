"""Read crops of a store as the network sees them: float32, averaged down, on the right device."""

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from torch.nn.functional import interpolate

from cellclr_lib.views.pixels import COMPILED, compilable, to_float

log = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")
Source = Callable[[Iterable[torch.Tensor]], Iterator[torch.Tensor]]  # batches of rows -> batches of crops
RESIDENT_SHARE = 0.4  # a store that fits into this share of a GPU's free memory is kept there


def shrunk_px(crop_px: int, input_px: int | None) -> int:
    """Compute the side in px of what the network sees: `input_px`, or `crop_px` if that is None or no smaller."""
    return crop_px if input_px is None else min(crop_px, input_px)


def shrink(images: torch.Tensor, input_px: int | None) -> torch.Tensor:
    """Average crops (N, C, H, W) down to `input_px` px if larger, as float32, integers scaled to [0, 1]."""
    side, px = images.shape[-1], shrunk_px(images.shape[-1], input_px)
    if side == px:
        return to_float(images)
    if images.device.type == "cpu" and side % px == 0:
        return read_shrunk(compilable(images).numpy(), torch.arange(len(images)), px)
    return interpolate(to_float(images), size=(px, px), mode="area")


def read_shrunk(images: np.ndarray, rows: torch.Tensor, input_px: int | None) -> torch.Tensor:
    """Read the crops `rows` (n,), an int64 tensor, of an array or memmap where they lie, and `shrink` them."""
    side, px = images.shape[-1], shrunk_px(images.shape[-1], input_px)
    if side == px or side % px or getattr(torch, images.dtype.name) not in COMPILED:
        return shrink(torch.from_numpy(images[rows.numpy()]), px)
    from cellclr_lib.learning.downsampling import average_squares

    return average_squares(images, rows, side // px)


def pixel_source(images: np.ndarray, device: torch.device, input_px: int | None = None) -> Source:
    """Make a function that reads the crops of some rows as the network sees them, on `device`.

    Parameters
    ----------
    images : ndarray or memmap (N, C, H, W)
    device : torch.device
        A GPU with enough memory gets all crops at once. To another they are streamed: each batch is read, where
        it lies, while the one before is computed. On a CPU, that needs all cores, a batch is read when it is due.
    input_px : int, optional
        Larger crops are averaged down to this side.

    Returns
    -------
    callable
        Iterable of (n,) int64 tensors of rows on the CPU → iterator of (n, C, px, px) float32 tensors, integers
        scaled to [0, 1].
    """
    if device.type != "cuda":
        return lambda batches: (read_shrunk(images, rows, input_px) for rows in batches)
    if images.nbytes < RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]:
        resident = _resident(images, device)
        log.info("%.1f GB of crops kept on the GPU", images.nbytes / 1e9)
        return lambda batches: (shrink(resident(rows.to(device)), input_px) for rows in batches)

    def read(rows: torch.Tensor) -> torch.Tensor:
        # As stored, which is the least to send; only pinned memory is copied while the GPU computes.
        return torch.from_numpy(images[rows.numpy()]).pin_memory()

    def stream(batches: Iterable[torch.Tensor]) -> Iterator[torch.Tensor]:
        for pixels in ahead(read, batches):  # torch reuses a pinned block once its copy is done
            yield shrink(pixels.to(device, non_blocking=True), input_px)

    return stream


def _resident(images: np.ndarray, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
    # torch cannot index uint16; the same bits as int16 it can.
    wide = images.dtype == np.uint16
    bits = images.view(np.int16) if wide else images
    parts = (torch.from_numpy(bits[i : i + 4096].copy()).to(device) for i in range(0, len(bits), 4096))
    pixels = torch.cat(list(parts))
    if wide:
        return lambda rows: pixels[rows].view(torch.uint16)
    return lambda rows: pixels[rows]


def ahead(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Map `work` over `items`, in which a thread does the next piece of work while the one before is used.

    An error of `work` is raised when its piece is due. Leaving early waits for the current piece.

    Examples
    --------
    >>> list(ahead(len, ["a", "bcd"]))
    [1, 3]
    """
    with ThreadPoolExecutor(1) as thread:
        due: Future[Result] | None = None
        for item in items:
            coming = thread.submit(work, item)
            if due:
                yield due.result()
            due = coming
        if due:
            yield due.result()
