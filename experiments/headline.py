"""Measure the table of the README and the preface: ``python -m experiments.headline``.

Pixel PCA, handcrafted features, an untrained encoder and SimCLR on the default simulated screen, three seeds, each
under four post-processings. Every setting is the library's default; nothing was chosen on these scores. Resumable:
what the cache holds is not made again.
"""

import argparse
import sys
import time
from pathlib import Path

import pandas as pd

from cellclr_lib.data import CropConfig, SimulationConfig
from cellclr_lib.learning import TrainConfig
from cellclr_lib.pipeline import cache, provenance
from cellclr_lib.profiles import aggregate_wells, postprocess, replicate_retrieval, tabulate_scores, week_accuracy
from cellclr_lib.settings import to_dict

REPOSITORY = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).with_name("results") / "headline.csv"
BEGIN, END = "<!-- {}: made by `python -m experiments.headline`, do not edit -->", "<!-- end of {} -->"
NAMES = {
    "pixel_pca": "pixel PCA",
    "handcrafted": "handcrafted features",
    "untrained": "untrained encoder",
    "simclr": "**SimCLR**",
}
SCORES = ("nsc", "nscb", "drop")
POSTS = {"none": "none", "z_score": "z-score", "whitening": "z-score, whitening", "tvn": "z-score, TVN"}


def main(arguments=None):
    """Score every method and seed; writes the table row by row and its provenance at the end."""
    parser = argparse.ArgumentParser(prog="python -m experiments.headline", description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default: 0 1 2")
    parser.add_argument("--out", type=Path, default=RESULTS, help="CSV to write")
    options = parser.parse_args(arguments)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    start, tables = time.time(), []
    for method in cache.METHODS:
        # Handcrafted features have no seed.
        for seed in options.seeds[:1] if method == "handcrafted" else options.seeds:
            meta, feats = cache.features(method, TrainConfig(seed=seed))
            table = tabulate_scores(meta, feats)
            well_meta, well_feats = aggregate_wells(meta, feats)
            for i, post in enumerate(table["post"]):
                processed = postprocess(well_meta, well_feats, post)
                table.loc[i, "retrieval"] = replicate_retrieval(well_meta, processed).accuracy
                table.loc[i, "week_accuracy"] = week_accuracy(well_meta, processed).accuracy
            table.insert(0, "method", method)
            table.insert(2, "seed", seed)
            tables.append(table)
            pd.concat(tables).to_csv(options.out, index=False, float_format="%.4f")
            print(f"[{(time.time() - start) / 60:5.1f} min] {method}, seed {seed}")
            print(table[["post", "nsc", "nscb", "drop", "retrieval"]].round(3).to_string(index=False), flush=True)
    provenance.write(
        options.out.with_suffix(".json"),
        command="python -m experiments.headline",
        data="the default simulated screen",
        cells=len(meta),
        minutes=round((time.time() - start) / 60, 1),
        simulation=to_dict(SimulationConfig()),
        cropping=to_dict(CropConfig()),
        training=to_dict(TrainConfig()),
    )
    if options.out == RESULTS:
        write_documents()
    print(f"wrote {options.out}")


def write_documents():
    """Write the tables of the README and of `experiments/README.md` from the results."""
    table = pd.read_csv(RESULTS)
    for name, text, document in (
        ("summary", summary(table), REPOSITORY / "README.md"),
        ("headline", markdown(table), REPOSITORY / "experiments" / "README.md"),
    ):
        begin, end = BEGIN.format(name), END.format(name)
        before, rest = document.read_text().split(begin)
        document.write_text(f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}")


def summary(table):
    """Mean NSC and NSCB over seeds in percent, after two post-processings, one row per kind of features."""
    means = 100 * table.groupby(["method", "post"], sort=False)[["nsc", "nscb"]].mean()
    shown = ("z_score", "whitening")
    lines = [
        f"Default simulated screen, {table['seed'].nunique()} seeds, percent (NSC / NSCB):",
        "",
        f"| features | {' | '.join(POSTS[post] for post in shown)} |",
        "|---|---|---|",
    ]
    for method in means.index.unique("method"):
        rows = (means.loc[method, post] for post in shown)
        cells = " | ".join(f"{row['nsc']:.1f} / {row['nscb']:.1f}" for row in rows)
        lines.append(f"| {NAMES[method]} | {cells} |")
    chance = 100 * table[["nsc_chance", "nscb_chance"]].mean()
    lines.append(f"| chance | {chance['nsc_chance']:.1f} / {chance['nscb_chance']:.1f} | |")
    return "\n".join(lines)


def markdown(table):
    """Tabulate all results: means over seeds of scores and interval ends, in percent."""
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
