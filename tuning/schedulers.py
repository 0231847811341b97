"""Schedulers that stop or copy trials, and write down every decision with the numbers that it rests on.

Ray does not save its schedulers: after a restart its ASHA has forgotten all rungs. Here the log is the memory, so
a resumed sweep decides as if it had never stopped, and anybody can check each decision (`inconsistent`).
"""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
from ray import tune
from ray.tune.schedulers import ASHAScheduler, PopulationBasedTraining, TrialScheduler

from tuning.space import is_range

KEEP = 3  # ASHA lets the best 1 / KEEP of a rung go on
QUANTILE = 0.25  # PBT replaces trials of the lowest quarter by copies from the highest
DECISIONS = "decisions.csv"  # in the folder of the sweep
RUNG_COLUMNS = ["trial", "rung", "retrieval", "cutoff", "decision"]
COPY_COLUMNS = ["trial", "cells_seen", "retrieval", "donor", "donor_retrieval", "before", "after"]


def scheduler_of(plan, log):
    """Build the scheduler of a plan, or None; it writes its decisions to the CSV file `log`.

    The budget of both is counted in cells seen, so a large batch, with fewer steps, is not judged later.
    """
    if plan.scheduler == "asha":
        return LoggedASHA(log, plan.training.cells_per_epoch, plan.cells)
    if plan.scheduler == "pbt":
        return LoggedPBT(log, plan.training.cells_per_epoch, plan.cells, mutations(plan))
    return None


class LoggedASHA(ASHAScheduler):
    """Asynchronous successive halving with its rungs in a file.

    The first rung is one epoch; each next one is `KEEP` times as far. A trial stops at a rung if it is worse than
    the best 1 / `KEEP` of those that came there before.
    """

    def __init__(self, log, epoch_cells, cells):
        super().__init__(
            time_attr="cells_seen", grace_period=epoch_cells, max_t=cells, reduction_factor=KEEP,
            stop_last_trials=False,
        )  # fmt: skip
        self.log, self.stopped = Path(log), None

    def on_trial_result(self, tune_controller, trial, result):
        """Continue or stop; Ray's rule on the rungs of the log."""
        (bracket,) = self._brackets
        if self.stopped is None:
            self._recall(bracket)
        if trial.trial_id in self.stopped:  # killed between the decision and the end, see `tuning.trial`
            return TrialScheduler.STOP
        before = {rung: dict(recorded) for rung, recorded in bracket._rungs}
        decision = super().on_trial_result(tune_controller, trial, result)
        for rung, recorded in bracket._rungs:
            if trial.trial_id in recorded and trial.trial_id not in before[rung]:
                cutoff = bracket.cutoff(before[rung])
                row = [trial.trial_id, int(rung), result["retrieval"], cutoff, decision]
                _append(self.log, RUNG_COLUMNS, row)
        return decision

    def _recall(self, bracket):
        """Fill the rungs from the log of the sweep before it was interrupted."""
        log = read_log(self.log, RUNG_COLUMNS)
        self.stopped = stopped(log)
        for rung, recorded in bracket._rungs:
            past = log[log["rung"] == int(rung)]
            recorded.update(zip(past["trial"], past["retrieval"], strict=True))


class LoggedPBT(PopulationBasedTraining):
    """Population-based training with every copy in a file."""

    def __init__(self, log, epoch_cells, cells, mutations):
        super().__init__(
            time_attr="cells_seen", perturbation_interval=epoch_cells, hyperparam_mutations=mutations,
            quantile_fraction=QUANTILE, resample_probability=0.0, log_config=False,
        )  # fmt: skip
        self.log, self.cells = Path(log), cells

    def on_trial_result(self, tune_controller, trial, result):
        """Go on, pause for others or become a copy; a trial that has seen all its cells ends as it is."""
        if result["cells_seen"] >= self.cells:
            return TrialScheduler.CONTINUE
        return super().on_trial_result(tune_controller, trial, result)

    def _exploit(self, tune_controller, trial, trial_to_clone):
        state, donor = self._trial_state[trial], self._trial_state[trial_to_clone]
        row = [trial.trial_id, int(state.last_train_time), state.last_score]  # Ray overwrites them in a moment
        row += [trial_to_clone.trial_id, donor.last_score, self._settings(trial)]
        super()._exploit(tune_controller, trial, trial_to_clone)
        _append(self.log, COPY_COLUMNS, [*row, self._settings(trial)])

    def _settings(self, trial):
        return " ".join(f"{name}={trial.config[name]:.4g}" for name in self._hyperparam_mutations)


def mutations(plan):
    """List what PBT changes: the temperature and every range; all else, the batch size too, is copied."""
    domains = {}
    for name, values in plan.space.items():
        if is_range(values):
            domains[name] = domain(values)
        elif name == "temperature":
            domains[name] = tune.loguniform(min(values), max(values) * 1.001)
    return domains


def domain(values):
    """Convert a list or range of the space to Ray's."""
    if not is_range(values):
        return tune.choice(values)
    return (tune.loguniform if values.get("log") else tune.uniform)(values["low"], values["high"])


def inconsistent(log):
    """Decisions in the log of ASHA that do not follow from the rows above them: a DataFrame, empty if all do.

    A trial must stop at a rung exactly if its retrieval is below the cutoff, the (1 - 1 / `KEEP`) quantile of the
    retrievals that were recorded there before.
    """
    table = read_log(log, RUNG_COLUMNS)
    wrong = []
    for place, row in table.iterrows():
        past = table.iloc[:place]
        past = past[past["rung"] == row["rung"]]
        cutoff = np.percentile(past["retrieval"], 100 * (1 - 1 / KEEP)) if len(past) else -np.inf
        stopped = row["decision"] == TrialScheduler.STOP
        wrong.append(stopped != (row["retrieval"] < cutoff) or row["trial"] in set(past["trial"]))
    return table[np.array(wrong, dtype=bool)]


def stopped(log):
    """Name the trials that a log of ASHA, as read, has stopped."""
    return set(log.loc[log["decision"] == TrialScheduler.STOP, "trial"]) if "decision" in log else set()


def was_stopped(log, trial):
    """Test whether the file `log` says that a trial was to be stopped."""
    return trial in stopped(read_log(log, RUNG_COLUMNS))


def read_log(log, columns):
    """Read the decisions written so far, an empty table if there are none."""
    if not Path(log).exists():
        return pd.DataFrame(columns=columns)
    return pd.read_csv(log, dtype={"trial": str, "donor": str})  # some names look like numbers


def _append(log, columns, row):
    new = not log.exists()
    with log.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(columns)
        writer.writerow(row)
