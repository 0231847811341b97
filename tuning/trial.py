"""Run one trial of a sweep: a training that reports after every epoch, and leaves all it made in its own folder.

What a trial reports is on disk already, so whatever is killed resumes there and ends with the same numbers.
"""

import gc
import os
import time
from dataclasses import replace
from pathlib import Path

from ray import tune

from tuning.schedulers import DECISIONS, was_stopped

WAIT_S = 60.0  # how long the memory of the trial before may take to come free


def trainable(plan, runs):
    """Make a function for Ray Tune that trains with its settings, in a folder of its own below `runs`."""

    def trial(config):
        folder = Path(runs) / tune.get_context().get_trial_id()
        if was_stopped(Path(runs).with_name(DECISIONS), folder.name):
            report_last(folder)
        else:
            run(plan, folder, config)

    return trial


def run(plan, folder, settings):
    """Train with `settings` in `folder`, report every epoch; go on from where an earlier try was killed."""
    hide_gpus(plan)
    from cellclr_lib.data import CellStore
    from cellclr_lib.learning import train
    from cellclr_lib.pipeline.callbacks import ReplicateRetrieval
    from tuning.score import score

    store = CellStore.open(plan.store)
    training = replace(
        plan.training_of(settings),
        folder=str(folder),
        device="auto" if plan.gpus_per_trial else "cpu",
        checkpoint_every_s=0.0,
    )
    if plan.gpus_per_trial:
        keep_to_share_of_gpu(plan.gpus_per_trial)
    if checkpoint := tune.get_checkpoint():
        adopt(checkpoint, training, store)
    reported = []

    def report(row):
        reported.append(row["epoch"])
        kept = tune.Checkpoint.from_directory(folder) if plan.scheduler == "pbt" else None
        tune.report(row | {"checkpoint_path": str(folder / "checkpoint.pt")}, checkpoint=kept)

    try:
        result = train(store, training, on_epoch=ReplicateRetrieval(store), on_checkpoint=report)
        if not reported:  # an earlier try was killed between its last epoch and the end
            report(result.history.to_dict("records")[-1])
        score(result.checkpoint, plan.store, training.device)
    finally:
        free_gpu()


def report_last(folder):
    """Report the last epoch again: the sweep was killed between the decision to stop this trial and its end.

    Ray has forgotten the decision and starts the trial once more; the scheduler, which has not, now stops it.
    """
    import pandas as pd

    tune.report(pd.read_csv(folder / "history.csv").iloc[-1].to_dict())


def hide_gpus(plan):
    """Hide the GPUs from a trial that needs none; Ray alone would show it every GPU of the node."""
    if not plan.gpus_per_trial:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def adopt(checkpoint, training, store):
    """Put a reported checkpoint in place as the state of `training`, which may differ in its settings.

    Population-based training copies a better trial and changes its temperature or learning rate on the way.
    """
    from cellclr_lib.learning.checkpoint import load_checkpoint, run_identity, save_checkpoint
    from cellclr_lib.settings import to_dict

    folder = Path(training.folder)
    folder.mkdir(parents=True, exist_ok=True)
    with checkpoint.as_directory() as copy:
        contents = load_checkpoint(Path(copy) / "checkpoint.pt")
    contents |= {"run": run_identity(store, training), "config": to_dict(training)}
    save_checkpoint(folder / "checkpoint.pt", **contents)


def keep_to_share_of_gpu(share):
    """Wait until this trial's share of the GPU's memory is free, then take no more than that.

    To Ray, a fraction of a GPU is bookkeeping; this makes it a limit. Does nothing where torch finds no GPU.

    Raises
    ------
    RuntimeError
        If the memory does not come free.
    """
    import torch

    if not torch.cuda.is_available():
        return
    share = min(share, 1.0)
    deadline = time.monotonic() + WAIT_S
    while True:
        free, total = torch.cuda.mem_get_info()
        if free >= 0.9 * share * total:
            break
        if time.monotonic() > deadline:
            raise RuntimeError(
                f"only {free / 1e9:.1f} of {total / 1e9:.1f} GB are free on the GPU of this trial, which was "
                f"promised {share:.0%}; end what else uses it"
            )
        time.sleep(1.0)
    torch.cuda.set_per_process_memory_fraction(share)


def free_gpu():
    """Give back the memory that this trial held, so that the next one finds it."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
