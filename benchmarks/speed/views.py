"""Two views of 96 px crops with the paper's transforms, random numbers for every cell.

Ours: `two_views`, two threads. albumentations and torchvision v2: image by image in two worker processes of a
`DataLoader`. kornia: batched, two threads. All turn three-channel uint8 crops into two float32 batches of 256; the
peers' elastic deformation has our standard deviation and correlation length, and their jitter, one for all
channels, does less than ours.
"""

import numpy as np
import torch

from cellclr_lib.learning import two_views
from speed import peers
from speed.measure import RUNS, installed, take_turns


def measure(results, cells=4096, batch_size=256, crop_px=96, runs=RUNS):
    """Views per second; `cells` cells a run."""
    images = random_crops(cells, crop_px)
    generator = torch.Generator().manual_seed(0)

    def ours():
        for start in range(0, cells, batch_size):
            yield two_views(images[start : start + batch_size], peers.VIEWS, generator)

    others = {
        "albumentations": lambda: peers.loader_batches(peers.albumentations_pair, images, batch_size),
        "kornia": lambda: peers.kornia_batches(images, batch_size),
        "torchvision v2": lambda: peers.loader_batches(peers.torchvision_pair, images, batch_size),
    }
    variants = {"cellclr": ours} | installed(others)
    seconds = take_turns({name: lambda b=batches: consume(b()) for name, batches in variants.items()}, runs)
    results.add(f"two views of {cells:,} crops, {crop_px} px", seconds, 2 * cells, "views")


def random_crops(cells, crop_px, seed=0):
    """(cells, 3, crop_px, crop_px) uint8 noise: no transform's time depends on what an image shows."""
    return np.random.default_rng(seed).integers(0, 256, (cells, 3, crop_px, crop_px), dtype=np.uint8)


def consume(batches):
    """Run through all batches."""
    for _ in batches:
        pass
