"""Keep the results of a sweep for the book: ``python -m experiments.record_sweep sweeps/<name> --command "..."``.

Copies `results.csv` (without the paths of its checkpoints) and `history.csv` of a finished sweep to
`experiments/results/sweep.csv` and `sweep_history.csv`, and writes their provenance. Explained in chapter 8.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

from cellclr_lib.data import CropConfig, SimulationConfig
from cellclr_lib.learning import TrainConfig
from cellclr_lib.pipeline import cache, provenance
from cellclr_lib.settings import to_dict

RESULTS = Path(__file__).with_name("results")


def main(arguments=None):
    """Copy the tables and write the provenance; exit status 1 if there is no finished sweep."""
    parser = argparse.ArgumentParser(prog="python -m experiments.record_sweep", description=__doc__.split("\n")[0])
    parser.add_argument("sweep", type=Path, help="folder of a sweep on the default simulated screen")
    parser.add_argument("--command", required=True, help="how the sweep was started")
    options = parser.parse_args(arguments)
    tables = {name: options.sweep / f"{name}.csv" for name in ("results", "history")}
    if missing := [str(path) for path in tables.values() if not path.is_file()]:
        print(f"error: {', '.join(missing)}: no such file; has the sweep ended?", file=sys.stderr)
        return 1
    results, history = (pd.read_csv(path) for path in tables.values())
    results.drop(columns="checkpoint_path").to_csv(RESULTS / "sweep.csv", index=False, float_format="%.6g")
    history.to_csv(RESULTS / "sweep_history.csv", index=False, float_format="%.6g")
    provenance.write(
        RESULTS / "sweep.json",
        command=options.command,
        data="the default simulated screen",
        cells=len(cache.crops()),
        trials=len(results),
        simulation=to_dict(SimulationConfig()),
        cropping=to_dict(CropConfig()),
        training=to_dict(TrainConfig()),
    )
    print(f"wrote {RESULTS}/sweep.csv, sweep_history.csv and sweep.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
