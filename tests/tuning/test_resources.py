"""Resources: what cannot be is refused at once, and no trial sees a GPU that it did not ask for.

There is no GPU on this machine's test cluster: its GPUs are declared to Ray and exist in its books only. That is
enough for placement, refusal and visibility; memory is not tested by it.
"""

from types import SimpleNamespace

import pytest

from tuning import cluster
from tuning.sweep import main

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def declared():
    """A local Ray of two processors and two declared GPUs."""
    import ray

    ray.init("local", num_cpus=2, num_gpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield ray
    ray.shutdown()


@pytest.mark.parametrize(
    ("cpus", "gpus", "limit", "places"),
    [
        (1, 0, None, 2),
        (1, 1, None, 2),
        (1, 0.5, None, 2),
        (0.5, 0.5, None, 4),
        (0.25, 0.4, None, 4),
        (1, 0, 1, 1),
        (2, 2, 9, 1),
    ],
)
def test_how_many_trials_fit(declared, cpus, gpus, limit, places):
    assert cluster.trials_at_once(cpus, gpus, limit) == places


@pytest.mark.parametrize(
    ("cpus", "gpus", "message"),
    [
        (1, 3, "no node can hold a trial of 1 CPUs and 3 GPUs; there is .*: 2 CPUs, 2 GPUs"),
        (3, 0, "no node can hold a trial of 3 CPUs"),
        (1, 1.5, "0 to 1 or a whole number"),
        (0, 0, "more than 0 CPUs"),
        (1, -1, "impossible"),
    ],
)
def test_asking_for_too_much_is_refused(declared, cpus, gpus, message):
    with pytest.raises(ValueError, match=message):
        cluster.trials_at_once(cpus, gpus)


def test_the_command_refuses_too(sweep, tmp_path):
    options = sweep.new("--gpus-per-trial", "64")
    run = sweep.run(tmp_path, "one", *options, wrapper=("env", "PYTHONPROFILEIMPORTTIME=1"))
    assert run.returncode == 1 and "no node can hold a trial of 1 CPUs and 64 GPUs" in run.stderr
    assert not (tmp_path / "one").exists()
    imported = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines()}
    assert "tuning.cluster" in imported and "torch" not in imported  # torch takes seconds


def test_an_address_is_no_folder(tmp_path, monkeypatch, capsys):
    from tuning.sweep import main

    monkeypatch.chdir(tmp_path)
    for given in (["--storage", "s3://bucket/sweeps"], ["--resume", "--storage=s3://bucket", "--name", "one"]):
        assert main(given) == 1
        assert "is an address" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_command_refuses_before_it_starts_ray(sweep, tmp_path, monkeypatch, capsys):
    started = []
    ray = SimpleNamespace(init=lambda *_, **__: started.append("ray"), shutdown=lambda: None, nodes=list)
    monkeypatch.setattr(cluster, "ray", ray)
    command = sweep.new("--gpus-per-trial", "64", "--storage", str(tmp_path), "--name", "one")
    assert main(command) == 1 and not started
    assert "there is this machine: " in capsys.readouterr().err


def test_an_unreachable_cluster_is_named(sweep, tmp_path):
    run = sweep.run(tmp_path, "one", *sweep.new("--address", "127.0.0.1:1"))
    assert run.returncode == 1 and "no Ray cluster at 127.0.0.1:1" in run.stderr


def test_a_trial_sees_the_gpus_it_asked_for(declared, monkeypatch, tmp_path):
    """Run by Ray Tune with the real `run`, in which only the training is replaced by a look around."""
    from ray import tune

    from tuning import trial

    class Plan:
        gpus_per_trial = 0.0

    def look(config):
        import os

        plan = Plan()
        plan.gpus_per_trial = config["gpus"]
        trial.hide_gpus(plan)
        tune.report({"seen": os.environ.get("CUDA_VISIBLE_DEVICES")})

    for gpus, expected in [(0.0, {""}), (1.0, {"0", "1"}), (0.5, {"0", "1"})]:
        tuner = tune.Tuner(
            tune.with_resources(look, {"cpu": 0.5, "gpu": gpus}),
            param_space={"gpus": gpus, "n": tune.grid_search([1, 2])},
            run_config=tune.RunConfig(storage_path=str(tmp_path), name=f"look{gpus}", verbose=0),
        )
        seen = {result.metrics["seen"] for result in tuner.fit()}
        assert seen <= expected and seen
