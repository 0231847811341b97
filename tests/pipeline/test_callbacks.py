"""The training monitor scores what it is given, on the same cells every time."""

from types import SimpleNamespace

import numpy as np
import pytest

from cellclr_lib.pipeline.callbacks import ReplicateRetrieval
from cellclr_lib.profiles import ZScore, aggregate_wells, replicate_retrieval


@pytest.fixture
def monitor(tiny_store):
    return ReplicateRetrieval(tiny_store, cells_per_well=3)


def state(feats, epoch=1, epochs=4):
    return SimpleNamespace(epoch=epoch, epochs=epochs, embed=lambda images: feats)


def test_perfect_features_score_one(monitor):
    kinds = monitor.meta["compound"] + monitor.meta["concentration_um"].astype(str)
    codes = np.unique(kinds, return_inverse=True)[1]
    assert monitor(state(np.eye(codes.max() + 1)[codes]))["retrieval"] == 1


def test_features_of_the_week_are_told(monitor):
    weeks = np.unique(monitor.meta["batch"], return_inverse=True)[1]
    noise = np.random.default_rng(0).normal(size=(len(weeks), 4)) * 1e-3
    scores = monitor(state(np.hstack([np.eye(weeks.max() + 1)[weeks], noise])))
    assert scores["week_accuracy"] == 1


def test_equals_the_scores_of_its_cells(monitor):
    feats = np.random.default_rng(1).normal(size=(len(monitor.meta), 5))
    meta, means = aggregate_wells(monitor.meta, feats)
    means = ZScore(rows="all").fit(meta, means).transform(meta, means)
    assert monitor(state(feats))["retrieval"] == replicate_retrieval(meta, means).accuracy


def test_takes_at_most_so_many_cells_of_a_well(monitor, tiny_store):
    assert monitor.meta.groupby(["plate", "well"]).size().max() == 3
    assert (ReplicateRetrieval(tiny_store, cells_per_well=3).rows == monitor.rows).all()
    assert len(ReplicateRetrieval(tiny_store, cells_per_well=None).rows) == len(tiny_store)


def test_every_so_many_epochs_and_the_last(tiny_store):
    monitor = ReplicateRetrieval(tiny_store, cells_per_well=2, every=3)
    feats = np.random.default_rng(0).normal(size=(len(monitor.meta), 3))
    assert [bool(monitor(state(feats, epoch))) for epoch in (1, 2, 3, 4)] == [False, False, True, True]
