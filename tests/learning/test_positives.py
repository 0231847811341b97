"""Partners: who may be drawn, how often, and what happens to a cell that has nobody."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from cellclr_lib.data import CellStore
from cellclr_lib.learning import TrainConfig, train
from cellclr_lib.learning.positives import KINDS, PositiveSampler
from cellclr_lib.views import ViewConfig

RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "plate": RNG.choice(["p1", "p2", "p3"], 200),
        "well": RNG.choice(["B02", "B03", "B04", "C02"], 200),
        "compound": RNG.choice(["DMSO", "a", "b"], 200),
        "concentration_um": RNG.choice([0.1, 1.0], 200),
    }
)


def admissible(table, row, kind):
    """Slow reference: the set of rows that may be drawn for a row."""
    own = table.iloc[row]
    if kind == "cell":
        return {row}
    if kind == "well":
        fits = (table["plate"] == own["plate"]) & (table["well"] == own["well"])
        fits.iloc[row] = False
    else:
        fits = (table["compound"] == own["compound"]) & (table["concentration_um"] == own["concentration_um"])
        fits &= table["plate"] != own["plate"]
    return set(np.flatnonzero(fits)) or {row}


@pytest.mark.parametrize("kind", KINDS)
def test_all_that_may_be_drawn_are_and_nobody_else(kind):
    partners, generator = PositiveSampler(TABLE, kind), torch.Generator().manual_seed(0)
    drawn = [set() for _ in range(len(TABLE))]
    for _ in range(400):
        for row, partner in enumerate(partners.draw(torch.arange(len(TABLE)), generator).tolist()):
            drawn[row].add(partner)
    assert drawn == [admissible(TABLE, row, kind) for row in range(len(TABLE))]


def test_every_partner_is_as_likely():
    partners, generator = PositiveSampler(TABLE, "treatment"), torch.Generator().manual_seed(0)
    row = int(np.flatnonzero(TABLE["plate"] == "p2")[0])
    candidates = sorted(admissible(TABLE, row, "treatment"))
    drawn = partners.draw(torch.full((20_000,), row), generator).numpy()
    counts = np.array([(drawn == candidate).sum() for candidate in candidates])
    expected = len(drawn) / len(candidates)
    assert ((counts - expected) ** 2 / expected).sum() < 2 * len(candidates)  # chi², mean one per candidate


def test_a_cell_alone_is_its_own_partner():
    table = pd.DataFrame(
        {"plate": ["p1", "p1"], "well": ["B02", "B03"], "compound": ["a", "b"], "concentration_um": [1.0, 1.0]}
    )
    for kind in KINDS:
        rows = torch.tensor([1, 0, 1])
        assert torch.equal(PositiveSampler(table, kind).draw(rows, torch.Generator()), rows)


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match="need the columns plate, well"):
        PositiveSampler(TABLE[["compound"]], "well")


@pytest.mark.parametrize("kind", KINDS)
def test_training_with_pairs_repeats_itself_and_resumes(tmp_path, kind):
    images = np.random.default_rng(1).integers(0, 255, (64, 2, 24, 24), dtype=np.uint8)
    store = CellStore.from_arrays(images, TABLE[:64], tmp_path / "store")
    config = TrainConfig(
        positives=kind, views=ViewConfig(elastic_p=0), input_px=16, epochs=3, batch_size=16, device="cpu",
        precision="fp32", checkpoint_every_s=0,
    )  # fmt: skip
    first = train(store, dataclasses.replace(config, folder=str(tmp_path / "a")))

    class StopError(Exception):
        pass

    def stop(state):
        if state.epoch == 2:
            raise StopError

    killed = dataclasses.replace(config, folder=str(tmp_path / "b"))
    with pytest.raises(StopError):
        train(store, killed, on_epoch=stop)
    second = train(store, killed)
    pd.testing.assert_frame_equal(first.history.drop(columns="seconds"), second.history.drop(columns="seconds"))


def test_pairs_change_the_training(tmp_path):
    images = np.random.default_rng(1).integers(0, 255, (64, 2, 24, 24), dtype=np.uint8)
    store = CellStore.from_arrays(images, TABLE[:64], tmp_path / "store")
    losses = {}
    for kind in KINDS:
        config = TrainConfig(
            positives=kind, views=ViewConfig.none(), input_px=16, epochs=1, batch_size=16, device="cpu",
            folder=str(tmp_path / kind),
        )  # fmt: skip
        losses[kind] = train(store, config).history["top1"].iloc[0]
    assert losses["cell"] == 1.0  # two equal pictures
    assert max(losses["well"], losses["treatment"]) < 0.5  # noise has no partner


@pytest.mark.parametrize(
    ("change", "reads_the_plate_map"),
    [
        ({}, False),
        ({"positives": "treatment"}, True),
        ({"positives": "well", "objective": "sup_con"}, True),
        ({"control_weight": 0.5}, True),
    ],
)
def test_a_corrected_plate_map_asks_for_another_training(tmp_path, change, reads_the_plate_map):
    """Where the plate map chooses cells, an encoder of the old one is not handed out as that of the new one."""
    images = np.random.default_rng(1).integers(0, 255, (64, 2, 24, 24), dtype=np.uint8)
    wrong = CellStore.from_arrays(images, TABLE[:64], tmp_path / "wrong")
    table = TABLE[:64].assign(compound=np.roll(TABLE["compound"][:64], 1))
    right = CellStore.from_arrays(images, table, tmp_path / "right")
    config = TrainConfig(
        input_px=16, epochs=1, batch_size=16, device="cpu", folder=str(tmp_path / "run"), **change
    )  # fmt: skip
    first = train(wrong, config)
    if reads_the_plate_map:
        with pytest.raises(ValueError, match="holds a training of another plate map"):
            train(right, config)
    else:
        pd.testing.assert_frame_equal(train(right, config).history, first.history)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="positives is 'moa'"):
        TrainConfig(positives="moa")
