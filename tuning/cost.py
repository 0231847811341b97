"""Estimate what a sweep will cost before it starts."""

import torch

from tuning.space import is_range

WATCHING = 7 / 6  # a training step passes a cell forward twice and back twice; scoring it passes it forward once


def describe(plan, cells, probes, at_once, folder):
    """Write the plan, its trials and its cost in a few lines of text.

    Parameters
    ----------
    plan : Plan
    cells : int
        In the store.
    probes : dict of Probe
        By size of training.
    at_once : int
        Trials at a time.
    folder : Path
    """
    varied = " × ".join(f"{name} {_values(values)}" for name, values in plan.space.items())
    lines = [
        f"{plan.count} trials: {varied} × seed {', '.join(map(str, plan.seeds))}"
        + (f" ({plan.search} search)" if plan.search != "grid" else ""),
        f"  each sees {plan.cells:,} cells, {plan.training.epochs} epochs of {plan.training.cells_per_epoch:,} "
        f"from a store of {cells:,}" + (f"; scheduler {plan.scheduler}" if plan.scheduler != "none" else ""),
    ]
    slowest = max(probe.seconds_per_cell for probe in probes.values())
    mean = sum(probe.seconds_per_cell for probe in probes.values()) / len(probes)
    minutes = plan.cells * WATCHING * mean / 60
    early = ", less what is stopped early" if plan.scheduler == "asha" else ""
    lines.append(
        f"  about {minutes * plan.count / at_once:.1f} min{early}: {minutes:.1f} min a trial ({1000 * mean:.1f} "
        f"ms a cell, measured just now), {at_once} at a time on {_place(plan)}"
    )
    if slowest > 1.5 * mean:
        lines.append(f"  the slowest size takes {1000 * slowest:.1f} ms a cell")
    for name, chunk in plan.chunk_cells.items():
        lines.append(f"  does not fit into the memory of a trial, so taken {chunk} cells at a time: {name}")
    return "\n".join([*lines, f"  → {folder}"])


def _values(values):
    if is_range(values):
        return f"{values['low']:g} to {values['high']:g}"
    return "{" + ", ".join(str(value) for value in values) + "}"


def _place(plan):
    if not plan.gpus_per_trial:
        return f"{plan.cpus_per_trial:g} CPU each"
    found = "" if torch.cuda.is_available() else " (torch finds none on this machine)"
    return f"{plan.cpus_per_trial:g} CPU and {plan.gpus_per_trial:g} GPU each{found}"
