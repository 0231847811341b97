"""The table of the README and the preface: ``python benchmarks/headline.py``.

Pixel PCA, hand-made features, an untrained encoder and SimCLR on the default simulated screen, three seeds, each
under four post-processings. Every setting is the library's default; nothing was chosen on these scores. Resumable:
what the cache holds is not made again.
"""

import argparse
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import provenance

from cellclr_lib import artifacts
from cellclr_lib.data import CropConfig, SimulationConfig
from cellclr_lib.learning import TrainConfig
from cellclr_lib.profiles import batch_predictability, replicate_retrieval, report, wells
from cellclr_lib.profiles.report import postprocess

RESULTS = Path(__file__).resolve().parent.parent / "book" / "results" / "headline.csv"


def main(arguments=None):
    """Score every method and seed; writes the table row by row and its provenance at the end."""
    parser = argparse.ArgumentParser(prog="python benchmarks/headline.py", description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default: 0 1 2")
    parser.add_argument("--out", type=Path, default=RESULTS, help="CSV to write")
    options = parser.parse_args(arguments)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    start, tables = time.time(), []
    for method in artifacts.METHODS:
        # Hand-made features have no seed.
        for seed in options.seeds[:1] if method == "handmade" else options.seeds:
            meta, feats = artifacts.features(method, seed=seed)
            table = report(meta, feats)
            well_meta, well_feats = wells(meta, feats)
            for i, post in enumerate(table["post"]):
                processed = postprocess(well_meta, well_feats, post)
                table.loc[i, "retrieval"] = replicate_retrieval(well_meta, processed).accuracy
                table.loc[i, "week_from_dmso"] = batch_predictability(well_meta, processed).accuracy
            table.insert(0, "method", method)
            table.insert(2, "seed", seed)
            tables.append(table)
            pd.concat(tables).to_csv(options.out, index=False, float_format="%.4f")
            print(f"[{(time.time() - start) / 60:5.1f} min] {method}, seed {seed}")
            print(table[["post", "nsc", "nscb", "drop", "retrieval"]].round(3).to_string(index=False), flush=True)
    provenance.write(
        options.out.with_suffix(".json"),
        command="python benchmarks/headline.py",
        data="the default simulated screen",
        cells=len(meta),
        minutes=round((time.time() - start) / 60, 1),
        simulation=asdict(SimulationConfig()),
        cropping=asdict(CropConfig()),
        training=asdict(TrainConfig()),
    )
    print(f"wrote {options.out}")


if __name__ == "__main__":
    sys.exit(main())
