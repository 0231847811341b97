"""Measure before a sweep whether a batch fits into the memory, and what a cell costs.

On a GPU the largest steps are tried. On a CPU, where a step too large would take the machine down with it, the
tensors that a small step keeps for its backward pass are counted; their size grows with the batch.
"""

import time
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from cellclr_lib.learning import ProjectionHead, build_encoder, gradient_cache, nt_xent_loss
from cellclr_lib.learning.device import choose_bf16, choose_device
from cellclr_lib.learning.loader import shrink

SMALL = 16  # cells of the step that is counted and timed on a CPU
LEAST_CHUNK = 8  # smaller chunks have no useful batch statistics
WORKSPACE = 1.5  # what a step takes on a CPU for each byte that it keeps: gradients and work in progress


@dataclass(frozen=True)
class Probe:
    """Hold what one size of training needs."""

    chunk_cells: int | None  # cells in the network at a time; None: the whole batch fits
    seconds_per_cell: float  # of a training step
    bytes_needed: float  # of the step, weights and optimiser included


def probe_memory(training, images, limit_bytes):
    """Measure whether a batch of a training fits, and how long its cells take.

    Parameters
    ----------
    training : TrainConfig
    images : ndarray, shape (n, C, H, W)
        Some crops of the store.
    limit_bytes : float
        Main memory for the trial on a CPU; a GPU knows its own.

    Returns
    -------
    Probe

    Raises
    ------
    ValueError
        If even the smallest chunk does not fit.
    """
    device = choose_device(training.device)
    step = _Step(training, images, device)
    if device.type == "cuda":
        fits = step.fits
    else:
        fixed, per_cell = step.count_bytes()

        def fits(cells):
            return fixed + WORKSPACE * per_cell * cells <= limit_bytes

    chunk = largest_chunk(fits, training.batch_size)
    cells = chunk or training.batch_size
    seconds = step.seconds_per_cell(cells if device.type == "cuda" else min(SMALL, cells))
    if device.type == "cuda":
        return Probe(chunk, seconds, torch.cuda.max_memory_reserved())
    return Probe(chunk, seconds, fixed + WORKSPACE * per_cell * cells)


def largest_chunk(fits, batch_size):
    """None if a whole batch `fits` (a function of the number of cells), else the largest halving of it that does.

    Raises
    ------
    ValueError
        If nothing does.
    """
    if fits(batch_size):
        return None
    chunk = batch_size // 2
    while chunk >= LEAST_CHUNK:
        if fits(chunk):
            return chunk
        chunk //= 2
    raise ValueError(
        f"not even {LEAST_CHUNK} cells fit into the memory of a trial; give it more (fewer trials at a time, a "
        "larger --gpus-per-trial) or take a smaller encoder or input_px"
    )


class _Step:
    """Steps of a training on crops repeated to any number: the same network and loss, no optimiser step."""

    def __init__(self, training, images, device):
        self.training, self.device, self.bf16 = training, device, choose_bf16(training.precision, device)
        encoder = build_encoder(training.encoder, images.shape[1], training.stem)
        network = torch.nn.Sequential(encoder, ProjectionHead(encoder.out_features, training.projection))
        self.network = network.to(device, memory_format=torch.channels_last)
        self.images = shrink(torch.from_numpy(np.array(images)), training.input_px)

    def run(self, cells):
        """Run one step of `cells` cells."""
        views = self.images[torch.arange(cells) % len(self.images)].to(self.device)
        self.network.zero_grad()
        loss = partial(nt_xent_loss, temperature=self.training.temperature)
        gradient_cache.backward(self.network, views, views.flip(3), loss, bf16=self.bf16)

    def fits(self, cells):
        """Test whether a step of `cells` cells fits into the GPU, with room for twice weights and optimiser."""
        try:
            self.run(cells)
            room = torch.empty(2 * self._weights(), dtype=torch.uint8, device=self.device)  # AdamW's two moments
            del room
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            return False
        return True

    def count_bytes(self):
        """Bytes that do not depend on the batch, and those that each cell adds."""
        few, many = (self._kept(cells) for cells in (SMALL // 2, SMALL))
        return 4 * self._weights(), (many - few) / (SMALL - SMALL // 2)

    def seconds_per_cell(self, cells):
        """Time of one step over its cells, after one that warms up."""
        self.run(cells)
        start = time.perf_counter()
        self.run(cells)
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - start) / cells

    def _weights(self):
        return sum(p.numel() * p.element_size() for p in self.network.parameters())

    def _kept(self, cells):
        weights = {p.untyped_storage().data_ptr() for p in self.network.parameters()}
        kept = {}

        def pack(tensor):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            self.run(cells)
        return sum(kept.values())


def probe_sizes(plan, images, limit_bytes):
    """`Probe` of every size of training in a plan: a dict by `tuning.plan.size_name`.

    Raises
    ------
    ValueError
        If one does not fit; names it.
    """
    device = "auto" if plan.gpus_per_trial else "cpu"
    torch.set_num_threads(max(1, int(plan.cpus_per_trial)))  # as many as Ray gives to a trial
    found = {}
    for name, training in plan.sizes().items():
        try:
            found[name] = probe_memory(replace(training, device=device), images, limit_bytes)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return found
