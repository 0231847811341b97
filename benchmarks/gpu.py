"""Training speed on a GPU, against the same encoder on views that lie ready: ``python benchmarks/gpu.py``.

Needs torch 2.6 or later with torchvision and what `cellclr_lib` imports; no ray, no network, no installation, no
data: it makes its own. Ends within 8 minutes on a data-centre GPU: rows that no longer fit are left out and said
so. Writes `benchmarks/results/gpu.csv` row by row, and the tables of `benchmarks/README.md`.

Ours: epochs of a true `train`, ResNet-50 at 96 px, the paper's views, bf16, channels-last, with the store on the
GPU ("resident") or read batch by batch from its memory map ("streamed"). Large batches do not fit into
the memory of one GPU at once, so they are trained by gradient caching in chunks that do. `encoder alone`: the same
passes of the same network and head on ready views, and `encoder alone, one pass` without the second forward pass
that gradient caching costs. `views`: `two_views` of such a batch on the GPU. `of_encoder`: our rate over that of
the encoder alone. `of_matrix_rate`: floating-point operations of the encoder alone per second, counted by torch,
over those of a large bf16 matrix product on the same chip. `memory_gb`: highest memory that torch held on the GPU.
"""

import argparse
import math
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd

sys.path.append(str(Path(__file__).resolve().parent.parent))  # no installation needed

import torch
from speed import peers, table
from speed.measure import RESULTS, RUNS, Results, take_turns
from speed.training_step import forward_backward, network_for, train_in_turns
from torch.utils.flop_counter import FlopCounterMode

from cellclr_lib.learning import TrainConfig, loader, train
from cellclr_lib.views import two_views

BUDGET_S = 480
RESIDENT, STREAMED = "resident", "streamed"


@dataclass(frozen=True)
class Sizes:
    """Set how much is measured; the defaults are the benchmark."""

    encoder: str = "resnet50"
    crop_px: int = 96
    cells: int = 450_000  # of the epoch: as many as in the annotated wells of BBBC021
    sweep_cells: int = 65_536  # in the store of the other rows
    chunk_cells: int | None = None  # in the network at a time; None: as many as the GPU's memory holds
    batches: tuple[tuple[str, int], ...] = (
        (RESIDENT, 512), (STREAMED, 512), (RESIDENT, 1024), (RESIDENT, 4096), (STREAMED, 4096), (RESIDENT, 2048),
    )  # fmt: skip
    run_cells: int = 4096  # at least so many cells a run
    matrix: int = 8192  # side of the matrices whose product gives the chip's rate
    runs: int = RUNS


@dataclass(frozen=True)
class Cells:
    """Hold what `train` needs of a store."""

    images: np.ndarray
    table: pd.DataFrame
    path: Path

    @property
    def channels(self):
        """Name the channels, as a store does."""
        return tuple(f"channel{i}" for i in range(self.images.shape[1]))

    def __len__(self):
        return len(self.images)


def main(arguments=None):
    """Measure everything on the GPU, write results and tables."""
    parser = argparse.ArgumentParser(prog="python benchmarks/gpu.py", description=__doc__.split(":")[0])
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of gpu.csv")
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        sys.exit("torch finds no GPU here; nothing was measured")
    results = Results("gpu", options.out)
    measure(results, torch.device("cuda"))
    results.finish(command="python benchmarks/gpu.py", gpu=torch.cuda.get_device_name())
    if options.out == RESULTS:
        table.write_documents()
    print("\n" + table.claims(table.GPU, options.out))


def measure(results, device, sizes=None, budget_s=BUDGET_S):
    """Measure the first batch size, the epoch, then the others; what no longer fits into the time is left out."""
    sizes, deadline = sizes or Sizes(), time.time() + budget_s
    config = TrainConfig(
        encoder=sizes.encoder,
        input_px=None,
        views=peers.VIEWS,
        precision="bf16",
        device=device.type,
        checkpoint_every_s=1e9,
    )
    product = matrix_rate(sizes.matrix, device)
    results.add("bf16 matrix product", product[0], product[1] / 1e12, "TFLOP")
    flops_per_s = product[1] / np.median(product[0]["torch"])
    with tempfile.TemporaryDirectory() as folder:
        store = noise(sizes.cells, sizes.crop_px, Path(folder))
        few = replace(store, images=store.images[: sizes.sweep_cells])
        chunk = sizes.chunk_cells or chunk_that_fits(config, store.images, device)

        def sized(batch_size):
            return replace(config, batch_size=batch_size, chunk_cells=chunk if chunk < batch_size else None)

        def batch_row(place, batch_size):
            steps = math.ceil(sizes.run_cells / batch_size)
            here = replace(sized(batch_size), cells_per_epoch=steps * batch_size)
            return training(results, place, here, few, device, flops_per_s, sizes.runs)

        start = time.time()
        first, *others = sizes.batches
        seconds_per_cell = batch_row(*first)
        row_s = 1.5 * (time.time() - start)  # of the next ones, gradient caching included
        plan = [
            ("epoch", store.images.shape[0] * seconds_per_cell, epoch, (results, sized(first[1]), store, device))
        ]
        plan += [(f"{place}, batch {size}", row_s, batch_row, (place, size)) for place, size in others]
        for name, expected_s, run, arguments in plan:
            if time.time() + expected_s > deadline:
                print(f"  {name} left out: it would take {expected_s:.0f} s", flush=True)
            else:
                run(*arguments)


def matrix_rate(side, device, times=10, runs=RUNS):
    """Seconds of a (side, side) bf16 matrix product, and its floating-point operations."""
    a, b = (torch.randn(side, side, device=device).bfloat16() for _ in range(2))

    a @ b  # warm up

    def many():
        start = _now(device)
        for _ in range(times):
            a @ b
        return (_now(device) - start) / times

    return take_turns({"torch": many}, runs), 2 * side**3


def noise(cells, crop_px, folder):
    """Cells of noise in a memory-mapped file, as a store has them."""
    block = np.random.default_rng(0).integers(0, 256, (min(cells, 8192), 3, crop_px, crop_px), dtype=np.uint8)
    shape = (cells, *block.shape[1:])
    images = np.lib.format.open_memmap(folder / "images.npy", mode="w+", dtype=np.uint8, shape=shape)
    for start in range(0, cells, len(block)):
        images[start : start + len(block)] = block[: cells - start]
    images.flush()
    images = np.load(folder / "images.npy", mmap_mode="r")
    return Cells(images, pd.DataFrame({"compound": ["DMSO"] * cells}), folder)


def chunk_that_fits(config, images, device, probe=64):
    """Cells, a power of two, whose views the network can hold on the GPU beside the whole store.

    Read off the memory that two small batches take.
    """
    network, peaks = network_for(config, images.shape[1], device), []
    for cells in (probe, 2 * probe):
        _forget_memory(device)
        views = torch.rand(2 * cells, *images.shape[1:], device=device)
        forward_backward(network, views.contiguous(memory_format=torch.channels_last), bf16=True)
        peaks.append(torch.cuda.max_memory_allocated(device))
    room = 0.85 * torch.cuda.mem_get_info(device)[1] - images.nbytes
    return 2 ** int(math.log2(room / (peaks[1] - peaks[0]) * probe))


def epoch(results, config, store, device):
    """Measure one epoch over the whole store, from the call of `train` to its checkpoint."""
    _forget_memory(device)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        train(store, replace(config, epochs=1, folder=folder))
        seconds = np.array([time.perf_counter() - start])
    memory = {"cellclr": _memory_gb(device)}
    case = f"epoch over {len(store):,} cells, batch {config.batch_size}"
    results.add(case, {"cellclr": seconds}, len(store), "cells", memory_gb=memory)


def training(results, place, config, store, device, flops_per_s, runs):
    """Measure a step with the store resident or streamed, and its encoder and views, in seconds per cell."""
    network = network_for(config, store.images.shape[1], device)
    steps = config.cells_per_epoch // config.batch_size
    others = {"encoder alone": lambda: encoder_alone(network, config, store, steps, device, cached=True)}
    if config.chunk_cells:
        others["encoder alone, one pass"] = lambda: encoder_alone(
            network, config, store, steps, device, cached=False
        )
    others["views"] = lambda: views_alone(config, store, steps, device)
    flops = flops_of_one_view(network, store.images.shape[1:], device)
    _forget_memory(device)
    with patch.object(loader, "RESIDENT_SHARE", loader.RESIDENT_SHARE if place == RESIDENT else 0.0):
        seconds = train_in_turns(config, store, others, runs)
    passes = 4 / 3 if config.chunk_cells else 1  # a backward pass costs two forward passes
    per_second = passes * flops * 2 * config.cells_per_epoch / np.median(seconds["encoder alone"])
    results.add(
        f"{place}, batch {config.batch_size}",
        {name: values / steps for name, values in seconds.items()},
        config.batch_size,
        "cells",
        memory_gb={"cellclr": _memory_gb(device)},
        of_encoder={"cellclr": np.median(seconds["encoder alone"] / seconds["cellclr"])},
        of_step={"views": np.median(seconds["views"] / seconds["cellclr"])},
        of_matrix_rate={"encoder alone": per_second / flops_per_s},
    )
    return np.median(seconds["cellclr"]) / config.cells_per_epoch


def encoder_alone(network, config, store, steps, device, cached):
    """Seconds of `steps` batches of ready views; `cached`: with the passes of gradient caching."""
    chunk = config.chunk_cells or config.batch_size
    views = torch.rand(2 * chunk, *store.images.shape[1:], device=device).contiguous(
        memory_format=torch.channels_last
    )
    forward_backward(network, views, bf16=True)  # warm up
    start = _now(device)
    for _ in range(steps):
        for _ in range(config.batch_size // chunk if cached and config.chunk_cells else 0):
            with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
                network(views)
        for _ in range(config.batch_size // chunk):
            forward_backward(network, views, bf16=True)
    return _now(device) - start


def views_alone(config, store, steps, device):
    """Seconds of the views of `steps` batches that lie on the device."""
    images = torch.from_numpy(store.images[: config.batch_size].copy()).to(device)
    generator = torch.Generator(device).manual_seed(0)
    two_views(images, config.views, generator)  # warm up
    start = _now(device)
    for _ in range(steps):
        two_views(images, config.views, generator)
    return _now(device) - start


def flops_of_one_view(network, shape, device, views=4):
    """Floating-point operations of forward and backward of one view, as torch counts them."""
    images = torch.rand(views, *shape, device=device)
    with FlopCounterMode(display=False) as counter:
        forward_backward(network, images, bf16=True)
    return counter.get_total_flops() / views


def _now(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _forget_memory(device):
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def _memory_gb(device):
    return torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else None


if __name__ == "__main__":
    main()
