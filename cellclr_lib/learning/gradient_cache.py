"""Compute the loss of a whole batch in the memory of a part of it (gradient caching).

A contrastive loss needs the projections of all cells at once, but the network needs them only part by part. So the
batch goes through the network twice: first without a record, for the projections and the gradient of the loss at
each of them; then chunk by chunk with a record, to carry those gradients back. It costs one more forward pass.
Source: Gao et al. 2021, *Scaling deep contrastive learning batch size under memory limited setup*.
Explained in chapter 8, *tuning*.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from cellclr_lib.learning import distributed
from cellclr_lib.learning.device import autocast


def backward(
    network: nn.Module,
    view1: torch.Tensor,
    view2: torch.Tensor,
    loss_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    *,
    chunk_cells: int | None = None,
    bf16: bool = False,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Compute the loss of a batch and add its gradient to the parameters of `network`.

    Parameters
    ----------
    network : Module
        Views (N, C, H, W) → projections (N, P).
    view1, view2 : Tensor, shape (N, C, H, W)
        This rank's share of the batch; the negatives come from all ranks.
    loss_of : callable
        Projections (N, P) and (N, P) of the whole batch → loss, such as `nt_xent_loss`.
    chunk_cells : int, optional
        Cells whose views go through the network together; all N if not given. Loss and gradients are the same
        either way, but for batch normalisation, whose mean and variance are those of a chunk.
    bf16 : bool
        Compute the network in bfloat16.

    Returns
    -------
    loss : Tensor, scalar
        Without gradient.
    z1, z2 : Tensor, shape (N, P)
        The projections of the whole batch, without gradient.
    """

    def project(*views: torch.Tensor) -> torch.Tensor:
        images = torch.cat(views).contiguous(memory_format=torch.channels_last)
        with autocast(images.device, bf16):
            projections: torch.Tensor = network(images)
        return projections

    if chunk_cells is None or chunk_cells >= len(view1):
        halves = project(view1, view2).chunk(2)
        parts = []
    else:
        parts = list(zip(view1.split(chunk_cells), view2.split(chunk_cells), strict=True))
        with torch.no_grad(), _running_statistics_kept(network):
            projected = [project(*part).chunk(2) for part in parts]
        halves = tuple(torch.cat(half).requires_grad_() for half in zip(*projected, strict=True))
    z1, z2 = map(distributed.gather, halves)
    loss = loss_of(z1, z2)
    if not parts:
        loss.backward()
    else:
        gradients = torch.autograd.grad(loss, halves)
        chunks = zip(*(gradient.split(len(parts[0][0])) for gradient in gradients), strict=True)
        for part, chunk in zip(parts, chunks, strict=True):
            project(*part).backward(torch.cat(chunk))
    return loss.detach(), z1.detach(), z2.detach()


@contextmanager
def _running_statistics_kept(network: nn.Module) -> Iterator[None]:
    """Leave running means and variances alone: the second pass counts the same cells."""
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum
