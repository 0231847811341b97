"""Train an encoder on a store of cells: checkpoint and history.

The loop knows nothing of plates or scores; the `on_epoch` callback watches it. Explained in chapter 5, *training*.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from cellclr_lib import atomic
from cellclr_lib.learning import distributed, gradient_cache
from cellclr_lib.learning.checkpoint import (
    check_same_run,
    load_checkpoint,
    run_identity,
    save_checkpoint,
)
from cellclr_lib.learning.config import TrainConfig
from cellclr_lib.learning.device import choose_bf16, choose_device, freed_memory_kept
from cellclr_lib.learning.embedding import embed_images
from cellclr_lib.learning.loader import pixel_source, read_shrunk, shrunk_px
from cellclr_lib.learning.losses.nt_xent import nt_xent_loss
from cellclr_lib.learning.losses.sup_con import sup_con_loss
from cellclr_lib.learning.losses.top1 import top1_accuracy
from cellclr_lib.learning.losses.vicreg import vicreg_loss
from cellclr_lib.learning.model import ProjectionHead, build_encoder
from cellclr_lib.learning.optimizer import build_optimizer, learning_rate
from cellclr_lib.learning.positives import PositiveSampler
from cellclr_lib.settings import save_yaml, settings_key, to_dict

log = logging.getLogger(__name__)

STATISTICS_CELLS = 2000  # cells, evenly spaced over the store, that give the mean and spread of each channel


@dataclass(frozen=True)
class TrainResult:
    """What a training leaves behind."""

    checkpoint: Path  # for `embed`
    history: pd.DataFrame  # one row per epoch: epoch loss top1 lr cells_seen seconds and what on_epoch added


@dataclass(frozen=True)
class EpochState:
    """What the `on_epoch` callback is given after each epoch."""

    epoch: int  # counted from 1
    epochs: int  # how many there will be
    loss: float  # mean over the epoch
    top1: float  # mean over the epoch
    encoder: torch.nn.Module
    config: TrainConfig
    embed: Callable  # embed(images or store) -> (N, D) float32, as the finished encoder would


def train(store, config=None, *, on_epoch=None, on_checkpoint=None):
    """Train an encoder and a projection head on the cells of a store by a contrastive loss.

    A training that was killed goes on from its last checkpoint and ends with the numbers it would have had; one
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

    Notes
    -----
    Within a process group of torch, all ranks make one training together (`cellclr_lib.learning.distributed`).
    Each computes its part of every batch; rank 0 writes and watches. They need one file system.

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

    trainer = _Trainer(config, store)
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
            extra = on_epoch(trainer.state(row)) if on_epoch and first else None
            now = time.perf_counter()
            history.append({**row, "seconds": before + now - start, **_plain(extra or {})})
            if first and (epoch == config.epochs or now - last_written >= config.checkpoint_every_s):
                atomic.write_text(folder / "history.csv", pd.DataFrame(history).to_csv(index=False))
                save_checkpoint(checkpoint, run=run, epoch=epoch, history=history, **trainer.save_state())
                last_written = now
                if on_checkpoint:
                    on_checkpoint(history[-1])
    return TrainResult(checkpoint, pd.DataFrame(history))


class _Trainer:
    """Encoder, head, optimiser and random numbers of one training, and how to make an epoch of them."""

    def __init__(self, config, store):
        self.config, self.device = config, choose_device(config.device)
        self.bf16 = choose_bf16(config.precision, self.device)
        count, channels, crop_px, _ = store.images.shape
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            self.encoder = build_encoder(config.encoder, channels, config.stem, config.weights)
            self.head = ProjectionHead(self.encoder.out_features, config.projection).to(self.device)
        self.encoder.set_statistics(*_channel_statistics(store, config.input_px))
        self.encoder.to(self.device, memory_format=torch.channels_last)
        self.network = distributed.synchronize_batch_norm(
            torch.nn.Sequential(self.encoder, self.head), self.device
        )
        self.optimizer = build_optimizer(config, self.network.parameters())
        self.views = config.views.at_scale(shrunk_px(crop_px, config.input_px) / crop_px)
        self.source = pixel_source(store.images, self.device, config.input_px)
        self.positives = PositiveSampler(store.table, config.positives)
        self.weights = _sampling_weights(store, config.control_weight)
        self.count, self.cells = count, min(config.cells_per_epoch or count, count)
        self.batch_size = min(config.batch_size, self.cells)
        if self.batch_size % distributed.world_size():
            raise ValueError(
                f"a batch of {self.batch_size} cells cannot be shared by {distributed.world_size()} ranks evenly"
            )
        self.steps, self.step = self.cells // self.batch_size, 0
        self.order_generator = torch.Generator().manual_seed(config.seed)
        self.view_generator = torch.Generator(self.device).manual_seed(config.seed)

    def run_epoch(self, bar):
        """One pass over the cells; mean loss and top-1, and the last learning rate."""
        config = self.config
        self.network.train()
        totals = torch.zeros(2, device=self.device)
        rows = self._draw_cells()[: self.steps * self.batch_size]
        batches = [batch.sort().values for batch in rows.split(self.batch_size)]
        for batch, images in zip(batches, self._images(batches), strict=True):
            lr = learning_rate(config, self.step, self.steps)
            for group in self.optimizer.param_groups:
                group["lr"] = lr
            views = distributed.two_local_views(images[0], self.views, self.view_generator, images[-1])
            self.optimizer.zero_grad()
            groups = self._groups(batch)
            loss, *z = gradient_cache.backward(
                self.network, *views, self._loss(groups), chunk_cells=config.chunk_cells, bf16=self.bf16
            )
            distributed.average_gradients(self.network.parameters())
            self.optimizer.step()
            totals += torch.stack([loss, top1_accuracy(*z, groups)])
            self.step += 1
            bar.update()
        loss, top1 = (totals / self.steps).tolist()
        return {"loss": loss, "top1": top1, "lr": lr}

    def _groups(self, batch):
        """Groups (N,) of the cells of a batch whose views are all positives; None: each cell alone."""
        return self.positives.groups[batch].to(self.device) if self.config.objective == "sup_con" else None

    def _loss(self, groups):
        """Loss of the projections of a batch, as a function of them alone."""
        config = self.config
        if config.objective == "vicreg":
            return vicreg_loss
        if config.objective == "sup_con":
            return partial(sup_con_loss, groups=groups, temperature=config.temperature)
        return partial(nt_xent_loss, temperature=config.temperature)

    def _images(self, batches):
        """Batch by batch, the crops of this rank's cells, and those of their partners if they are others."""
        if self.config.positives == "cell":
            return ([images] for images in self.source(distributed.local_part(batch) for batch in batches))
        both = ((batch, self.positives.draw(batch, self.order_generator)) for batch in batches)
        images = iter(self.source(distributed.local_part(part) for pair in both for part in pair))
        return zip(images, images, strict=True)

    def state(self, row):
        """What `on_epoch` is shown."""
        config = self.config

        def embed(images, batch_size=512):
            return embed_images(
                images,
                self.encoder,
                config.input_px,
                batch_size=batch_size,
                device=config.device,
                precision=config.precision,
            )

        return EpochState(row["epoch"], config.epochs, row["loss"], row["top1"], self.encoder, config, embed)

    def save_state(self):
        """Everything that the next epoch depends on, as plain dicts and tensors."""
        return {
            "config": to_dict(self.config),
            "channels": self.encoder.channels,
            "encoder": self.encoder.state_dict(),
            "head": self.head.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "device": self.device.type,
            "order_generator": self.order_generator.get_state(),
            "view_generator": self.view_generator.get_state(),
        }

    def load_state(self, saved):
        """Go back to where `save_state` was called."""
        if saved["device"] != self.device.type:
            raise ValueError(
                f"this training was begun on {saved['device']} and its random numbers cannot go on on "
                f"{self.device.type}; finish it there, or choose another folder"
            )
        self.encoder.load_state_dict(saved["encoder"])
        self.head.load_state_dict(saved["head"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.step = saved["step"]
        self.order_generator.set_state(saved["order_generator"])
        self.view_generator.set_state(saved["view_generator"])

    def _draw_cells(self):
        """Rows of the store in the order of this epoch: each once, or drawn by weight with repeats."""
        if self.weights is None:
            return torch.randperm(self.count, generator=self.order_generator)[: self.cells]
        position = torch.rand(self.cells, generator=self.order_generator, dtype=torch.float64)
        return torch.searchsorted(self.weights.cumsum(0), position * self.weights.sum(), right=True)


def _sampling_weights(store, control_weight):
    """(N,) chance of each cell to be drawn, up to a factor; None if all are alike."""
    if control_weight == 1:
        return None
    weights = torch.ones(len(store), dtype=torch.float64)
    control = store.table["compound"] == "DMSO"
    if "role" in store.table:
        control |= store.table["role"] == "positive_control"
    weights[np.flatnonzero(control)] = control_weight
    if not weights.any():
        raise ValueError(f"control_weight is 0, and {store.path} holds controls only; nothing is left to draw")
    return weights


def _channel_statistics(store, input_px):
    """Mean and standard deviation of each channel, (C,) and (C,), over evenly spaced cells at the input size."""
    rows = np.unique(np.linspace(0, len(store) - 1, STATISTICS_CELLS).astype(int))
    images = read_shrunk(store.images, torch.from_numpy(rows), input_px)
    return images.mean((0, 2, 3)), images.std((0, 2, 3))


def _plain(row):
    """Numbers of numpy and torch as Python's own, which a checkpoint may hold."""
    return {name: value.item() if hasattr(value, "item") else value for name, value in row.items()}
