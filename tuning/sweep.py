"""Sweep temperature × batch size with Ray Tune: ``python tuning/sweep.py``.

Trials are ranked on MoA-free replicate retrieval (other plates of the same week). The loss cannot rank them, since
its scale moves with temperature and batch size; NSC and NSCB must not, since they are reported. Both are written
beside the rank. Explained in chapter 8, *tuning*.
"""

import argparse
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

# Read by ray when it is imported: no usage report, no banner, no token for a cluster of one machine.
os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_AIR_NEW_OUTPUT="0")
os.environ.setdefault("RAY_AUTH_MODE", "disabled")

import pandas as pd
import ray
from ray import tune

from cellclr_lib import artifacts
from cellclr_lib.data import CellStore, CropConfig, SimulationConfig
from cellclr_lib.learning import TrainConfig

TEMPERATURES, BATCH_SIZES = (0.1, 0.2, 0.5), (64, 128, 256)
SETTINGS = ["temperature", "batch_size", "seed"]


def main(arguments=None):
    """Run a sweep; exit status 0: all trials done, 1: bad input, 3: some trials failed, 130: interrupted."""
    options = parser().parse_args(arguments)
    folder = (options.storage / options.name).resolve()
    if folder.exists():
        print(f"error: {folder} holds a sweep already; choose another --name", file=sys.stderr)
        return 1
    start = time.time()
    try:
        store, training, temperatures, batch_sizes, seeds = plan(options)
    except (FileNotFoundError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    count = len(temperatures) * len(batch_sizes) * len(seeds)
    cells = training.epochs * (training.cells_per_epoch or len(store))
    print(f"{count} trials of {training.epochs} epochs on {len(store)} cells ({cells} cells seen each) → {folder}")

    ray.init(include_dashboard=False, log_to_driver=False, logging_level="error", num_cpus=options.cpus)
    try:
        grid = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(
                    trial, store_path=str(store.path), training=training, runs=str(folder / "runs")
                ),
                {"cpu": 1},
            ),
            param_space={
                "temperature": tune.grid_search(list(temperatures)),
                "batch_size": tune.grid_search(list(batch_sizes)),
                "seed": tune.grid_search(list(seeds)),
            },
            tune_config=tune.TuneConfig(metric="retrieval", mode="max"),
            run_config=tune.RunConfig(
                name=folder.name,
                storage_path=str(folder.parent),
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=1),
                callbacks=[Progress(count)],
            ),
        ).fit()
    finally:
        ray.shutdown()
    table = results(grid)
    table.to_csv(folder / "results.csv", index=False)
    histories(table).to_csv(folder / "history.csv", index=False)
    print(table.to_string(index=False, float_format="{:.3f}".format))
    done = int((table["error"] == "").sum())
    print(f"{done} of {count} trials done: {folder / 'results.csv'} ({(time.time() - start) / 60:.1f} min)")
    if len(table) < count:
        print("interrupted before all trials had run", file=sys.stderr)
        return 130
    return 0 if done == count else 3


def parser():
    """The argument parser."""
    top = argparse.ArgumentParser(prog="python tuning/sweep.py", description=__doc__.split("\n")[0])
    top.add_argument("--smoke", action="store_true", help="four short trials on a tiny simulated screen")
    top.add_argument("--store", type=Path, help="cell store to train on (default: the simulated screen's)")
    top.add_argument("--epochs", type=int, help="epochs of every trial")
    top.add_argument("--cells-per-epoch", type=int, help="cells drawn per epoch (default: all of the store)")
    top.add_argument("--seeds", type=int, nargs="+", default=[0], help="every setting once per seed (default: 0)")
    top.add_argument("--cpus", type=int, help="processors to use, one trial on each (default: all)")
    top.add_argument("--storage", type=Path, default=Path("sweeps"), help="folder of all sweeps (default: sweeps)")
    top.add_argument("--name", default=time.strftime("sweep-%Y%m%d-%H%M%S"), help="name of this sweep")
    return top


def plan(options):
    """Store, training settings, temperatures, batch sizes and seeds of a sweep."""
    training = TrainConfig(epochs=4, cells_per_epoch=options.cells_per_epoch)
    temperatures, batch_sizes = TEMPERATURES, BATCH_SIZES
    if options.smoke:
        training = replace(training, epochs=2)
        temperatures, batch_sizes = (0.1, 0.5), (32, 64)
    if options.epochs is not None:
        training = replace(training, epochs=options.epochs)
    if options.store:
        store = CellStore.open(options.store)
    else:
        source = SimulationConfig.smoke() if options.smoke else SimulationConfig()
        store = artifacts.crops(CropConfig(), source)
    return store, training, temperatures, batch_sizes, options.seeds


def trial(config, store_path, training, runs):
    """One training: reports after every epoch and, at the end, the scores that do not decide."""
    from cellclr_lib.learning import embed, train
    from cellclr_lib.monitor import ReplicateRetrieval
    from cellclr_lib.profiles import report

    store = CellStore.open(store_path)
    base = training.batch_size
    training = replace(
        training,
        temperature=config["temperature"],
        batch_size=config["batch_size"],
        seed=config["seed"],
        # With AdamW the learning rate customarily follows the square root of the batch size.
        lr=training.lr * (config["batch_size"] / base) ** 0.5,
        folder=str(
            Path(runs) / f"temperature{config['temperature']:g}_batch{config['batch_size']}_seed{config['seed']}"
        ),
    )
    monitor = ReplicateRetrieval(store)
    rows = []

    def on_epoch(state):
        rows.append(monitor(state))
        if state.epoch < state.epochs:
            tune.report({"epoch": state.epoch, **rows[-1]})
        return rows[-1]

    result = train(training, store, on_epoch=on_epoch)
    scores = report(store.table, embed(result.checkpoint, store), posts=("standardised",), null_draws=1).iloc[0]
    last = result.history.iloc[-1]
    tune.report(
        {
            "epoch": int(last["epoch"]),
            "retrieval": last["retrieval"],
            "week_from_dmso": last["week_from_dmso"],
            "loss": last["loss"],
            "top1": last["top1"],
            "cells_seen": int(last["cells_seen"]),
            "seconds": last["seconds"],
            "nsc": scores["nsc"],
            "nscb": scores["nscb"],
            "checkpoint_path": str(result.checkpoint),
        }
    )


class Progress(tune.Callback):
    """One line per epoch and trial, since Ray's own output is switched off."""

    def __init__(self, count):
        self.count, self.done, self.start = count, 0, time.time()

    def on_trial_result(self, iteration, trials, trial, result, **info):
        """Say how far a trial is."""
        setting = ", ".join(f"{name} {value:g}" for name, value in trial.config.items())
        print(
            f"  [{time.time() - self.start:4.0f} s] {setting}: epoch {result['epoch']}, "
            f"retrieval {result['retrieval']:.3f}",
            flush=True,
        )

    def on_trial_complete(self, iteration, trials, trial, **info):
        """Count the finished trials."""
        self.done += 1
        print(f"  [{time.time() - self.start:4.0f} s] {self.done} of {self.count} trials done", flush=True)


def results(grid):
    """One row per trial, best retrieval first; failed trials last, with their error."""
    columns = [
        "retrieval",
        "week_from_dmso",
        "nsc",
        "nscb",
        "loss",
        "top1",
        "epoch",
        "cells_seen",
        "seconds",
        "checkpoint_path",
    ]
    rows = []
    for result in grid:
        metrics = result.metrics or {}
        row = {name: result.config[name] for name in SETTINGS}
        row |= {name: metrics.get(name) for name in columns}
        rows.append(row | {"error": str(result.error).strip().splitlines()[-1] if result.error else ""})
    table = pd.DataFrame(rows).sort_values("retrieval", ascending=False, na_position="last")
    return table.reset_index(drop=True)


def histories(table):
    """The learning curves of all finished trials: their settings, then a row per epoch."""
    curves = []
    for _, row in table[table["error"] == ""].iterrows():
        history = pd.read_csv(Path(row["checkpoint_path"]).with_name("history.csv"))
        curves.append(history.assign(**{name: row[name] for name in SETTINGS}))
    return pd.concat(curves, ignore_index=True) if curves else pd.DataFrame(columns=SETTINGS)


if __name__ == "__main__":
    sys.exit(main())
