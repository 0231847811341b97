"""Train an encoder on a store of cells, and leave a checkpoint and a history behind.

The loop uses neither plates nor scores; an `on_epoch` callback may compute scores. Explained in chapter 5,
*training*.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from cellclr_lib import atomic
from cellclr_lib.learning import distributed
from cellclr_lib.learning.checkpoint import (
    check_same_run,
    load_checkpoint,
    run_identity,
    save_checkpoint,
)
from cellclr_lib.learning.config import TrainConfig
from cellclr_lib.learning.device import freed_memory_kept
from cellclr_lib.learning.embedding import embed_images
from cellclr_lib.learning.training_loop import Trainer
from cellclr_lib.settings import save_yaml, settings_key

if TYPE_CHECKING:
    from cellclr_lib.data import CellStore
    from cellclr_lib.learning.model import Encoder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainResult:
    """Name what a training leaves behind."""

    checkpoint: Path  #: file for `embed`
    history: pd.DataFrame  #: one row per epoch: epoch loss top1 lr cells_seen seconds and what on_epoch added


@dataclass(frozen=True)
class EpochState:
    """Hold what the `on_epoch` callback is given after each epoch."""

    epoch: int  #: counted from 1
    epochs: int  #: how many there will be
    loss: float  #: mean over the epoch
    top1: float  #: mean over the epoch
    encoder: Encoder  #: as it is after the epoch
    config: TrainConfig  #: of the training

    def embed(self, images: np.ndarray | torch.Tensor | CellStore, batch_size: int = 512) -> np.ndarray:
        """Turn images (N, C, H, W) or a store into features (N, D) float32, as the finished encoder would."""
        config = self.config
        return embed_images(
            images, self.encoder, input_px=config.input_px, batch_size=batch_size, device=config.device,
            precision=config.precision,
        )  # fmt: skip


def train(
    store: CellStore,
    config: TrainConfig | None = None,
    *,
    on_epoch: Callable[[EpochState], dict[str, Any] | None] | None = None,
    on_checkpoint: Callable[[dict[str, Any]], object] | None = None,
) -> TrainResult:
    """Train an encoder and a projection head on the cells of a store by a contrastive loss.

    A training that was killed resumes from its last checkpoint and ends with the numbers it would have had; one
    that is finished is returned as it is.

    Parameters
    ----------
    store : CellStore
        At least two cells. Read batch by batch from its memory map.
    config : TrainConfig, optional
    on_epoch : callable, optional
        Called with an `EpochState` after each epoch; a dict that it returns adds columns to the history.
    on_checkpoint : callable, optional
        Called with the row of the history (dict) after each epoch whose checkpoint is written.

    Returns
    -------
    TrainResult

    Raises
    ------
    ValueError
        If the folder holds a training of another configuration, store or code, if the store is too small, or if
        the configuration does not suit store or machine.
    FloatingPointError
        If the loss is no longer finite.

    Notes
    -----
    Within a process group of torch, all ranks make one training together (`cellclr_lib.learning.distributed`).
    Each computes its part of every batch; rank 0 writes and watches. They need one file system. Explained in
    chapter 5, *training*.

    Examples
    --------
    >>> import tempfile
    >>> from cellclr_lib.data import CellStore
    >>> folder = tempfile.TemporaryDirectory()
    >>> images = np.random.default_rng(0).integers(0, 255, (16, 3, 16, 16), dtype=np.uint8)
    >>> table = pd.DataFrame({"compound": ["DMSO"] * 16})
    >>> store = CellStore.from_arrays(images, table, Path(folder.name) / "store")
    >>> result = train(store, TrainConfig(epochs=2, batch_size=8, input_px=16, device="cpu"))
    >>> result.history["cells_seen"].tolist(), result.checkpoint.name
    ([16, 32], 'checkpoint.pt')
    >>> folder.cleanup()
    """
    config = config or TrainConfig()
    if len(store) < 2:
        raise ValueError(f"{store.path} holds {len(store)} cells; a training needs two or more")
    run = run_identity(store, config)
    folder = Path(config.folder or store.path / "runs" / settings_key(run))
    checkpoint, saved = folder / "checkpoint.pt", None
    if checkpoint.exists():
        saved = load_checkpoint(checkpoint)
        check_same_run(run, saved["run"], folder)
        if saved["epoch"] == config.epochs:
            log.info("%s is finished already", checkpoint)
            return TrainResult(checkpoint, pd.DataFrame(saved["history"]))
    first = distributed.rank() == 0
    if first:
        save_yaml(config, folder / "config.yaml")

    trainer = Trainer(store, config)
    if saved:
        trainer.load_state(saved)
        log.info("resuming %s after epoch %d", folder, saved["epoch"])
    history = saved["history"] if saved else []
    before, start = (history[-1]["seconds"] if history else 0.0), time.perf_counter()
    last_written = start
    total = config.epochs * trainer.steps
    bar = tqdm(total=total, initial=trainer.step, desc="training", unit="step", mininterval=1, disable=not first)
    with freed_memory_kept(), bar:
        for epoch in range(len(history) + 1, config.epochs + 1):
            row = {"epoch": epoch, **trainer.run_epoch(bar), "cells_seen": trainer.step * trainer.batch_size}
            if not np.isfinite(row["loss"]):
                raise FloatingPointError(
                    f"the loss is {row['loss']} in epoch {epoch}; take a smaller lr than {config.lr}"
                )
            bar.set_postfix(epoch=epoch, loss=f"{row['loss']:.3f}", top1=f"{row['top1']:.2f}")
            state = EpochState(epoch, config.epochs, row["loss"], row["top1"], trainer.encoder, config)
            extra = on_epoch(state) if on_epoch and first else None
            now = time.perf_counter()
            history.append({**row, "seconds": before + now - start, **_plain(extra or {})})
            if first and (epoch == config.epochs or now - last_written >= config.checkpoint_every_s):
                atomic.write_text(folder / "history.csv", pd.DataFrame(history).to_csv(index=False))
                save_checkpoint(checkpoint, run=run, epoch=epoch, history=history, **trainer.save_state())
                last_written = now
                if on_checkpoint:
                    on_checkpoint(history[-1])
    return TrainResult(checkpoint, pd.DataFrame(history))


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Convert numbers of numpy and torch to Python's own, which a checkpoint may hold."""
    return {name: value.item() if hasattr(value, "item") else value for name, value in row.items()}
