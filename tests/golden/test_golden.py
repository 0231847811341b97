"""The outputs of every stage are those that were recorded, on any processor; where they are not, VERSION says so.

``python tests/golden/record.py`` records them anew.
"""

import json
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

sys.path.insert(0, str(Path(__file__).parent))
import golden_check
import stages

sys.path.pop(0)


@pytest.fixture(scope="module")
def golden():
    """What was recorded."""
    return json.loads(golden_check.GOLDEN.read_text())


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """What the stages are given; one thread, since more would wait for each other: the networks are small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield stages.Inputs(tmp_path_factory.mktemp("golden"))
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def output(inputs):
    """Function that gives the output of a stage, made once."""
    made = {}

    def of(stage):
        if stage not in made:
            made[stage] = stages.STAGES[stage](inputs)
        return deepcopy(made[stage])

    return of


@pytest.mark.parametrize("stage", stages.STAGES)
def test_output_is_as_recorded(golden, output, stage):
    golden_check.check(stage, golden_check.versions_of(stage), golden[stage], output(stage))


def test_every_stage_has_a_version(golden):
    assert list(golden) == list(golden_check.VERSIONS) == list(stages.STAGES)


def test_a_change_without_a_version_is_told(golden):
    changed = deepcopy(golden["losses"]["output"])
    changed["vicreg: loss, top-1"]["values"][0] *= 1.001
    with pytest.raises(AssertionError, match="output of losses changed but its VERSION did not.*\nvicreg: loss"):
        golden_check.check("losses", golden_check.versions_of("losses"), golden["losses"], changed)


def test_a_hash_counts(golden):
    changed = golden["fields"]["output"] | {"image table": stages.exact("another")}
    with pytest.raises(AssertionError, match="image table: other whole numbers or text"):
        golden_check.check("fields", golden_check.versions_of("fields"), golden["fields"], changed)


def test_another_version_must_be_recorded(golden):
    versions = golden_check.versions_of("crops") | {"fields": 2}
    with pytest.raises(AssertionError, match="record anew"):
        golden_check.check("crops", versions, golden["crops"], golden["crops"]["output"])


@pytest.mark.slow
def test_ray_gives_the_same_table(golden, inputs, repository, tmp_path):
    space = tmp_path / "space.yaml"
    space.write_text(yaml.safe_dump(stages.SPACE))
    options = ["--smoke", "--store", inputs.store.path, "--space", space, "--cells-per-epoch", "64"]
    where = ["--storage", tmp_path, "--name", "one"]
    command = [sys.executable, "tuning/sweep.py", *map(str, [*options, *where])]
    subprocess.run(command, cwd=repository, check=True, capture_output=True, timeout=240)
    results, history = (pd.read_csv(tmp_path / "one" / f"{name}.csv") for name in ("results", "history"))
    recorded = golden["sweep"]["output"]
    for name, value in stages.sweep_table(results, history).items():
        assert not golden_check.difference(recorded[name], value), name
