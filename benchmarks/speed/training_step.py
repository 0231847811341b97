"""Measure a training step: two views of 256 cells, ResNet-18 at 96 px, NT-Xent, optimiser.

Ours: epochs of a true `train`, with the paper's views. `encoder alone`: forward and backward of the same network
on views that lie ready, in the same precision and format; what the step takes beyond it is not the encoder. The
paper's way, in a process of its own: float32, torchvision's ResNet-18 with the same stem, albumentations in two
worker processes that are ahead of the network, its loss expressed again, Adam. `of_matrix_rate`: floating-point
operations of the network per second, counted by torch, over those of a large matrix product in the same precision
on the same cores, which stands in the first case. The last case takes the parts of our step one by one, in units
of the network's time; they do not add up to the step where parts of it overlap.
"""

import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torchvision
from torch.utils.flop_counter import FlopCounterMode

from cellclr_lib.data import CellStore
from cellclr_lib.learning import ProjectionHead, TrainConfig, build_encoder, nt_xent_loss, train
from cellclr_lib.learning.device import choose_bf16
from cellclr_lib.learning.optimizer import build_optimizer
from cellclr_lib.views import two_views
from speed import paper, peers
from speed.measure import RUNS, installed, per_call, process_of_its_own, take_turns, timed
from speed.views import random_crops

STEPS = 2  # of one run
MATRIX = 2048  # side of the matrices whose product tells what the cores can do
AHEAD = 4  # batches that two workers prepare ahead by default


def measure(results, encoder="resnet18", batch_size=256, crop_px=96, steps=STEPS, runs=RUNS):
    """Measure steps per second in each precision that the processor is good at, then the parts of a step."""
    config = TrainConfig(
        encoder=encoder,
        input_px=None,
        views=peers.VIEWS,
        batch_size=batch_size,
        cells_per_epoch=steps * batch_size,
    )
    precisions = ["bf16", "fp32"] if choose_bf16("auto", torch.device("cpu")) else ["fp32"]
    with tempfile.TemporaryDirectory() as folder:
        store = random_store((AHEAD + steps + 1) * batch_size, crop_px, folder)
        matrix = take_turns({name: matrix_product(name == "bf16") for name in precisions}, runs)
        results.add("matrix product", matrix, 2 * MATRIX**3 / 1e12, "TFLOP")
        rate = {name: 2 * MATRIX**3 / np.median(values) for name, values in matrix.items()}
        operations = operations_of(config, store)
        for precision in precisions:
            others = {"encoder alone": encoder_alone(config, store, precision == "bf16", steps)}
            with ExitStack() as stack:
                theirs = partial(stack.enter_context, process_of_its_own(paper_steps, config, store.path, steps))
                others |= installed({"paper's way": theirs})
                seconds = train_in_turns(replace(config, precision=precision), store, others, runs)
            rest = 1 - np.median(seconds["encoder alone"] / seconds["cellclr"])
            seconds = {name: values / steps for name, values in seconds.items()}
            share = {
                name: operations / np.median(values) / rate["fp32" if name == "paper's way" else precision]
                for name, values in seconds.items()
            }
            results.add(
                f"{precision}, {encoder}",
                seconds,
                batch_size,
                "cells",
                not_encoder={"cellclr": rest},
                of_matrix_rate=share,
            )
        seconds = take_turns(parts(config, store, precisions[0] == "bf16"), runs)
        results.add(f"parts, {precisions[0]}", seconds, batch_size, "cells")


def matrix_product(bf16):
    """Product of two large square matrices as a callable: what the cores can do at best."""
    dtype = torch.bfloat16 if bf16 else torch.float32
    a, b = torch.rand(2, MATRIX, MATRIX).to(dtype)
    return per_call(lambda: a @ b)


def operations_of(config, store):
    """Floating-point operations of the network in one step, forward and backward, counted for two cells."""
    shape = (2, *store.images.shape[1:])
    with FlopCounterMode(display=False) as counter:
        forward_backward(network_for(config, shape[1]), torch.rand(shape), bf16=False)
    return counter.get_total_flops() * config.batch_size


def random_store(cells, crop_px, folder):
    """Write a store of noise in three channels."""
    table = pd.DataFrame({"plate": ["Week1_1"] * cells, "well": "B02", "compound": "DMSO"})
    return CellStore.from_arrays(random_crops(cells, crop_px), table, Path(folder) / "store")


def train_in_turns(config, store, others, runs):
    """Seconds of the epochs of one `train`, whose callback gives all others their turn between two epochs.

    Parameters
    ----------
    others : {name: callable}
        As for `take_turns`.

    Returns
    -------
    {name: ndarray (runs,)}
        "cellclr" is ours; its first epoch does not count.
    """
    seconds = {"cellclr": [], **{name: [] for name in others}}
    resumed = None

    def between_epochs(state):
        nonlocal resumed
        if resumed is not None:
            seconds["cellclr"].append(time.perf_counter() - resumed)
        if state.epoch < state.epochs:
            for name, run in others.items():
                seconds[name].append(timed(run))
        resumed = time.perf_counter()

    with tempfile.TemporaryDirectory() as folder:
        config = replace(config, epochs=runs + 1, folder=folder, checkpoint_every_s=1e9)
        train(store, config, on_epoch=between_epochs)
    return {name: np.array(values) for name, values in seconds.items()}


def network_for(config, channels, device="cpu"):
    """Build encoder and projection head as `train` makes them."""
    encoder = build_encoder(config.encoder, channels, config.stem)
    network = torch.nn.Sequential(encoder, ProjectionHead(encoder.out_features, config.projection))
    return network.to(device, memory_format=torch.channels_last).train()


def encoder_alone(config, store, bf16, steps):
    """Forward and backward on views that lie ready as a callable, `steps` times; warmed up."""
    network = network_for(config, store.images.shape[1])
    shape = (2 * config.batch_size, *store.images.shape[1:])
    views = torch.rand(shape).contiguous(memory_format=torch.channels_last)
    forward_backward(network, views, bf16)

    def run():
        for _ in range(steps):
            forward_backward(network, views, bf16)

    return run


def forward_backward(network, views, bf16):
    """Forward and backward of the network, from a gradient at z that costs nothing."""
    network.zero_grad()
    with torch.autocast(views.device.type, torch.bfloat16, enabled=bf16):
        z = network(views)
    z.backward(torch.ones_like(z))


def paper_steps(config, path, steps):
    """Make the paper's way a callable that returns the seconds of `steps` steps; one step before does not count.

    `path` is that of the store.

    In that first step the workers get as far ahead as they ever are, so that what follows is the steady state.
    """
    store = CellStore.open(path)
    batches = peers.loader_batches(peers.albumentations_pair, store.images, config.batch_size)
    channels = store.images.shape[1]
    resnet = getattr(torchvision.models, config.encoder if config.encoder != "small" else "resnet18")()
    resnet.conv1 = torch.nn.Conv2d(channels, 64, 3, stride=2, padding=1, bias=False)
    resnet.maxpool, width, resnet.fc = torch.nn.Identity(), resnet.fc.in_features, torch.nn.Identity()
    network = torch.nn.Sequential(resnet, ProjectionHead(width, config.projection)).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-4, weight_decay=1e-5)

    def run():
        for i, (view1, view2) in enumerate(batches()):
            if i == 1:
                start = time.perf_counter()
            optimizer.zero_grad()
            z1, z2 = network(torch.cat([view1, view2])).chunk(2)
            paper.nt_xent(z1, z2, config.temperature).backward()
            optimizer.step()
            if i == steps:
                return time.perf_counter() - start
        raise ValueError(f"fewer than {steps + 1} batches")

    return run


def parts(config, store, bf16):
    """Make the parts of one of our steps callables for `take_turns`, the network first."""
    network = network_for(config, store.images.shape[1])
    optimizer = build_optimizer(config, network.parameters())
    generator = torch.Generator().manual_seed(0)
    rows = torch.randperm(len(store), generator=generator)[: config.batch_size].sort().values.numpy()
    images = torch.from_numpy(store.images[rows])
    views = torch.cat(two_views(images, config.views, generator)).contiguous(memory_format=torch.channels_last)
    z = torch.randn(2, config.batch_size, config.projection, requires_grad=True)
    forward_backward(network, views, bf16)  # gradients for the optimiser
    return {
        "network": lambda: forward_backward(network, views, bf16),
        "fetch": per_call(lambda: torch.from_numpy(store.images[rows])),
        "views": per_call(lambda: two_views(images, config.views, generator)),
        "loss": per_call(lambda: nt_xent_loss(*z, config.temperature).backward()),
        "optimiser": per_call(optimizer.step),
    }
