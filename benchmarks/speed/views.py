"""Measure two views of 96 px crops with the paper's transforms, random numbers for every cell.

Ours: `two_views`, two threads, as a training calls it, which keeps freed memory. albumentations and torchvision
v2: image by image in two worker processes of a `DataLoader`. kornia: batched, two threads. Each peer has a process
of its own, so that our memory is not theirs. All turn three-channel uint8 crops into two float32 batches of 256;
the peers' elastic deformation has our standard deviation and correlation length, and their jitter, one for all
channels, does less than ours.
"""

from contextlib import ExitStack
from functools import partial

import numpy as np
import torch

from cellclr_lib.learning.device import freed_memory_kept
from cellclr_lib.views import two_views
from speed import peers
from speed.measure import RUNS, installed, process_of_its_own, take_turns

PEERS = {
    "albumentations": partial(peers.loader_batches, peers.albumentations_pair),
    "kornia": peers.kornia_batches,
    "torchvision v2": partial(peers.loader_batches, peers.torchvision_pair),
}


def measure(results, cells=4096, batch_size=256, crop_px=96, runs=RUNS):
    """Measure views per second; `cells` cells a run."""
    images = random_crops(cells, crop_px)
    generator = torch.Generator().manual_seed(0)

    def ours():
        with freed_memory_kept():
            for start in range(0, cells, batch_size):
                two_views(images[start : start + batch_size], peers.VIEWS, generator)

    with ExitStack() as stack:
        started = {
            name: partial(stack.enter_context, process_of_its_own(peer, name, cells, batch_size, crop_px))
            for name in PEERS
        }
        seconds = take_turns({"cellclr": ours} | installed(started), runs)
    results.add(f"two views of {cells:,} crops, {crop_px} px", seconds, 2 * cells, "views")


def peer(name, cells, batch_size, crop_px):
    """Make a callable that makes two views of the same crops with another package."""
    batches = PEERS[name](random_crops(cells, crop_px), batch_size)

    def run():
        for _ in batches():
            pass

    return run


def random_crops(cells, crop_px, seed=0):
    """(cells, 3, crop_px, crop_px) uint8 noise: no transform's time depends on what an image shows."""
    return np.random.default_rng(seed).integers(0, 256, (cells, 3, crop_px, crop_px), dtype=np.uint8)
