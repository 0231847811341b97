"""Is the simulated screen as hard as the real one? Asked of methods that learn nothing from it.

The real sample holds 1,996 crops of 68 px in 543 wells. A draw simulates the same wells with another seed and
cuts as many crops of the same size from each. Both go through the same steps: 8 bits between percentiles of each
plate and channel, features of every crop, mean per well, z-score over all wells, median per treatment, NSC and
NSCB. The real score of each method must lie within the central 90 % of the draws. The difficulty settings of
`SimulationConfig` were tuned until it did and then frozen, before any training on simulated crops. How cells look
was tuned later (`simulation_vs_real.py`), before any training on such cells; the settings held.

    python -m experiments.calibrate_simulation            # all draws, the record in experiments/results/
    python -m experiments.calibrate_simulation --draws 4 --out /some/folder

Taxol 0.3 uM counts in its dose-series wells only; its control wells are left out of both.
"""

import argparse
import dataclasses
import json
import os
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from tqdm import tqdm

from cellclr_lib.baselines.handcrafted import handcrafted_features
from cellclr_lib.baselines.untrained import untrained_features
from cellclr_lib.data.simulation import SimulationConfig, plate_map, simulate_field
from cellclr_lib.pipeline.provenance import provenance
from cellclr_lib.profiles import ZScore, aggregate_treatments, aggregate_wells, nsc, nscb
from experiments.real_sample import CROP_PX, HIGH_PERCENTILE, LOW_PERCENTILE, read_real_crops, scaled

REPOSITORY = Path(__file__).resolve().parent.parent
FIELD_PX = (160, 208, 288, 448)  # a well is drawn in the smallest of these that should hold enough cells
FIRST_SEED = 2000  # of the draws; no other simulation of the project uses these seeds
CENTRAL = 0.90  # share of the draws between which the real score must lie
# Real crops are not all centred: half lie within 2 px of their nucleus, the others 10 px off or so (measured).
STRAY_SHARE, STRAY_PX, JITTER_PX = 0.45, 8.0, 1.3
METHODS = ("handcrafted", "untrained")
DIFFICULTY = (
    "area_per_cell_px2",
    "phenotype_strength",
    "compound_deviation",
    "responding",
    "cell_variation",
    "week_effect",
    "plate_effect",
    "well_effect",
    "out_of_focus",
    "debris",
)


def simulated_crops(config, table):
    """As many crops from each well as `table` has rows for it, from a screen simulated with `config`."""
    all_wells = plate_map.wells(config).set_index(["plate", "well"], drop=False)
    images = np.empty((len(table), 3, CROP_PX, CROP_PX), np.uint16)
    for (plate, well), rows in table.groupby(["plate", "well"]):
        field = all_wells.loc[(plate, well)].copy()
        rng = plate_map.generator(config, "crops", plate, well)
        crops, site = [], 0
        while len(crops) < len(rows):
            site += 1
            missing = len(rows) - len(crops)
            field["site"] = site
            inside = [(side - CROP_PX - 12) ** 2 / config.area_per_cell_px2 for side in FIELD_PX]
            side = FIELD_PX[min(np.searchsorted(inside, 2.0 * missing), len(FIELD_PX) - 1)]
            image, cells = simulate_field(dataclasses.replace(config, field_px=(side, side)), field)
            crops += _cut(image // 16, cells, rng)[:missing]
        images[rows.index] = crops
    return images


def _cut(image, cells, rng):
    """Squares around cells and debris, in random order, centred as loosely as the real ones."""
    half, side = CROP_PX // 2, image.shape[1]
    crops = []
    for cell in cells.sample(frac=1, random_state=rng).itertuples():
        spread = STRAY_PX if rng.random() < STRAY_SHARE else JITTER_PX
        y, x = np.rint(np.array([cell.y_px, cell.x_px]) + rng.normal(0, spread, 2)).astype(int)
        if half <= y <= side - half and half <= x <= side - half:
            crops.append(image[:, y - half : y + half, x - half : x + half])
    return crops


def scores(images, table):
    """NSC and NSCB (correct answers) of every method: {method: (nsc, nscb)}."""
    eight_bit = scaled(images, table["plate"])
    out = {}
    for method in METHODS:
        if method == "handcrafted":
            feats = handcrafted_features(eight_bit, workers=1)
        else:
            import torch

            torch.set_num_threads(1)
            feats = untrained_features(eight_bit)
        meta, profiles = aggregate_wells(table, feats)
        profiles = ZScore(rows="all").fit(meta, profiles).transform(meta, profiles)
        meta, profiles = aggregate_treatments(meta, profiles)
        first, second = nsc(meta, profiles), nscb(meta, profiles)
        assert (first.total, second.total) == (103, 92), (first.total, second.total)
        out[method] = (first.correct, second.correct)
    return out


def _draw(config, table):
    return scores(simulated_crops(config, table), table)


def run(config, folder, draws, processes):
    """Score the real crops and `draws` simulated ones: one row per draw and method, draw "real" first."""
    images, table = read_real_crops(folder)
    results = [("real", scores(images, table))]
    seeded = (dataclasses.replace(config, seed=FIRST_SEED + draw) for draw in range(draws))
    drawn = joblib.Parallel(n_jobs=processes, return_as="generator")(
        joblib.delayed(_draw)(one, table) for one in seeded
    )
    results += [(str(draw), result) for draw, result in enumerate(tqdm(drawn, total=draws, desc="draws"))]
    rows = [(draw, method, *result[method]) for draw, result in results for method in METHODS]
    return pd.DataFrame(rows, columns=["draw", "method", "nsc", "nscb"])


def verdict(table):
    """For each method and score: the real value, the central range of the draws, and whether it lies within."""
    tail = 100 * (1 - CENTRAL) / 2
    out = {}
    for method, rows in table.groupby("method", sort=False):
        out[method] = {}
        for score, total in (("nsc", 103), ("nscb", 92)):
            real = int(rows.loc[rows["draw"] == "real", score].iloc[0])
            drawn = rows.loc[rows["draw"] != "real", score]
            low, median, high = np.percentile(drawn, (tail, 50, 100 - tail))
            out[method][score] = dict(
                real=real,
                total=total,
                low=float(low),
                median=float(median),
                high=float(high),
                within=bool(low <= real <= high),
            )
    return out


def main():
    """Measure the draws and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--real", type=Path, help="folder of the real crops; default: as the tests look for it")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results"))
    options = parser.parse_args()
    places = [Path(os.environ["CELLCLR_DATA"]) / "bbbc021"] if os.environ.get("CELLCLR_DATA") else []
    places += [REPOSITORY.parent / "shared" / "real" / "bbbc021"]
    folder = options.real or next((place for place in places if (place / "crops.npz").exists()), None)
    if folder is None:
        parser.error("no real crops: set CELLCLR_DATA or give --real FOLDER (with crops.npz and crops.csv)")
    config = SimulationConfig()
    table = run(config, folder, options.draws, options.processes)
    found = verdict(table)
    record = {
        "difficulty": {name: getattr(config, name) for name in DIFFICULTY},
        "draws": options.draws,
        "seeds": [FIRST_SEED, FIRST_SEED + options.draws - 1],
        "central": CENTRAL,
        "scores": found,
        "holds": all(score["within"] for method in found.values() for score in method.values()),
        "steps": f"crops of {CROP_PX} px, as many per well as in the real sample, taxol 0.3 uM in its dose series "
        f"only; 8 bits between percentiles {LOW_PERCENTILE} and {HIGH_PERCENTILE} of each plate and "
        "channel; mean per well; z-score over all wells; median per treatment; strict protocol",
    }
    record = provenance(**record)
    options.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.out / "calibration.csv", index=False)
    (options.out / "calibration.json").write_text(json.dumps(record, indent=2) + "\n")
    raise SystemExit(0 if record["holds"] else 1)


if __name__ == "__main__":
    main()
