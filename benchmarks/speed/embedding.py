"""Embedding a store: `embed`, from the memory map to the array of features, against the encoder alone.

`encoder alone`: forward passes of the same encoder in the same precision and format on batches that lie ready as
float32. Its ratio is the share of its rate that `embed` reaches; it can pass 1, since `embed` folds batch
normalisation into the convolutions. `folded, alone`: the same passes of the encoder so folded; its ratio shows
what averaging, copying and collecting cost. The default encoder sees crops averaged down to
48 px, ResNet-18 sees 96 px.
"""

import tempfile

import torch

from cellclr_lib.learning import TrainConfig, embed, train
from cellclr_lib.learning.device import choose_bf16
from cellclr_lib.learning.embedding import for_inference, load_encoder
from cellclr_lib.learning.loader import shrink
from speed.measure import RUNS, take_turns
from speed.training_step import random_store

ENCODERS = {"small": (48, 32768), "resnet18": (None, 2048)}  # input_px and the cells of a run
BATCH_SIZE = 512


def measure(results, encoders=ENCODERS, crop_px=96, runs=RUNS):
    """Cells per second with each encoder."""
    bf16 = choose_bf16("auto", torch.device("cpu"))
    for name, (input_px, cells) in encoders.items():
        with tempfile.TemporaryDirectory() as folder:
            store = random_store(cells, crop_px, folder)
            config = TrainConfig(encoder=name, input_px=input_px, epochs=1, batch_size=8, cells_per_epoch=8)
            checkpoint = train(store, config).checkpoint
            encoder = load_encoder(checkpoint)[0].to(memory_format=torch.channels_last)
            folded = for_inference(encoder).to(memory_format=torch.channels_last)
            batches = [
                shrink(torch.from_numpy(store.images[i : i + BATCH_SIZE].copy()), input_px).contiguous(
                    memory_format=torch.channels_last
                )
                for i in range(0, cells, BATCH_SIZE)
            ]
            variants = {
                "cellclr": lambda: embed(store, checkpoint, batch_size=BATCH_SIZE, progress=False),  # noqa: B023
                "encoder alone": lambda: forward(encoder, batches, bf16),  # noqa: B023
                "folded, alone": lambda: forward(folded, batches, bf16),  # noqa: B023
            }
            seconds = take_turns(variants, runs)
            results.add(f"{name}, {batches[0].shape[-1]} px", seconds, cells, "cells")


def forward(encoder, batches, bf16):
    """Forward passes only."""
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        for batch in batches:
            encoder(batch)
