"""Hold the parts of one training and make an epoch of them: draw cells, make views, step the optimiser.

Which files are written, and when, is up to `cellclr_lib.learning.training`. Explained in chapter 5, *training*.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cellclr_lib.learning import distributed, gradient_cache
from cellclr_lib.learning.device import choose_bf16, choose_device
from cellclr_lib.learning.loader import pixel_source, read_shrunk, shrunk_px
from cellclr_lib.learning.losses.nt_xent import nt_xent_loss
from cellclr_lib.learning.losses.sup_con import sup_con_loss
from cellclr_lib.learning.losses.vicreg import vicreg_loss
from cellclr_lib.learning.model import ProjectionHead, build_encoder
from cellclr_lib.learning.optimizer import build_optimizer, learning_rate
from cellclr_lib.learning.positives import PositiveSampler
from cellclr_lib.learning.store_input import input_of
from cellclr_lib.learning.top1 import top1_accuracy
from cellclr_lib.settings import to_dict

if TYPE_CHECKING:
    from tqdm import tqdm

    from cellclr_lib.data import CellStore
    from cellclr_lib.learning.config import TrainConfig

STATISTICS_CELLS = 2000  # cells, evenly spaced over the store, that give the mean and spread of each channel

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Trainer:
    """Hold encoder, head, optimiser and random numbers of one training.

    Parameters
    ----------
    store : CellStore
    config : TrainConfig

    Raises
    ------
    ValueError
        If the configuration does not suit store or machine.
    """

    def __init__(self, store: CellStore, config: TrainConfig) -> None:
        self.config, self.device = config, choose_device(config.device)
        self.bf16 = choose_bf16(config.precision, self.device)
        count, channels, crop_px, _ = store.images.shape
        self.input = input_of(store)
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            self.encoder = build_encoder(config.encoder, channels, config.stem, config.weights)
            self.head = ProjectionHead(self.encoder.out_features, config.projection).to(self.device)
        self.encoder.set_statistics(*_channel_statistics(store, config.input_px))
        self.encoder.to(self.device).to(memory_format=torch.channels_last)
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

    def run_epoch(self, bar: tqdm) -> dict[str, float]:
        """Make one pass over the cells; return mean ``loss`` and ``top1``, and the last learning rate ``lr``."""
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
            loss, z1, z2 = gradient_cache.backward(
                self.network, *views, self._loss(groups), chunk_cells=config.chunk_cells, bf16=self.bf16
            )
            distributed.average_gradients(self.network.parameters())
            self.optimizer.step()
            totals += torch.stack([loss, top1_accuracy(z1, z2, groups)])
            self.step += 1
            bar.update()
        loss, top1 = (totals / self.steps).tolist()
        return {"loss": loss, "top1": top1, "lr": lr}

    def _groups(self, batch: torch.Tensor) -> torch.Tensor | None:
        """Look up the group (N,) of each cell, whose views are all positives; None: each cell alone."""
        return self.positives.groups[batch].to(self.device) if self.config.objective == "sup_con" else None

    def _loss(self, groups: torch.Tensor | None) -> Loss:
        """Return the loss of a batch as a function of its projections alone."""
        config = self.config
        if config.objective == "vicreg":
            return vicreg_loss
        if groups is not None:
            return partial(sup_con_loss, groups=groups, temperature=config.temperature)
        return partial(nt_xent_loss, temperature=config.temperature)

    def _images(self, batches: Sequence[torch.Tensor]) -> Iterable[Sequence[torch.Tensor]]:
        """Read, batch by batch, the crops of this rank's cells, and those of their partners if they are others."""
        if self.config.positives == "cell":
            return ([images] for images in self.source(distributed.local_part(batch) for batch in batches))
        both = ((batch, self.positives.draw(batch, self.order_generator)) for batch in batches)
        images = iter(self.source(distributed.local_part(part) for pair in both for part in pair))
        return zip(images, images, strict=True)

    def save_state(self) -> dict[str, Any]:
        """Return everything that the next epoch depends on, as plain dicts and tensors."""
        return {
            "config": to_dict(self.config),
            "channels": self.encoder.channels,
            "input": self.input,
            "encoder": self.encoder.state_dict(),
            "head": self.head.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "device": self.device.type,
            "order_generator": self.order_generator.get_state(),
            "view_generator": self.view_generator.get_state(),
        }

    def load_state(self, saved: dict[str, Any]) -> None:
        """Return to where `save_state` was called."""
        if saved["device"] != self.device.type:
            raise ValueError(
                f"this training was begun on {saved['device']} and its random numbers cannot be continued on "
                f"{self.device.type}; finish it there, or choose another folder"
            )
        self.encoder.load_state_dict(saved["encoder"])
        self.head.load_state_dict(saved["head"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.step = saved["step"]
        self.order_generator.set_state(saved["order_generator"])
        self.view_generator.set_state(saved["view_generator"])

    def _draw_cells(self) -> torch.Tensor:
        """Draw the rows of this epoch in their order: each once, or by weight with repeats."""
        if self.weights is None:
            return torch.randperm(self.count, generator=self.order_generator)[: self.cells]
        position = torch.rand(self.cells, generator=self.order_generator, dtype=torch.float64)
        return torch.searchsorted(self.weights.cumsum(0), position * self.weights.sum(), right=True)


def _sampling_weights(store: CellStore, control_weight: float) -> torch.Tensor | None:
    """Weigh the chance of each cell (N,) to be drawn, up to a factor; None if all are alike."""
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


def _channel_statistics(store: CellStore, input_px: int | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute mean and deviation of each channel, (C,) and (C,), over evenly spaced cells at the input size."""
    rows = np.unique(np.linspace(0, len(store) - 1, STATISTICS_CELLS).astype(int))
    images = read_shrunk(store.images, torch.from_numpy(rows), input_px)
    return images.mean((0, 2, 3)), images.std((0, 2, 3))
