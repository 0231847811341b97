"""NT-Xent, forward and backward, on projections of length 128 in float32.

Ours: `nt_xent_loss`. lightly: `NTXentLoss` without a memory bank. The paper's code, expressed again: similarities
by way of a (2N, 2N, D) tensor, for the smallest N only, since its memory grows with N² D. `memory_gb` is what one
forward and backward adds at its peak to a fresh process that holds the projections; `difference` is the largest of
|loss - ours| and of |gradient - ours|.
"""

from functools import partial

import torch

from cellclr_lib.learning import nt_xent_loss
from speed import paper
from speed.measure import RUNS, PeakMemory, in_fresh_process, installed, per_call, take_turns

TEMPERATURE = 0.1
SIZES = (256, 512, 1024, 2048, 4096, 8192)
PAPER_UP_TO = 256


def measure(results, sizes=SIZES, width=128, runs=RUNS, memory=True):
    """Losses per second for each number of cells."""
    for n in sizes:
        losses = {"cellclr": ours} | installed({"lightly": lightly})
        if n <= PAPER_UP_TO:
            losses["paper's code"] = papers
        z = projections(n, width)
        seconds = take_turns({name: per_call(partial(step, loss, z)) for name, loss in losses.items()}, runs)
        results.add(
            f"N = {n}",
            seconds,
            n,
            "cells",
            memory_gb={name: in_fresh_process(_memory_gb, name, n, width) for name in losses} if memory else {},
            difference={
                name: _difference(step(losses["cellclr"], z), step(loss, z)) for name, loss in losses.items()
            },
        )


def ours(z1, z2):
    """Compute the loss of this library."""
    return nt_xent_loss(z1, z2, TEMPERATURE)


def papers(z1, z2):
    """Compute the loss as the paper's code does."""
    return paper.nt_xent(z1, z2, TEMPERATURE)


def lightly():
    """Make the loss of lightly."""
    from lightly.loss import NTXentLoss

    return NTXentLoss(temperature=TEMPERATURE)


def projections(n, width):
    """Draw two views' projections (n, width), alike but not equal."""
    generator = torch.Generator().manual_seed(0)
    z1 = torch.randn(n, width, generator=generator)
    return z1, z1 + torch.randn(n, width, generator=generator)


def step(loss, z):
    """Loss and its gradient at both views."""
    z = [view.clone().requires_grad_() for view in z]
    value = loss(*z)
    value.backward()
    return [value.detach(), *(view.grad for view in z)]


def _difference(a, b):
    return max(float((x - y).abs().max()) for x, y in zip(a, b, strict=True))


def _memory_gb(name, n, width):
    loss = {"cellclr": lambda: ours, "lightly": lightly, "paper's code": lambda: papers}[name]()
    step(loss, projections(8, width))  # what libraries allocate once
    z = projections(n, width)
    with PeakMemory() as peak:
        step(loss, z)
    return peak.more_gb
