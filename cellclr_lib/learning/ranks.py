"""One training in many processes: what its ranks tell each other. Without a process group, all of it does nothing.

Each rank holds an equal share of every batch. Three things join them so that they compute what one process would
with the whole batch: all projections are gathered for the loss, batch normalisation uses the mean and variance of
the whole batch, and gradients are averaged. Every rank computes the same whole loss, so gradients are those of its
sum over ranks until `average_gradients` divides by their number. Explained in chapter 8, *tuning*.
"""

import torch
from torch import distributed, nn

from cellclr_lib.learning import augment


def count():
    """Number of ranks; 1 without a process group."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def index():
    """Number of this rank, from 0."""
    return distributed.get_rank() if count() > 1 else 0


def share(rows):
    """This rank's part of a batch: the `index`-th of `count` equal runs of `rows` (a sequence or tensor)."""
    size = len(rows) // count()
    return rows[index() * size : (index() + 1) * size]


def two_views(images, config, generator, partners):
    """Two views of this rank's share of a batch, the same ones however many ranks share it; see `augment`."""
    if count() == 1:
        return augment.two_views(images, config, generator, partners)
    whole = (count() * len(images), *images.shape[1:])
    draws = [augment.draw_view(config, whole, generator) for _ in range(2)]  # of all cells: a few numbers each
    mine = [draw.map(lambda t: share(t).to(images.device)) for draw in draws]
    return tuple(
        augment.apply_view(shown, draw, config) for shown, draw in zip((images, partners), mine, strict=True)
    )


def gather(z):
    """Projections (n, P) of every rank, (count · n, P) in the order of ranks; gradients flow to all."""
    return _Gather.apply(_precise(z)) if count() > 1 else z


def average_gradients(parameters):
    """Replace each gradient by its mean over ranks."""
    if count() > 1:
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])  # one message, not one per layer
        distributed.all_reduce(flat)
        for gradient, mean in zip(gradients, (flat / count()).split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))


def share_statistics(network, device):
    """`network` with batch normalisation over the batch of all ranks; torch's own on a GPU, ours on a CPU."""
    if count() > 1 and device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    if count() > 1:
        for module in network.modules():
            if type(module) is nn.BatchNorm2d:
                module.__class__ = SharedBatchNorm
    return network


class SharedBatchNorm(nn.BatchNorm2d):
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
            values = count() * x.numel() / x.shape[1]
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
        parts = [torch.empty_like(z) for _ in range(count())]
        distributed.all_gather(parts, z.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx, gradient):
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(gradient)
        return share(gradient)


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values):
        values = values.clone()
        distributed.all_reduce(values)
        return values / count()

    @staticmethod
    def backward(ctx, gradient):
        gradient = gradient.clone()
        distributed.all_reduce(gradient)
        return gradient / count()
