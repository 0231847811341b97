"""Project measured rates to whole screens, for `benchmarks/SCALE.md`: BBBC021, and JUMP-CP as an estimate."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from speed.measure import CORES, RESULTS

SECONDS_PER_DAY, CLUSTER_CORES = 86_400, 1024
CROP_PX, FEATURES = 96, 2048
SCREENS = {"BBBC021": (450_000, 3), "JUMP-CP": (1_600_000_000, 5)}  # cells, channels
CELLS_PER_FIELD = 450_000 / 13_200  # of BBBC021, on average; taken for JUMP-CP too


@dataclass(frozen=True)
class Stage:
    """Name a stage of the pipeline and where its rate stands."""

    name: str
    row: str
    case: str  # beginning of the case
    cells_per_unit: float = 1.0
    by_channel: bool = False  # more channels cost more
    by_plate: bool = True  # plates can be done side by side


STAGES = (
    Stage("fields to crops", "crops", "24", CELLS_PER_FIELD, by_channel=True),
    Stage("one epoch, ResNet-18, bf16", "training_step", "bf16", by_plate=False),
    Stage("embedding, ResNet-18", "embedding", "resnet18"),
    Stage("profiles and scores", "profiles", "450,000"),
)


def sizes():
    """Tabulate what the screens take on disk, in Markdown."""
    lines = ["| | cells | crops, uint8: cells × channels × side² | features, float32 |", "|---|---|---|---|"]
    for name, (cells, channels) in SCREENS.items():
        crops, features = cells * channels * CROP_PX**2, cells * FEATURES * 4
        lines.append(
            f"| {name} | {cells:,} | {cells:,} × {channels} × {CROP_PX}² = {_bytes(crops)} "
            f"| {cells:,} × {FEATURES:,} × 4 = {_bytes(features)} |"
        )
    return "\n".join(lines)


def times(results=RESULTS):
    """Tabulate what each stage takes, in Markdown: measured rates, and estimates that say so."""
    lines = [
        f"| stage | measured on {CORES} cores | BBBC021 on {CORES} cores (estimate) "
        f"| JUMP-CP on {CORES} cores (estimate) | JUMP-CP on {CLUSTER_CORES:,} cores (estimate) |",
        "|---|---|---|---|---|",
    ]
    (small, few), (large, many) = SCREENS.values()
    for stage in STAGES:
        rate = _rate(Path(results) / f"{stage.row}.csv", stage.case)
        if rate is None:
            lines.append(f"| {stage.name} | not measured | | | |")
            continue
        rate *= stage.cells_per_unit
        seconds = large / rate * (many / few if stage.by_channel else 1)
        shared = _duration(seconds * CORES / CLUSTER_CORES) if stage.by_plate else ""
        lines.append(
            f"| {stage.name} | {rate:,.0f} cells/s | {_duration(small / rate)} | {_duration(seconds)} | {shared} |"
        )
    return "\n".join(lines)


def _rate(path, case):
    if not path.exists():
        return None
    table = pd.read_csv(path)
    found = table.loc[table["case"].str.startswith(case) & (table["variant"] == "cellclr"), "rate"]
    return None if found.empty else float(found.iloc[0])


def _bytes(count):
    return f"{count / 1e12:,.1f} TB" if count >= 1e12 else f"{count / 1e9:,.1f} GB"


def _duration(seconds):
    for unit, size in (("days", SECONDS_PER_DAY), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:.0f} s"
