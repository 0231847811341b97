"""Cost against the number of cells, from 10⁴ to 10⁶; each size in a process of its own.

`training`: 16 steps of the default training (views, small encoder, 48 px, batch 256) from a store of that size.
`embedding`: every cell of the store by `embed`, with the same encoder. `profiles`: 256 features a cell to NSC and
NSCB, raw and after TVN. Stores hold noise, 3 × 48 × 48 px, written batch by batch. Medians of three runs, but for
the longest embedding, which is done once. `memory_gb` is the most private memory at any time, without the pages of
the memory map, which the system takes back when it needs them. The ratio is that of the time per cell to the
smallest size (training: per cell that was trained on): 1 where cost grows in proportion, below 1 where a fixed
part counts.
"""

import tempfile
import threading
from pathlib import Path

import pandas as pd

from speed.measure import in_fresh_process, private_gb, take_turns
from speed.profiles import scores, simulated_features
from speed.views import random_crops

SIZES = (10_000, 100_000, 1_000_000)
STEPS, BATCH, RUNS = 16, 256, 3


def measure(results, sizes=SIZES, crop_px=48, width=256, steps=STEPS, batch_size=BATCH, process=in_fresh_process):
    """Seconds per cell and memory for each size, each by way of `process`."""
    found = {name: {} for name in ("training", "embedding", "profiles")}
    for cells in sizes:
        with tempfile.TemporaryDirectory() as folder:
            write_store(cells, crop_px, folder)
            for name, work in (("training", _train), ("embedding", _embed)):
                found[name][cells] = process(work, folder, steps, batch_size)
        found["profiles"][cells] = process(_score, cells, width)
    for name, by_size in found.items():
        per = {cells: steps * batch_size if name == "training" else cells for cells in sizes}
        seconds = {f"{cells:,} cells": by_size[cells][0] / per[cells] for cells in sizes}
        memory = {f"{cells:,} cells": by_size[cells][1] for cells in sizes}
        results.add(f"{name}, per cell", seconds, 1, "cells", memory_gb=memory)


def write_store(cells, crop_px, folder):
    """Write a store of noise in `folder`, written in batches of at most 10,000 cells."""
    from cellclr_lib.data import CellStore

    def batches():
        for start in range(0, cells, 10_000):
            n = min(10_000, cells - start)
            yield (
                random_crops(n, crop_px, seed=start),
                pd.DataFrame({"plate": ["Week1_1"] * n, "compound": "DMSO"}),
            )

    CellStore.from_batches(batches(), (cells, 3, crop_px, crop_px), "uint8", Path(folder) / "store")


class MostPrivateMemory:
    """Highest private memory (GB) within the block, looked at fifty times a second: ``.gb``."""

    def __enter__(self):
        self.gb, self.ended = private_gb(), threading.Event()
        self.watcher = threading.Thread(target=self._watch, daemon=True)
        self.watcher.start()
        return self

    def _watch(self):
        while not self.ended.wait(0.02):
            self.gb = max(self.gb, private_gb())

    def __exit__(self, *_):
        self.ended.set()
        self.watcher.join()


def _train(folder, steps, batch_size):
    from cellclr_lib.data import CellStore
    from cellclr_lib.learning import TrainConfig
    from speed.training_step import train_in_turns

    store = CellStore.open(Path(folder) / "store")
    config = TrainConfig(batch_size=batch_size, cells_per_epoch=steps * batch_size)
    with MostPrivateMemory() as memory:
        seconds = train_in_turns(config, store, {}, RUNS)["cellclr"]
    return seconds, memory.gb


def _embed(folder, steps, batch_size):
    from cellclr_lib.data import CellStore
    from cellclr_lib.learning import TrainConfig, embed, train

    store = CellStore.open(Path(folder) / "store")
    config = TrainConfig(epochs=1, batch_size=8, cells_per_epoch=8, folder=str(Path(folder) / "run"))
    checkpoint = train(store, config).checkpoint
    runs = RUNS if len(store) <= 100_000 else 1
    with MostPrivateMemory() as memory:
        seconds = take_turns({"": lambda: embed(store, checkpoint, progress=False)}, runs, warm_up=False)[""]
    return seconds, memory.gb


def _score(cells, width):
    meta, feats = simulated_features(cells, width)
    with MostPrivateMemory() as memory:
        seconds = take_turns({"": lambda: scores(meta, feats)}, RUNS)[""]
    return seconds, memory.gb
