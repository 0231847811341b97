"""Compare simulated with real crops: ``python -m experiments.simulation_vs_real --data FOLDER``.

The real sample (1,294 of its 1,996 crops of 68 px, without the taxol control wells) against a simulated draw of
the same wells with as many crops each: light, nuclei, detail, correlation of the stains, and a classifier that
tells real from simulated. A second draw, from another seed, is compared with the first one in the same way: what
two draws differ by is no gap. Then features of both, those of the encoder among them that was trained on nothing
but the default simulated screen, are scored on the real and on the simulated crops.

Only numbers that describe hundreds of cells are written. Explained in chapter 9, *the real screen*.
"""

import argparse
import dataclasses
import sys
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from cellclr_lib.baselines import handcrafted_features, untrained_features
from cellclr_lib.baselines.handcrafted import feature_names
from cellclr_lib.data import domain_gap
from cellclr_lib.data.simulation import SimulationConfig
from cellclr_lib.learning import embed_images
from cellclr_lib.learning.embedding import load_encoder
from cellclr_lib.pipeline import cache, provenance
from cellclr_lib.profiles import tabulate_scores
from cellclr_lib.settings import to_dict
from experiments.calibrate_simulation import simulated_crops
from experiments.real_sample import CROP_PX, read_real_crops, scaled

RESULTS = Path(__file__).with_name("results")
CHANNELS = ("dna", "tubulin", "actin")
SEEDS = {"simulated": 3010, "again": 3011}  # of the two draws; the simulator was tuned on others
SETS = ("real", *SEEDS)
UNTRAINED_SEEDS = (0, 1, 2)
INPUT_PX = CROP_PX // 2  # the magnification of the training, which averages 96 px down to 48
LEADING = 10  # features shown on which the classifier leans most
# What a draw of today's simulator stays within, as `gaps` counts. The classifier has no bound: it hardly errs.
BOUNDS = {
    "intensity, dna": 1.6,
    "intensity, tubulin": 1.9,
    "intensity, actin": 1.5,
    "nucleus diameter_px, dna": 1.6,
    "nucleus intensity, dna": 1.6,
    "spectrum, dna": 1.9,
    "spectrum, tubulin": 2.0,
    "spectrum, actin": 2.5,
    "pixel correlation, dna-tubulin": 0.15,
    "pixel correlation, dna-actin": 0.2,
    "pixel correlation, tubulin-actin": 0.3,
    "total correlation, dna-tubulin": 0.2,
    "total correlation, dna-actin": 0.25,
    "total correlation, tubulin-actin": 0.15,
}


def main(arguments=None):
    """Write four tables and their provenance."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with crops.npz and crops.csv")
    parser.add_argument(
        "--out", type=Path, default=RESULTS, help="folder for the tables; default: experiments/results"
    )
    parser.add_argument(
        "--checkpoint", type=Path, help="encoder to score; default: the book's, trained if need be"
    )
    options = parser.parse_args(arguments)
    if not (options.data / "crops.npz").exists():
        parser.error(f"{options.data} holds no crops.npz: give the folder of the real crops and their crops.csv")
    start = time.time()
    encoder, training = load_encoder(options.checkpoint or cache.checkpoint().checkpoint)
    images, table = read_real_crops(options.data)
    crops = {"real": images} | {name: draw(seed, table) for name, seed in SEEDS.items()}
    eight_bit = {name: scaled(images, table["plate"]) for name, images in crops.items()}
    feats = {name: handcrafted_features(images, channels=CHANNELS) for name, images in eight_bit.items()}
    measured = measure(crops, table["plate"])
    told = told_apart(feats, table["plate"])
    tables = {
        "": measured,
        "_classifier": told,
        "_features": leading_features(feats, table["plate"]),
        "_scores": scores(eight_bit, feats, table, encoder, training["seed"]),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        rows.to_csv(options.out / f"simulation_vs_real{name}.csv", index=False, float_format="%.6g")
    provenance.write(
        options.out / "simulation_vs_real.json",
        command="python -m experiments.simulation_vs_real",
        data="crops of BBBC021, taxol 0.3 uM in its dose series only, and two simulated draws of the same wells",
        crops=len(table),
        wells=table.groupby(["plate", "well"]).ngroups,
        plates=table["plate"].nunique(),
        seeds=SEEDS,
        input_px=INPUT_PX,
        gaps=gaps(measured, told),
        minutes=round((time.time() - start) / 60, 1),
        simulation=to_dict(SimulationConfig()),
        training={name: value for name, value in training.items() if name != "folder"},
    )
    print(f"wrote {options.out}/simulation_vs_real*.csv")


def draw(seed, table):
    """Simulate crops of the wells of `table`, (N, 3, 68, 68) uint16 camera counts."""
    return simulated_crops(dataclasses.replace(SimulationConfig(), seed=seed), table)


def measure(crops, plates):
    """Measure every quantity of every set of crops.

    Parameters
    ----------
    crops : dict of str to (N, 3, H, H) uint16 array
        Camera counts.
    plates : Series, length N

    Returns
    -------
    DataFrame
        ``quantity channel at`` and one column per set. ``at`` is a quantile, or of a spectrum the frequency in
        cycles per pixel; intensities are camera counts.
    """
    return pd.DataFrame({name: _measured(images, plates) for name, images in crops.items()}).reset_index()


def _measured(images, plates):
    """Measure one set as a Series over ``quantity channel at``."""
    levels, pairs = domain_gap.LEVELS, ["-".join(pair) for pair in combinations(CHANNELS, 2)]
    out = {}
    for channel, row in zip(CHANNELS, domain_gap.intensity_quantiles(images), strict=True):
        out |= {("intensity", channel, level): value for level, value in zip(levels, row, strict=True)}
    for name, column in domain_gap.nuclei(images)[["diameter_px", "intensity"]].items():
        row = np.nanquantile(column, levels)
        out |= {(f"nucleus {name}", "dna", level): value for level, value in zip(levels, row, strict=True)}
    frequency, power = domain_gap.power_spectrum(images)
    for channel, row in zip(CHANNELS, power, strict=True):
        out |= {("spectrum", channel, round(at, 4)): value for at, value in zip(frequency, row, strict=True)}
    for pair, column in zip(pairs, domain_gap.pixel_correlations(images).T, strict=True):
        row = np.nanquantile(column, levels)
        out |= {("pixel correlation", pair, level): value for level, value in zip(levels, row, strict=True)}
    for pair, value in zip(pairs, domain_gap.total_correlations(images, plates), strict=True):
        out[("total correlation", pair, np.nan)] = value
    index = pd.MultiIndex.from_tuples(out, names=["quantity", "channel", "at"])
    return pd.Series(list(out.values()), index)


def families(names):
    """Group the columns of the handcrafted features by family.

    Returns
    -------
    dict of (str, str) to list of int
        (kind, channel) → columns; first ("all", "all"), which holds every column. Nuclear shape belongs to DNA,
        correlations of two stains to the channel "pairs".
    """
    out = {("all", "all"): list(range(len(names)))}
    for column, name in enumerate(names):
        _, kind, *_, last = name.split("_")
        channel = {"Shape": "dna", "Correlation": "pairs"}.get(kind, last)
        out.setdefault((kind.lower(), channel), []).append(column)
    return out


def told_apart(feats, plates):
    """Fit a classifier for real or simulated per family of features, and one for the two draws.

    Returns
    -------
    DataFrame
        ``kind channel features``; ``auc balanced_accuracy`` of real against simulated, ``auc_again
        balanced_accuracy_again`` of the two draws. Folds part plates.
    """
    rows = []
    for (kind, channel), columns in families(feature_names(CHANNELS)).items():
        row = {"kind": kind, "channel": channel, "features": len(columns)}
        for first, second, ending in (("real", "simulated", ""), ("again", "simulated", "_again")):
            auc, accuracy, _ = domain_gap.classify_sets(
                feats[first][:, columns], feats[second][:, columns], plates, plates
            )
            row |= {f"auc{ending}": auc, f"balanced_accuracy{ending}": accuracy}
        rows.append(row)
    return pd.DataFrame(rows)


def leading_features(feats, plates, most=LEADING):
    """List the features on which the classifier of all features leans most.

    Returns
    -------
    DataFrame
        ``feature``; ``weight`` in the logistic regression, per standard deviation, positive for what simulated
        cells have more of; ``real simulated`` medians; ``auc`` of this feature alone, 0.5 to 1.
    """
    real, simulated = feats["real"], feats["simulated"]
    _, _, weights = domain_gap.classify_sets(real, simulated, plates, plates)
    chosen = np.argsort(-np.abs(weights))[:most]
    is_simulated = np.repeat([0, 1], [len(real), len(simulated)])
    alone = np.array([roc_auc_score(is_simulated, np.r_[real[:, i], simulated[:, i]]) for i in chosen])
    return pd.DataFrame(
        {
            "feature": np.array(feature_names(CHANNELS))[chosen],
            "weight": weights[chosen],
            "real": np.median(real[:, chosen], axis=0),
            "simulated": np.median(simulated[:, chosen], axis=0),
            "auc": np.maximum(alone, 1 - alone),
        }
    )


def gaps(measured, told):
    """Find the largest difference of each kind, real against simulated, and between the two draws.

    Returns
    -------
    dict of str to dict
        ``gap again clear bound``. Of intensities, nuclei and spectra the largest factor between two values (1:
        none), of correlations the largest difference (0: none), of the classifier the AUC (0.5: none). A gap is
        clear if it is more than twice that of the two draws, factors being compared by their logarithms.
    """
    found = {}
    for (quantity, channel), rows in measured.groupby(["quantity", "channel"], sort=False):
        is_factor = "correlation" not in quantity
        values = np.log(rows[list(SETS)]) if is_factor else rows[list(SETS)]
        apart = values.sub(values["simulated"], axis=0).abs().max()
        found[f"{quantity}, {channel}"] = apart["real"], apart["again"], np.exp if is_factor else float
    auc, auc_again = told.loc[0, ["auc", "auc_again"]]
    found["classifier"] = auc - 0.5, auc_again - 0.5, lambda excess: 0.5 + excess
    return {
        name: {
            "gap": round(float(said(gap)), 4),
            "again": round(float(said(again)), 4),
            "clear": bool(gap > 2 * again),
            "bound": BOUNDS.get(name),
        }
        for name, (gap, again, said) in found.items()
    }


def scores(eight_bit, feats, table, trained, trained_seed):
    """NSC and NSCB of handcrafted features, untrained and trained encoder on every set of crops.

    Parameters
    ----------
    eight_bit, feats : dict of str to array
        Crops and handcrafted features of each set.
    table : DataFrame
        Their wells.
    trained : Encoder
        The book's has seen nothing but the default simulated screen, whose seed is none of `SEEDS`.
    trained_seed : int
        Of its training.

    Returns
    -------
    DataFrame
        ``data method seed`` and the columns of `cellclr_lib.profiles.score_table`.
    """
    tables = []
    for data, images in eight_bit.items():
        methods = {("handcrafted", 0): feats[data]}
        for seed in UNTRAINED_SEEDS:
            methods["untrained", seed] = untrained_features(images, seed=seed, input_px=INPUT_PX)
        methods["simclr", trained_seed] = embed_images(images, trained, input_px=INPUT_PX)
        for (method, seed), features in methods.items():
            rows = tabulate_scores(table, features)
            rows.insert(0, "data", data)
            rows.insert(1, "method", method)
            rows.insert(2, "seed", seed)
            tables.append(rows)
    return pd.concat(tables, ignore_index=True)


if __name__ == "__main__":
    sys.exit(main())
