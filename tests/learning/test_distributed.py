"""Two processes that share every batch equal one that has it whole."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.distributed
from torch import multiprocessing

from cellclr_lib.data import CellStore
from cellclr_lib.learning import (
    ProjectionHead,
    TrainConfig,
    build_encoder,
    distributed,
    gradient_cache,
    nt_xent_loss,
    top1_accuracy,
    train,
)
from cellclr_lib.views import ViewConfig

RANKS = 2
CONFIG = TrainConfig(
    views=ViewConfig(), input_px=16, epochs=2, batch_size=16, lr=1e-4, device="cpu", precision="fp32"
)


@pytest.fixture
def store(tmp_path):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:24, :24]
    centre = rng.uniform(6, 18, (64, 3, 2, 1, 1))
    images = np.exp(-((y - centre[:, :, 0]) ** 2 + (x - centre[:, :, 1]) ** 2) / 20)
    table = pd.DataFrame(
        {"compound": ["DMSO"] * 16 + ["taxol"] * 48, "concentration_um": 1.0, "plate": ["p1", "p2"] * 32}
    )
    return CellStore.from_arrays((255 * images).astype(np.uint8), table, tmp_path / "store")


def step():
    """Loss, gradients and running statistics of one step, this rank's share of a fixed batch."""
    torch.manual_seed(0)
    encoder = build_encoder("small", 3)
    network = torch.nn.Sequential(encoder, ProjectionHead(encoder.out_features, 16)).train()
    network = distributed.synchronize_batch_norm(network.double(), torch.device("cpu"))
    images = torch.rand(16, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    mine = distributed.local_part(images)
    views = distributed.two_local_views(mine, ViewConfig(), torch.Generator().manual_seed(2), mine)
    loss, *z = gradient_cache.backward(network, *(view.double() for view in views), nt_xent_loss)
    distributed.average_gradients(network.parameters())
    gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
    return {"loss": loss, "top1": top1_accuracy(*z), **gradients, **dict(network.named_buffers())}


def one_rank(index, folder, store, config):
    """What each process does."""
    torch.set_num_threads(1)
    meeting = f"file://{folder}/meeting"
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=index, world_size=RANKS)
    torch.save(step(), Path(folder) / f"step{index}.pt")
    train(CellStore.open(store), config)
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("change", [{}, {"positives": "treatment", "objective": "sup_con"}])
def test_two_ranks_equal_one_process(store, tmp_path, monkeypatch, change):
    config = dataclasses.replace(CONFIG, **change)
    shared = dataclasses.replace(config, folder=str(tmp_path / "shared"))
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None, raising=False)
    multiprocessing.spawn(one_rank, (str(tmp_path), str(store.path), shared), nprocs=RANKS)
    expected = step()
    for index in range(RANKS):
        found = torch.load(tmp_path / f"step{index}.pt")
        assert found.keys() == expected.keys()
        for name, tensor in expected.items():
            largest = max(1.0, tensor.abs().max().item())
            assert (found[name] - tensor).abs().max() < 1e-5 * largest, f"{name}, rank {index}"
    alone = train(store, dataclasses.replace(config, folder=str(tmp_path / "alone"))).history
    together = pd.read_csv(tmp_path / "shared" / "history.csv")
    np.testing.assert_allclose(together["loss"], alone["loss"], atol=1e-4)
    assert list(together["cells_seen"]) == [64, 128] and len(list((tmp_path / "shared").iterdir())) == 3


def test_one_process_is_the_only_rank():
    assert (
        distributed.world_size() == 1
        and distributed.rank() == 0
        and distributed.local_part([1, 2, 3]) == [1, 2, 3]
    )
    z = torch.ones(2, 3)
    assert distributed.gather(z) is z


def test_a_batch_that_cannot_be_shared(store, monkeypatch):
    monkeypatch.setattr(distributed, "world_size", lambda: 3)
    monkeypatch.setattr(distributed, "synchronize_batch_norm", lambda network, device: network)
    monkeypatch.setattr(distributed, "rank", lambda: 0)
    with pytest.raises(ValueError, match="a batch of 16 cells cannot be shared by 3 ranks"):
        train(store, CONFIG)
