"""Compute the loss of a whole batch in the memory of a part of it (gradient caching).

A contrastive loss needs the projections of all cells at once, but the network needs them only part by part. So the
batch goes through the network twice: first without a record, for the projections and the gradient of the loss at
each of them; then chunk by chunk with a record, to carry those gradients back. It costs one more forward pass.
Source: Gao et al. 2021, *Scaling deep contrastive learning batch size under memory limited setup*.
Explained in chapter 8, *tuning*.
"""

from contextlib import contextmanager

import torch
from torch import nn

from cellclr_lib.learning import distributed
from cellclr_lib.learning.device import autocast


def backward(network, view1, view2, objective, chunk_cells=None, bf16=False):
    """The loss of a batch, its gradient added to the parameters of `network`.

    Parameters
    ----------
    network : Module
        Views (N, C, H, W) → projections (N, P).
    view1, view2 : Tensor, shape (N, C, H, W)
        This rank's share of the batch; the negatives come from all ranks.
    objective : callable
        Projections (N, P) and (N, P) of the whole batch → loss and top-1, as `nt_xent_loss` gives.
    chunk_cells : int, optional
        Cells whose views go through the network together; all N if not given. Loss and gradients are the same
        either way, but for batch normalisation, whose mean and variance are those of a chunk.
    bf16 : bool
        Compute the network in bfloat16.

    Returns
    -------
    loss, top1 : Tensor, scalar
        As the objective gives them, without gradient.
    """

    def project(*views):
        views = torch.cat(views).contiguous(memory_format=torch.channels_last)
        with autocast(views.device, bf16):
            return network(views)

    if chunk_cells is None or chunk_cells >= len(view1):
        loss, top1 = _loss(project(view1, view2).chunk(2), objective)
        loss.backward()
        return loss.detach(), top1
    parts = list(zip(view1.split(chunk_cells), view2.split(chunk_cells), strict=True))
    with torch.no_grad(), _running_statistics_kept(network):
        halves = zip(*(project(*part).chunk(2) for part in parts), strict=True)
    z1, z2 = (torch.cat(half).requires_grad_() for half in halves)
    loss, top1 = _loss((z1, z2), objective)
    loss.backward()
    for part, *gradients in zip(parts, z1.grad.split(chunk_cells), z2.grad.split(chunk_cells), strict=True):
        project(*part).backward(torch.cat(gradients))
    return loss.detach(), top1


def _loss(z, objective):
    return objective(*map(distributed.gather, z))


@contextmanager
def _running_statistics_kept(network):
    """The first pass must not count in the running statistics: the second shows the same cells."""
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum
