"""Train one encoder in several processes; without a process group of torch every function here does nothing.

Each rank holds an equal part of every batch. Three things make the result that of one process with the whole
batch: all projections are gathered for the loss, batch normalisation uses the mean and variance of the whole
batch, and gradients are averaged. Every rank computes the same whole loss, so gradients are those of its sum over
ranks until `average_gradients` divides by their number. Explained in chapter 8, *tuning*.
"""

import torch
from torch import distributed, nn

from cellclr_lib.views import augmentation


def world_size():
    """Number of ranks; 1 without a process group."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def rank():
    """Number of this rank, from 0."""
    return distributed.get_rank() if world_size() > 1 else 0


def local_part(rows):
    """This rank's part of a batch: the `rank`-th of `world_size` equal runs of `rows` (a sequence or tensor)."""
    size = len(rows) // world_size()
    return rows[rank() * size : (rank() + 1) * size]


def two_local_views(images, config, generator, partners):
    """Two views of this rank's share of a batch, the same ones however many ranks share it; see `augmentation`."""
    if world_size() == 1:
        return augmentation.two_views(images, config, generator, partners)
    whole = (world_size() * len(images), *images.shape[1:])
    draws = [
        augmentation.draw_view(config, whole, generator) for _ in range(2)
    ]  # of all cells: a few numbers each
    mine = [draw.map(lambda t: local_part(t).to(images.device)) for draw in draws]
    return tuple(
        augmentation.apply_view(shown, draw, config) for shown, draw in zip((images, partners), mine, strict=True)
    )


def gather(z):
    """Projections (n, P) of every rank, (count · n, P) in the order of ranks; gradients flow to all."""
    return _Gather.apply(_precise(z)) if world_size() > 1 else z


def average_gradients(parameters):
    """Replace each gradient by its mean over ranks."""
    if world_size() > 1:
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])  # one message, not one per layer
        distributed.all_reduce(flat)
        for gradient, mean in zip(
            gradients, (flat / world_size()).split([g.numel() for g in gradients]), strict=True
        ):
            gradient.copy_(mean.view_as(gradient))


def synchronize_batch_norm(network, device):
    """`network` with batch normalisation over the batch of all ranks; torch's own on a GPU, ours on a CPU."""
    if world_size() > 1 and device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    if world_size() > 1:
        for module in network.modules():
            if type(module) is nn.BatchNorm2d:
                module.__class__ = SynchronizedBatchNorm
    return network


class SynchronizedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation whose mean and variance are those of the batches of all ranks."""

    def forward(self, images):
        """Normalised `images` (n, C, H, W)."""
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


def _precise(values):
    """Float32 of anything shorter: sums over ranks need it."""
    return values if values.dtype == torch.float64 else values.float()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z):
        parts = [torch.empty_like(z) for _ in range(world_size())]
        distributed.all_gather(parts, z.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx, gradient):
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(gradient)
        return local_part(gradient)


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values):
        values = values.clone()
        distributed.all_reduce(values)
        return values / world_size()

    @staticmethod
    def backward(ctx, gradient):
        gradient = gradient.clone()
        distributed.all_reduce(gradient)
        return gradient / world_size()
