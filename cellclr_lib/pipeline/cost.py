"""Estimate what a reproduction will cost on this machine before it starts.

Explained in chapter 9, *the real screen*.
"""

import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from cellclr_lib.data import CellStore, Screen, SimulationConfig, archives, crop_cells
from cellclr_lib.data.simulation import plate_map, simulate_field
from cellclr_lib.learning import embed, train
from cellclr_lib.pipeline.reproduction import Reproduction

REAL_PX = 1024 * 1280  # pixels of a real field
CELLS = {"control": 235, "positive_control": 125, "treatment": 125, "unannotated": 180}  # in a real field, about
PROBE_CELLS = 32  # of the training steps that are timed
LINE_MBIT_S = 100.0  # of the network


def estimate(screen: str | Path, config: Reproduction) -> pd.DataFrame:
    """Estimate disk and hours of each stage, from rates measured now; nothing is fetched or made.

    Parameters
    ----------
    screen : path-like
        Folder of the screen; its tables are read if they are there. If not, those of a simulation are taken, whose
        annotated wells lie where the real ones do.
    config : Reproduction

    Returns
    -------
    pandas.DataFrame
        One row per stage: ``stage disk_gb hours basis``.
    """
    simulation = config.simulation if config.source == "simulate" else SimulationConfig.full_size()
    known = (Path(screen) / archives.IMAGE_TABLE).exists()
    fields = Screen(screen).fields if known else plate_map.fields(simulation)
    cropped = fields[fields["role"].isin(config.roles)]
    cells = int(cropped["role"].map(CELLS).sum() * np.prod(simulation.field_px) / REAL_PX)
    seen = config.training.epochs * (config.training.cells_per_epoch or cells)
    crop_px, dtype = config.cropping.crop_px, np.dtype(config.cropping.dtype)
    crop_bytes = 3 * crop_px**2 * dtype.itemsize
    crop_s = _crop_seconds(config, simulation)
    train_s, embed_s, width = _learning_seconds(config)
    rows = []
    if config.source == "download":
        plates = fields["plate"] if config.plates == "all" else fields.loc[fields["role"] == "treatment", "plate"]
        count, archive_gb = plates.nunique(), archives.ARCHIVE_BYTES / 1e9
        hours = count * archive_gb * 8e3 / LINE_MBIT_S / 3600
        basis = f"{count} archives of {archive_gb:g} GB at {LINE_MBIT_S:g} Mbit/s"
        rows.append(("screen", count * archive_gb * archives.UNPACKED, hours, basis))
    rows += [
        # Crops are written in parts and then put together.
        (
            "crops",
            2e-9 * cells * crop_bytes,
            len(cropped) * crop_s / 3600,
            f"{len(cropped):,} fields × {crop_s:.2g} s",
        ),
        ("training", 0.0, seen * train_s / 3600, f"{seen:,} cells seen × {train_s:.2g} s"),
        ("features", 4e-9 * cells * width, cells * embed_s / 3600, f"{cells:,} cells × {embed_s:.2g} s"),
    ]
    return pd.DataFrame(rows, columns=["stage", "disk_gb", "hours", "basis"])


def _crop_seconds(config: Reproduction, simulation: SimulationConfig) -> float:
    """Measure the seconds per field, with all processors in use."""
    field, _ = simulate_field(simulation, plate_map.fields(simulation).iloc[0])
    start = time.perf_counter()
    crop_cells(field, config.cropping)
    return (time.perf_counter() - start) / (os.cpu_count() or 1)


def _learning_seconds(config: Reproduction) -> tuple[float, float, int]:
    """Measure the seconds per cell of a training step and of embedding, and count the features."""
    side = config.cropping.crop_px
    pixels = np.random.default_rng(0).integers(0, 256, (PROBE_CELLS, 3, side, side), dtype=np.uint8)
    table = pd.DataFrame({"compound": ["DMSO"] * PROBE_CELLS})
    with tempfile.TemporaryDirectory() as folder:
        store = CellStore.from_arrays(pixels, table, Path(folder) / "store")
        # The second epoch, of one step each, has nothing to set up any more.
        steps = {"epochs": 2, "cells_per_epoch": None, "batch_size": PROBE_CELLS, "checkpoint_every_s": 1e9}
        trained = train(store, replace(config.training, weights=None, folder=f"{folder}/run", **steps))
        start = time.perf_counter()
        feats = embed(store, trained.checkpoint, device=config.training.device, progress=False)
        embed_s = (time.perf_counter() - start) / PROBE_CELLS
    return trained.history["seconds"].diff().iloc[-1] / PROBE_CELLS, embed_s, feats.shape[1]
