"""Which trials a space makes, and the training that each of them is."""

import numpy as np
import pytest

from cellclr_lib.learning import TrainConfig
from cellclr_lib.views import ViewConfig
from tuning.space import common_budget, grid, read_space, sample, training_of

BASE = TrainConfig(lr=1e-3)


def test_a_grid_once_per_seed():
    trials = grid({"temperature": [0.1, 0.5], "batch_size": [32, 64]}, [0, 1])
    assert len(trials) == 8 and trials[0] == {"temperature": 0.1, "batch_size": 32, "seed": 0}
    assert len({tuple(settings.values()) for settings in trials}) == 8


def test_random_settings_lie_in_their_range_and_repeat_per_seed():
    space = {"temperature": {"low": 0.05, "high": 1.0, "log": True}, "batch_size": [32, 64]}
    trials = sample(space, 50, [0, 1], np.random.default_rng(0))
    assert len(trials) == 100 and all(0.05 <= t["temperature"] <= 1 for t in trials)
    assert trials[0] | {"seed": 1} == trials[1]
    assert np.median([t["temperature"] for t in trials]) < 0.4  # logarithmic: half lie below 0.22
    assert trials == sample(space, 50, [0, 1], np.random.default_rng(0))


@pytest.mark.parametrize(
    ("optimizer", "batch", "lr"), [("adamw", 64, 5e-4), ("adamw", 1024, 2e-3), ("lars", 64, 2.5e-4)]
)
def test_the_learning_rate_follows_the_batch_size(optimizer, batch, lr):
    training = training_of({"batch_size": batch, "optimizer": optimizer}, BASE)
    assert training.lr == pytest.approx(lr) and training.batch_size == batch


def test_settings_reach_any_field():
    training = training_of({"encoder": "resnet18", "views.elastic_p": 0.0, "projection": 64, "lr": 2e-3}, BASE)
    assert (training.encoder, training.views.elastic_p, training.projection) == ("resnet18", 0.0, 64)
    assert training.lr == pytest.approx(2e-3)
    assert training_of({"views": "paper"}, BASE).views == ViewConfig.paper()


@pytest.mark.parametrize(
    "settings", [{"temprature": 0.1}, {"views.elastic": 1}, {"nowhere.at": 1}, {"encoder": 3}]
)
def test_a_wrong_setting_is_named(settings):
    with pytest.raises(ValueError, match=next(iter(settings)).split(".")[0]):
        training_of(settings, BASE)


def test_all_trials_see_the_same_cells():
    assert common_budget([64, 128, 256], 1000) == 768
    assert common_budget([48, 64], 1000) == 960
    with pytest.raises(ValueError, match="no common multiple among the 100 cells"):
        common_budget([48, 64], 100)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lr: 3", "'lr' is 3; expected a list"),
        ("lr: {low: 1, high: 0}", "must rise"),
        ("lr: {low: 0, high: 1, log: true}", "positive"),
        ("- 1", "must hold"),
        ("a: [", "not valid YAML"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, text, message):
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        read_space(path)
    assert str(path) in str(error.value)


def test_a_file_of_lists_and_ranges(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text("encoder: [small, resnet18]\nlr: {low: 1e-4, high: 0.01, log: true}\n")
    assert read_space(path) == {"encoder": ["small", "resnet18"], "lr": {"low": 1e-4, "high": 0.01, "log": True}}
    with pytest.raises(FileNotFoundError, match="nowhere.yaml"):
        read_space(tmp_path / "nowhere.yaml")
