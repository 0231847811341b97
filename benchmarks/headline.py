"""The table of the README and the preface: ``python benchmarks/headline.py``.

Pixel PCA, hand-made features, an untrained encoder and SimCLR on the default simulated screen, three seeds, each
under four post-processings. Every setting is the library's default; nothing was chosen on these scores. Resumable:
what the cache holds is not made again.
"""

import argparse
import sys
import time
from pathlib import Path

import pandas as pd
import provenance

from cellclr_lib import artifacts
from cellclr_lib.config import to_dict
from cellclr_lib.data import CropConfig, SimulationConfig
from cellclr_lib.learning import TrainConfig
from cellclr_lib.profiles import batch_predictability, replicate_retrieval, report, wells
from cellclr_lib.profiles.report import postprocess

REPOSITORY = Path(__file__).resolve().parent.parent
RESULTS = REPOSITORY / "book" / "results" / "headline.csv"
BEGIN, END = "<!-- headline: made by `python benchmarks/headline.py`, do not edit -->", "<!-- end of headline -->"
NAMES = {
    "pixel_pca": "pixel PCA",
    "handmade": "hand-made features",
    "untrained": "untrained encoder",
    "simclr": "**SimCLR**",
}
SCORES = ("nsc", "nscb", "drop")
POSTS = {"none": "none", "standardised": "z-score", "whitening": "z-score, whitening", "tvn": "z-score, TVN"}


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
        simulation=to_dict(SimulationConfig()),
        cropping=to_dict(CropConfig()),
        training=to_dict(TrainConfig()),
    )
    if options.out == RESULTS:
        readme = REPOSITORY / "README.md"
        before, rest = readme.read_text().split(BEGIN)
        readme.write_text(f"{before}{BEGIN}\n{markdown(pd.read_csv(RESULTS))}\n{END}{rest.split(END)[1]}")
    print(f"wrote {options.out}")


def markdown(table):
    """The results as the README shows them: means over seeds of scores and interval ends, in percent."""
    lines = [
        f"Default simulated screen, {table['seed'].nunique()} seeds: accuracy in percent, mean over seeds, with "
        "its 95 % interval over compounds.",
        "",
        f"| features | post-processing | NSC /{table['nsc_total'].iloc[0]} | NSCB /{table['nscb_total'].iloc[0]} "
        "| drop | replicate retrieval |",
        "|---|---|---|---|---|---|",
    ]
    means = table.groupby(["method", "post"], sort=False).mean()
    for (method, post), row in (100 * means).iterrows():
        cells = [f"{row[name]:.1f} [{row[name + '_low']:.0f}, {row[name + '_high']:.0f}]" for name in SCORES]
        lines.append(f"| {NAMES[method]} | {POSTS[post]} | {' | '.join(cells)} | {row['retrieval']:.1f} |")
    chance = 100 * table[["nsc_chance", "nscb_chance"]].mean()
    lines.append(f"| chance | | {chance['nsc_chance']:.1f} | {chance['nscb_chance']:.1f} | | |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
