"""Train one encoder in several processes; without a process group of torch every function here does nothing.

Each rank holds an equal part of every batch. Three things make the result that of one process with the whole
batch: all projections are gathered for the loss, batch normalisation uses the mean and variance of the whole
batch, and gradients are averaged. Every rank computes the same whole loss, so gradients are those of its sum over
ranks until `average_gradients` divides by their number. The gather and the mean that carry gradients are our own
ten lines each: those of `torch.distributed.nn.functional` are deprecated (torch 2.15), what is to replace them is
private, and both send more. Explained in chapter 8, *tuning*.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

import torch
from torch import distributed, nn

from cellclr_lib.views import augmentation
from cellclr_lib.views.config import ViewConfig

Rows = TypeVar("Rows", bound=Any)  # a sequence or tensor, cut along its first axis


def world_size() -> int:
    """Return the number of ranks; 1 without a process group."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def rank() -> int:
    """Return the number of this rank, from 0."""
    return distributed.get_rank() if world_size() > 1 else 0


def local_part(rows: Rows) -> Rows:
    """Take this rank's part of a batch: the `rank`-th of `world_size` equal runs of `rows`."""
    size = len(rows) // world_size()
    part: Rows = rows[rank() * size : (rank() + 1) * size]
    return part


def two_local_views(
    images: torch.Tensor, config: ViewConfig, generator: torch.Generator, partners: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw two views of this rank's part of a batch, the same ones however many ranks share it."""
    if world_size() == 1:
        return augmentation.two_views(images, config, generator, partners)
    whole = (world_size() * len(images), *images.shape[1:])
    # Of all cells: a few numbers each.
    first, second = (augmentation.draw_view(config, whole, generator) for _ in range(2))
    view1, view2 = (
        augmentation.apply_view(shown, draw.map(lambda t: local_part(t).to(images.device)), config)
        for shown, draw in ((images, first), (partners, second))
    )
    return view1, view2


def gather(z: torch.Tensor) -> torch.Tensor:
    """Gather the projections (n, P) of all ranks, (world_size · n, P) in their order; gradients flow to all."""
    if world_size() == 1:
        return z
    gathered: torch.Tensor = _Gather.apply(_precise(z))
    return gathered


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by its mean over ranks."""
    if world_size() > 1:
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])  # one message, not one per layer
        distributed.all_reduce(flat)
        for gradient, mean in zip(
            gradients, (flat / world_size()).split([g.numel() for g in gradients]), strict=True
        ):
            gradient.copy_(mean.view_as(gradient))


def synchronize_batch_norm(network: nn.Module, device: torch.device) -> nn.Module:
    """Normalise over the batch of all ranks: by torch's own layer on a GPU, by ours on a CPU."""
    if world_size() > 1 and device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return converted
    if world_size() > 1:
        for module in network.modules():
            if type(module) is nn.BatchNorm2d:
                module.__class__ = SynchronizedBatchNorm
    return network


class SynchronizedBatchNorm(nn.BatchNorm2d):
    """Normalise with the mean and variance of the batches of all ranks."""

    running_mean: torch.Tensor
    running_var: torch.Tensor
    num_batches_tracked: torch.Tensor
    momentum: float

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Normalise `images` (n, C, H, W)."""
        if not self.training:
            return super().forward(images)
        x = _precise(images)
        mean = _Mean.apply(x.mean((0, 2, 3)))
        x = x - mean[:, None, None]
        variance = _Mean.apply(x.square().mean((0, 2, 3)))
        with torch.no_grad():
            values = world_size() * x.numel() / x.shape[1]
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * values / (values - 1), self.momentum)
            self.num_batches_tracked.add_(1)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (x * scale[:, None, None] + self.bias[:, None, None]).to(images.dtype)


def _precise(values: torch.Tensor) -> torch.Tensor:
    """Convert anything shorter to float32: sums over ranks need it."""
    return values if values.dtype == torch.float64 else values.float()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: torch.Tensor) -> torch.Tensor:
        parts = [torch.empty_like(z) for _ in range(world_size())]
        distributed.all_gather(parts, z.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(gradient)
        return local_part(gradient)


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
        values = values.clone()
        distributed.all_reduce(values)
        return values / world_size()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        gradient = gradient.clone()
        distributed.all_reduce(gradient)
        return gradient / world_size()
