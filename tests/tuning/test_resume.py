"""Nothing is lost: whatever is interrupted or killed resumes and ends with the numbers of an undisturbed sweep."""

import os
import signal
import time

import pandas as pd
import psutil
import pytest

from tuning.schedulers import inconsistent

pytestmark = pytest.mark.slow
LONG = ("--epochs", "4", "--seeds", "0", "1")  # eight trials
SAME = ["temperature", "batch_size", "seed", "retrieval", "week_accuracy", "nsc", "nscb", "loss", "top1", "epoch"]


@pytest.fixture(scope="module")
def undisturbed(sweep, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    run = sweep.run(folder, "one", *sweep.new(*LONG))
    assert run.returncode == 0, run.stderr
    return numbers(folder / "one")


def numbers(folder):
    return pd.read_csv(folder / "results.csv")[SAME].sort_values(SAME[:3]).reset_index(drop=True)


def read_until(process, text, times=1):
    """Output of a process up to the n-th line that holds `text`."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        times -= text in line
        if not times:
            return "".join(lines)
    raise AssertionError(f"{text!r} did not come: {''.join(lines)}")


def end(process):
    """The rest of what a process says, and its exit status."""
    rest = process.stdout.read()
    return rest, process.wait(timeout=300)


def test_ctrl_c(sweep, tmp_path, undisturbed):
    process = sweep.start(tmp_path, "one", *sweep.new(*LONG))
    read_until(process, "epoch", times=5)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to everybody in the foreground
    rest, status = end(process)
    assert status == 130
    assert f"resume with: python tuning/sweep.py --resume --storage {tmp_path} --name one" in rest
    resumed = sweep.run(tmp_path, "one", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    pd.testing.assert_frame_equal(numbers(tmp_path / "one"), undisturbed)


def test_kill_9_of_the_driver(sweep, tmp_path, undisturbed):
    process = sweep.start(tmp_path, "one", *sweep.new(*LONG))
    read_until(process, "epoch", times=9)
    process.kill()
    process.wait()
    time.sleep(5)  # Ray ends its own processes
    resumed = sweep.run(tmp_path, "one", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    pd.testing.assert_frame_equal(numbers(tmp_path / "one"), undisturbed)


def test_kill_9_of_a_worker(sweep, tmp_path, undisturbed):
    process = sweep.start(tmp_path, "one", *sweep.new(*LONG))
    read_until(process, "epoch", times=3)
    children = psutil.Process(process.pid).children(recursive=True)
    next(child for child in children if "ray::ImplicitFunc" in " ".join(child.cmdline())).kill()  # a trial
    rest, status = end(process)
    assert status == 0 and "tried once more" in rest, rest
    pd.testing.assert_frame_equal(numbers(tmp_path / "one"), undisturbed)


def test_killed_before_ray_saved_anything(sweep, tmp_path, undisturbed):
    process = sweep.start(tmp_path, "one", *sweep.new(*LONG))
    deadline = time.monotonic() + 900
    while not (tmp_path / "one" / "ray" / "tuner.pkl").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.wait()
    for state in (tmp_path / "one" / "ray").glob("experiment_state-*.json"):  # if it came in between
        state.unlink()
    time.sleep(5)
    resumed = sweep.run(tmp_path, "one", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    pd.testing.assert_frame_equal(numbers(tmp_path / "one"), undisturbed)


def test_asha_remembers_its_rungs(sweep, tmp_path):
    process = sweep.start(tmp_path, "one", *sweep.new(*LONG, "--scheduler", "asha"))
    read_until(process, "epoch", times=6)
    process.kill()
    process.wait()
    time.sleep(5)
    before = pd.read_csv(tmp_path / "one" / "decisions.csv")
    resumed = sweep.run(tmp_path, "one", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    after = pd.read_csv(tmp_path / "one" / "decisions.csv")
    pd.testing.assert_frame_equal(after[: len(before)], before)
    assert inconsistent(tmp_path / "one" / "decisions.csv").empty
    results = pd.read_csv(tmp_path / "one" / "results.csv")
    assert len(results) == 8 and results["error"].isna().all() and results["nscb"].notna().all()
    stopped = set(after.loc[after["decision"] == "STOP", "trial"])
    assert stopped == set(results.loc[results["epoch"] < 4, "trial"])
