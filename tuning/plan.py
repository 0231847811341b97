"""Hold the plan of a sweep: everything that decides its trials, saved as ``plan.yaml`` beside its results."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from cellclr_lib.learning import TrainConfig
from cellclr_lib.profiles import aggregate_wells, replicate_retrieval
from tuning.space import common_budget, grid, is_range, sample, training_of

COLUMNS = ("plate", "well", "batch", "compound", "concentration_um")  # of the store: what retrieval needs
MEMORY_FIELDS = (
    "encoder",
    "stem",
    "input_px",
    "projection",
    "batch_size",
)  # of a training: what its size depends on


@dataclass(frozen=True)
class Plan:
    """Set what a sweep does. Explained in chapter 8, *tuning*.

    Raises
    ------
    ValueError
        If its parts do not go together; says what to change.
    """

    store: Path  # folder of the cell store that all trials read
    training: TrainConfig  # of every trial, but for what the space varies
    space: dict  # parameter -> list of values or range; see `tuning.space`
    seeds: tuple[int, ...] = (0,)  # every setting once per seed
    search: Literal["grid", "random", "optuna"] = "grid"
    scheduler: Literal["none", "asha", "pbt"] = "none"
    num_samples: int | None = None  # settings that random search draws, or Optuna suggests
    cpus_per_trial: float = 1.0  # processors, and threads, of each trial
    gpus_per_trial: float = 0.0  # a fraction shares a GPU and limits the memory to that share
    max_concurrent: int | None = None  # trials at a time; None: as many as there is room for
    chunk_cells: dict = field(default_factory=dict)  # size of a training -> chunk, where the batch does not fit

    def __post_init__(self):
        ranges = [name for name, values in self.space.items() if is_range(values)]
        if self.search == "grid" and ranges:
            raise ValueError(
                f"a grid needs lists, but {ranges[0]!r} is a range; give a list, or --search random or optuna"
            )
        if self.search == "grid" and self.num_samples is not None:
            raise ValueError("--num-samples goes with --search random or optuna; repeat a grid with --seeds")
        if self.search == "optuna" and len(self.seeds) > 1:
            raise ValueError(
                "--search optuna takes one seed; repeat its best settings as a grid with more --seeds"
            )
        if self.search == "optuna" and self.scheduler == "pbt":
            raise ValueError("--scheduler pbt changes settings itself; take --search grid or random with it")
        if is_range(self.space["batch_size"]):
            raise ValueError("batch_size must be a list: only then can all trials see the same number of cells")

    @cached_property
    def trials(self):
        """List the settings of every trial, a list of dicts; None where Optuna suggests them one after another."""
        if self.search == "grid":
            return grid(self.space, self.seeds)
        if self.search == "random":
            return sample(self.space, self.num_samples, self.seeds, np.random.default_rng(self.seeds[0]))
        return None

    @property
    def count(self):
        """Number of trials."""
        return self.num_samples if self.trials is None else len(self.trials)

    @property
    def cells(self):
        """Cells that every trial sees, unless it is stopped early."""
        return self.training.epochs * self.training.cells_per_epoch

    def training_of(self, settings):
        """Return the `TrainConfig` of a trial, in chunks if its batch is too large for the memory."""
        training = training_of(settings, self.training)
        chunk = self.chunk_cells.get(size_name(training))
        return training_of(settings | {"chunk_cells": chunk}, self.training) if chunk else training

    def sizes(self):
        """List trainings that differ in how much memory they need: name -> one `TrainConfig` of that size."""
        examples = grid(
            {name: [values["low"]] if is_range(values) else values for name, values in self.space.items()},
            self.seeds[:1],
        )
        trainings = [training_of(settings, self.training) for settings in examples]
        return {size_name(training): training for training in trainings}


def size_name(training):
    """Write what the memory of a training depends on, as text."""
    return ", ".join(f"{name} {getattr(training, name)}" for name in MEMORY_FIELDS)


def with_budget(training, store, space):
    """Return `training` with as many cells per epoch as every batch size of the space divides.

    Raises
    ------
    ValueError
        If the space does not make trainings, or its batch sizes share no budget.
    """
    cells = common_budget(space["batch_size"], min(training.cells_per_epoch or len(store), len(store)))
    return replace(training, cells_per_epoch=cells)


def check_store(store):
    """Raise ValueError unless trials on this `CellStore` can be ranked by replicate retrieval."""
    if missing := [name for name in COLUMNS if name not in store.table]:
        raise ValueError(
            f"{store.path / 'cells.parquet'} lacks the columns {', '.join(missing)}; trials are ranked by "
            "replicate retrieval, which needs the plate map: cut the crops again from a screen with its tables"
        )
    noise = np.random.default_rng(0).standard_normal((len(store), 2))
    if not replicate_retrieval(*aggregate_wells(store.table, noise)).total:
        raise ValueError(
            f"{store.path}: no treatment stands on two plates of one week, so nothing ranks the trials; "
            "take a store with replicate plates"
        )
