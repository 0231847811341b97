"""SupCon and VICReg against sums written out, in closed form, and inside a training."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch.autograd import gradcheck

from cellclr_lib.data import CellStore
from cellclr_lib.learning import TrainConfig, nt_xent_loss, top1_accuracy, train, training_loop
from cellclr_lib.learning.losses.sup_con import sup_con_loss
from cellclr_lib.learning.losses.vicreg import vicreg_loss


def projections(n=10, width=6, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, n, width, generator=generator, dtype=torch.float64).to(dtype)


def slow_sup_con(z1, z2, groups, temperature):
    """Every sum of the formula as a loop."""
    z = [row / np.linalg.norm(row) for row in np.concatenate([z1, z2])]
    group, losses, hits = [*groups, *groups], [], []
    for i in range(len(z)):
        others = [j for j in range(len(z)) if j != i]
        logit = {j: float(z[i] @ z[j]) / temperature for j in others}
        whole = math.log(sum(math.exp(logit[j]) for j in others))
        positives = [j for j in others if group[j] == group[i]]
        losses.append(sum(whole - logit[j] for j in positives) / len(positives))
        hits.append(group[max(others, key=logit.get)] == group[i])
    return np.mean(losses), np.mean(hits)


def slow_vicreg(z1, z2):
    n, width = z1.shape
    loss = 25 * sum((z1[i, a] - z2[i, a]) ** 2 for i in range(n) for a in range(width)) / (n * width)
    for z in (z1, z2):
        centred = z - z.mean(0)
        for a in range(width):
            loss += 25 / 2 * max(0, 1 - math.sqrt(sum(centred[:, a] ** 2) / (n - 1) + 1e-4)) / width
            for b in range(width):
                if a != b:
                    loss += (sum(centred[:, a] * centred[:, b]) / (n - 1)) ** 2 / width
    return loss


@pytest.mark.parametrize("groups", [[0] * 10, list(range(10)), [0, 1, 2, 0, 1, 2, 0, 0, 0, 3]])
@pytest.mark.parametrize("temperature", [0.05, 0.1, 1.0])
def test_sup_con_is_its_formula(groups, temperature):
    z1, z2 = projections()
    groups = torch.tensor(groups)
    loss, top1 = sup_con_loss(z1, z2, groups, temperature), top1_accuracy(z1, z2, groups)
    expected, hits = slow_sup_con(z1.numpy(), z2.numpy(), groups, temperature)
    assert loss.item() == pytest.approx(expected, abs=1e-9) and top1.item() == pytest.approx(hits)


def test_with_a_group_per_cell_sup_con_is_nt_xent():
    z1, z2 = (z.requires_grad_() for z in projections(n=40))
    loss = sup_con_loss(z1, z2, torch.arange(40), 0.1)
    ours = torch.autograd.grad(loss, (z1, z2))
    expected = nt_xent_loss(z1, z2, 0.1)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(ours, torch.autograd.grad(expected, (z1, z2)))
    assert top1_accuracy(z1, z2, torch.arange(40)) == top1_accuracy(z1, z2)


def test_sup_con_where_everything_is_alike_cannot_be_improved():
    """One group in one place: each of the other 2N - 1 views is as likely, and nothing pulls."""
    z = torch.ones(2, 8, 4, dtype=torch.float64, requires_grad=True)
    loss = sup_con_loss(*z, torch.zeros(8, dtype=torch.long), 0.1)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(15)) and z.grad.abs().max() < 1e-12


def test_sup_con_of_groups_in_opposite_places():
    """Two groups of n views each at ±e: log(n - 1 + n·exp(-2/T)), with n = 6."""
    e = torch.tensor([1.0, 0.0])
    z = torch.stack([e, e, e, -e, -e, -e])
    groups = torch.tensor([0, 0, 0, 1, 1, 1])
    loss, top1 = sup_con_loss(z, z, groups, 0.5), top1_accuracy(z, z, groups)
    assert loss.item() == pytest.approx(math.log(5 + 6 * math.exp(-4)), abs=1e-6) and top1 == 1


def test_vicreg_is_its_formula():
    z1, z2 = projections(n=12, width=5) * 0.7
    loss, top1 = vicreg_loss(z1, z2), top1_accuracy(z1, z2)
    assert loss.item() == pytest.approx(slow_vicreg(z1.numpy(), z2.numpy()), rel=1e-9)
    assert top1.item() == pytest.approx(slow_sup_con(z1.numpy(), z2.numpy(), range(12), 1.0)[1])


def test_vicreg_of_collapsed_and_of_spread_projections():
    flat = torch.zeros(16, 4, dtype=torch.float64)
    assert vicreg_loss(flat, flat).item() == pytest.approx(25 * (1 - math.sqrt(1e-4)))
    spread = torch.cat([torch.eye(4), -torch.eye(4)]).double() * 3  # uncorrelated, deviation above 1
    assert vicreg_loss(spread, spread).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    "objective",
    [lambda a, b: sup_con_loss(a, b, torch.tensor([0, 0, 1, 2]), 0.2), vicreg_loss],
)
def test_gradients(objective):
    z1, z2 = (z.requires_grad_() for z in projections(n=4, width=3))
    assert gradcheck(objective, (z1, z2))


@pytest.mark.parametrize("objective", [lambda a, b: sup_con_loss(a, b, torch.arange(10) // 3, 0.1), vicreg_loss])
def test_autocast_does_not_round(objective):
    z1, z2 = projections(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        loss = objective(z1, z2)
    assert loss.dtype == torch.float32 and torch.equal(loss, objective(z1, z2))


def test_shapes_that_do_not_fit():
    z1, z2 = projections()
    with pytest.raises(ValueError, match=r"groups \(N,\), not .* and \(9,\)"):
        sup_con_loss(z1, z2, torch.arange(9), 0.1)
    with pytest.raises(ValueError, match="must both be"):
        sup_con_loss(z1, z2[:5], torch.arange(10), 0.1)
    with pytest.raises(ValueError, match="N of 2 or more"):
        vicreg_loss(z1[:1], z2[:1])


@pytest.fixture
def store(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (64, 2, 20, 20), dtype=np.uint8)
    table = pd.DataFrame(
        {
            "plate": rng.choice(["p1", "p2"], 64),
            "well": rng.choice(["B02", "B03"], 64),
            "compound": rng.choice(["DMSO", "a", "b"], 64),
            "concentration_um": 1.0,
        }
    )
    return CellStore.from_arrays(images, table, tmp_path / "store")


@pytest.mark.parametrize("objective", ["sup_con", "vicreg"])
def test_trains_repeats_itself_and_resumes(store, tmp_path, objective):
    config = TrainConfig(
        objective=objective, positives="treatment", input_px=16, epochs=3, batch_size=16, device="cpu",
        precision="fp32", checkpoint_every_s=0.0,
    )  # fmt: skip

    def stop(state):
        if state.epoch == 2:
            raise KeyboardInterrupt

    whole = train(store, dataclasses.replace(config, folder=str(tmp_path / "a"))).history
    broken = dataclasses.replace(config, folder=str(tmp_path / "b"))
    with pytest.raises(KeyboardInterrupt):
        train(store, broken, on_epoch=stop)
    again = train(store, broken).history
    pd.testing.assert_frame_equal(whole.drop(columns="seconds"), again.drop(columns="seconds"))
    plain = dataclasses.replace(config, objective="nt_xent", folder=str(tmp_path / "c"))
    assert whole["loss"].iloc[0] != train(store, plain).history["loss"].iloc[0]


def test_what_attracts_is_the_group_of_the_pairs(store, tmp_path, monkeypatch):
    """The groups that the loss is given are those of the cells whose views it is given."""
    seen = []

    def spy(z1, z2, groups, temperature):
        seen.append(groups)
        return sup_con_loss(z1, z2, groups, temperature)

    monkeypatch.setattr(training_loop, "sup_con_loss", spy)
    config = TrainConfig(
        objective="sup_con", positives="treatment", input_px=16, epochs=1, batch_size=16, device="cpu",
        folder=str(tmp_path / "run"),
    )  # fmt: skip
    train(store, config)
    count = store.table["compound"].value_counts()
    drawn = torch.cat(seen).unique(return_counts=True)[1]
    assert len(seen) == 4 and sorted(drawn.tolist()) == sorted(count)
