"""Tabulate finished trials: one row per trial, one per trial and epoch, one per setting, and the best.

Trials are ranked on replicate retrieval, which knows no mechanism; NSC and NSCB are shown beside it.
"""

from pathlib import Path

import pandas as pd
import ray

from cellclr_lib.settings import save_yaml
from tuning.cluster import last_line
from tuning.score import known, score

LAST = ["week_accuracy", "nsc", "nscb", "loss", "top1", "epoch", "cells_seen", "seconds"]
TAIL = ["checkpoint_path", "trial", "error"]


def scores_of(checkpoints, plan):
    """Score each checkpoint; an exception stands in the place of one that failed.

    A trial that ends scores itself. Those that were stopped early are scored here, where they ran.
    """
    task = ray.remote(num_cpus=plan.cpus_per_trial, num_gpus=plan.gpus_per_trial)(score)
    device = "auto" if plan.gpus_per_trial else "cpu"
    found = [known(path) or task.remote(path, str(plan.store), device) for path in checkpoints]
    for i, scores in enumerate(found):
        try:
            found[i] = scores if isinstance(scores, dict) else ray.get(scores)
        except ray.exceptions.RayError as error:
            found[i] = RuntimeError(f"NSC of {checkpoints[i]}: {last_line(error)}")
    return found


def tables(grid, plan, runs):
    """Collect the results and the history of a sweep.

    Parameters
    ----------
    grid : ray.tune.ResultGrid
    plan : Plan
    runs : Path
        Folder of the trials' folders.

    Returns
    -------
    results : DataFrame
        One row per trial: its settings, ``retrieval``, the columns of `LAST` and `TAIL`. Those with the whole
        budget come first, best retrieval first; failed ones last, with their error.
    history : DataFrame
        One row per trial and epoch: the trial's history and its settings.
    """
    rows, curves = [], []
    for result in grid:
        trial = (result.metrics or {}).get("trial_id", "")
        file = Path(runs) / trial / "history.csv"
        history = pd.read_csv(file) if trial and file.exists() else pd.DataFrame()
        row = dict(result.config) | {"retrieval": None} | dict.fromkeys(LAST)
        if len(history):
            row |= {name: history[name].iloc[-1] for name in row if name in history}
            row["checkpoint_path"] = str(file.with_name("checkpoint.pt"))
            curves.append(history.assign(**result.config, trial=trial))
        rows.append(row | {"trial": trial, "error": last_line(result.error) if result.error else ""})
    results = pd.DataFrame(rows).reindex(columns=[*plan.space, "seed", "retrieval", *LAST, *TAIL])
    scored = results.index[results["checkpoint_path"].notna()]
    for i, scores in zip(scored, scores_of(list(results.loc[scored, "checkpoint_path"]), plan), strict=True):
        if isinstance(scores, dict):
            results.loc[i, list(scores)] = list(scores.values())
        elif not results.loc[i, "error"]:
            results.loc[i, "error"] = str(scores)
    finished = (results["error"] == "") & (results["epoch"] == plan.training.epochs)
    order = results.assign(finished=finished).sort_values(
        ["finished", "retrieval", "week_accuracy"],
        ascending=[False, False, True],
        na_position="last",
        kind="stable",
    )
    history = (
        pd.concat(curves, ignore_index=True) if curves else pd.DataFrame(columns=["epoch", *plan.space, "seed"])
    )
    return order.drop(columns="finished").reset_index(drop=True), history


def ranking(results, plan):
    """Tabulate the settings that finished: means over seeds, the spread of retrieval, best first."""
    fine = results[(results["error"] == "") & (results["epoch"] == plan.training.epochs)]
    names = [*plan.space]
    groups = fine.groupby([fine[name].astype(str) if fine[name].dtype == object else fine[name] for name in names])
    means = groups[["retrieval", "week_accuracy", "nsc", "nscb"]].mean()
    means.insert(1, "lowest", groups["retrieval"].min())
    means.insert(2, "highest", groups["retrieval"].max())
    means.insert(3, "trials", groups.size())
    return means.sort_values(["retrieval", "week_accuracy"], ascending=[False, True]).reset_index()


def agreement(results):
    """Compute Spearman's rank correlation of retrieval with NSC and with NSCB over the trials that have both."""
    fine = results[results["error"] == ""]
    both = {name: fine[["retrieval", name]].dropna() for name in ("nsc", "nscb")}
    # By ranks, since scipy's own function warns where a score is constant.
    return {name: pair["retrieval"].rank().corr(pair[name].rank()) for name, pair in both.items()}


def save_best(results, ranked, plan, folder):
    """Write the best settings to ``best.yaml`` in `folder`; returns the file and the command to train with it."""
    best = results[(results["error"] == "") & (results["epoch"] == plan.training.epochs)]
    for name in plan.space:
        best = best[best[name].astype(str) == str(ranked[name].iloc[0])]
    settings = {name: _plain(best[name].iloc[0]) for name in [*plan.space, "seed"]}
    file = save_yaml(plan.training_of(settings), Path(folder) / "best.yaml")
    command = f"python -m cellclr_lib train {plan.store} --config {file} --folder {Path(folder) / 'best'}"
    return file, command


def _plain(value):
    return value.item() if hasattr(value, "item") else value
