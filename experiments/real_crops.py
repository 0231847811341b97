"""Measure what is learned from real cells: ``python -m experiments.real_crops --data ../shared/real/bbbc021``.

Trains on the 1,996 real crops and scores pixel PCA, handcrafted features, an untrained encoder, and SimCLR whose
two views show a cell (no label of any kind), two cells of a well, or two cells of a treatment on different plates.
Pairs of a well or a treatment use the plate map and no mechanism; they are rows of their own.

Settings were fixed first, by ``--study``: one thing changed at a time, judged by how well treated wells find wells
of their compound on the other plates of their week, which needs no mechanism. Pairs of a treatment are made of
just that, so what is asked of pairs (``--study positives``: which objective, how many control cells) is judged on
the compounds of one half after a training on the other half. Then five fresh seeds were run, once, and all are
reported. "SimCLR, all controls" in the table are those of a first round, before controls were drawn less often.

One row per method, kind of positives, post-processing and seed, written as they come; an interrupted run
resumes. Taxol 0.3 uM counts in its dose-series wells only: the crops of its control wells are trained on and
not scored. Crops, features and weights stay in the cache; only scores are written. Explained in chapter 9.
"""

import argparse
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from cellclr_lib.baselines.handcrafted import handcrafted_features
from cellclr_lib.baselines.pixel_pca import pixel_pca_features
from cellclr_lib.baselines.untrained import untrained_features
from cellclr_lib.data import CellStore
from cellclr_lib.learning import TrainConfig, embed_images, train
from cellclr_lib.learning.embedding import load_encoder
from cellclr_lib.pipeline import cache, provenance
from cellclr_lib.profiles import (
    Whitener,
    ZScore,
    aggregate_treatments,
    aggregate_wells,
    compound_probe,
    nsc,
    nscb,
    replicate_retrieval,
)
from cellclr_lib.profiles.postprocessing import POSTS, postprocess
from cellclr_lib.settings import to_dict
from experiments import ablate_views
from experiments.real_sample import HIGH_PERCENTILE, LOW_PERCENTILE, read_real_crops, scaled

RESULTS = Path(__file__).with_name("results") / "real_crops.csv"
STUDY, STUDY_POSITIVES = (RESULTS.with_name(f"real_crops_{name}.csv") for name in ("study", "positives"))
# Whitening on DMSO and taxol wells. Of λ from 0.1 to 1,000, 10 did best by `compound_precision` on the trainings
# of the first seed of the study of settings.
BOTH_CONTROLS, LAM = "whitening on both controls", 10.0
ALL_POSTS = (*POSTS, BOTH_CONTROLS)
FEW_CONTROLS = 0.1  # chance of a control cell to be drawn: taxol's control wells are a third of the crops
SEEDS, STUDY_SEEDS = (5, 6, 7, 8, 9), (100, 101)  # the reported seeds are fresh: no choice has seen them
LEARNED = {  # method and positives as the table calls them: what `CHOSEN` changes
    ("SimCLR", "none"): {},
    ("SimCLR", "well"): {"positives": "well"},
    ("SimCLR", "treatment"): {"positives": "treatment"},
    ("SupCon", "well"): {"positives": "well", "objective": "sup_con"},
    ("SupCon", "treatment"): {"positives": "treatment", "objective": "sup_con"},
}
REPORTED = ("nsc", "nscb", "retrieval", "probe")
STUDIED = ("compound_precision", "retrieval", "nsc", "nscb")  # the first one chooses
INTENSITY = {"linear": np.asarray, "square root": np.sqrt, "log": np.log1p}  # of camera counts


@dataclass(frozen=True)
class Recipe:
    """Set how real crops become features.

    The library's defaults where the studies found no difference that two seeds agree on.
    """

    intensity: str = "log"  # of `INTENSITY`, before scaling to 8 bits
    turned: bool = True  # average features over the eight orientations of a crop
    training: TrainConfig = field(default_factory=lambda: TrainConfig(epochs=40, control_weight=FEW_CONTROLS))


CHOSEN = Recipe()
# The studies compare at half the side of a crop, in two thirds of the time, and with all controls.
REFERENCE = replace(CHOSEN, training=replace(CHOSEN.training, input_px=34, control_weight=1.0))


def variants():
    """List the recipes of the study by name: the reference, and one thing changed at a time.

    Changes of the views have the names that they have on simulated cells (`ablate_views.py`).
    """

    def training(**changes):
        return replace(REFERENCE, training=replace(REFERENCE.training, **changes))

    recipes = {
        "all: reference": REFERENCE,
        "intensity: linear": replace(REFERENCE, intensity="linear"),
        "intensity: square root": replace(REFERENCE, intensity="square root"),
        "embedding: one orientation": replace(REFERENCE, turned=False),
        "input: 48 px": training(input_px=48),
        "training: 120 epochs": training(epochs=120),
        "training: temperature 0.2": training(temperature=0.2),
        "training: temperature 0.05": training(temperature=0.05),
        "training: batch size 512": training(batch_size=512),
        "training: batch size 128": training(batch_size=128),
    }
    for name, views in ablate_views.variants().items():
        if views != REFERENCE.training.views:
            recipes[name] = training(views=views)
    return recipes


def positive_variants():
    """List the recipes of the study of positives by name: which cells, which objective, controls drawn less."""

    def training(**changes):
        return replace(REFERENCE, training=replace(REFERENCE.training, **changes))

    return {
        "cell, NT-Xent": training(),
        "cell, NT-Xent, few controls": training(control_weight=FEW_CONTROLS),
        "cell, VICReg": training(objective="vicreg"),
        "well, NT-Xent": training(positives="well"),
        "well, SupCon": training(positives="well", objective="sup_con"),
        "treatment, NT-Xent": training(positives="treatment"),
        "treatment, NT-Xent, few controls": training(positives="treatment", control_weight=FEW_CONTROLS),
        "treatment, SupCon": training(positives="treatment", objective="sup_con"),
        "treatment, SupCon, few controls": training(
            positives="treatment", objective="sup_con", control_weight=FEW_CONTROLS
        ),
    }


class RealCrops:
    """Hold the real crops in the forms that recipes need, and their trainings, kept in the cache.

    Parameters
    ----------
    folder : path
        Holds ``crops.npz`` and ``crops.csv``.
    """

    def __init__(self, folder):
        self.counts, self.table = read_real_crops(Path(folder), positive_controls=True)
        self.scored = (self.table["role"] != "positive_control").to_numpy()
        self.meta = self.table[self.scored].reset_index(drop=True)
        self.cache = cache.folder() / "real_crops"

    def eight_bit(self, intensity):
        """Crops as uint8 (N, 3, 68, 68), each channel between two percentiles of its plate's crops."""
        return scaled(INTENSITY[intensity](self.counts).astype(np.float32), self.table["plate"])

    def simclr(self, recipe, held_out=None):
        """Features (N, D) of all crops by a training of this recipe, which is done only once.

        With `held_out`, 0 or 1, that half of the compounds is not trained on; see `half`.
        """
        images = self.eight_bit(recipe.intensity)
        folder = self.cache / (recipe.intensity.replace(" ", "_") + ("" if held_out is None else f"_{held_out}"))
        if (folder / "store.json").exists():
            store = CellStore.open(folder)
        else:
            trained = slice(None) if held_out is None else half(self.table) != held_out
            store = CellStore.from_arrays(images[trained], self.table[trained].reset_index(drop=True), folder)
        checkpoint = train(store, recipe.training).checkpoint
        features = checkpoint.with_name(f"{'turned' if recipe.turned else 'upright'}.npy")
        if not features.exists():
            np.save(features, embedded(load_encoder(checkpoint)[0], images, recipe))
        return np.load(features)

    def baseline(self, method, seed):
        """Features (N, D) of all crops by pixel PCA, handcrafted features or an untrained encoder."""
        images = self.eight_bit(CHOSEN.intensity)
        if method == "pixel PCA":
            return pixel_pca_features(images, seed=seed)
        if method == "handcrafted":
            return handcrafted_features(images)
        return untrained_features(images, seed=seed, input_px=CHOSEN.training.input_px)


def embedded(encoder, images, recipe):
    """Features (N, D), averaged over the eight orientations of each crop if the recipe says so."""
    px = recipe.training.input_px
    if not recipe.turned:
        return embed_images(images, encoder, input_px=px)
    turned = (np.rot90(side, quarter, axes=(2, 3)) for side in (images, images[..., ::-1]) for quarter in range(4))
    return np.mean([embed_images(np.ascontiguousarray(one), encoder, input_px=px) for one in turned], axis=0)


def half(table):
    """(n,) to which half of the compounds, 0 or 1, a treated crop or well belongs, by name; -1 for controls."""
    treated = table["role"] == "treatment"
    code = pd.factorize(table["compound"].where(treated), sort=True)[0]
    return np.where(code < 0, -1, code % 2)


def compound_precision(meta, feats, asked=None):
    """Mean average precision with which treated wells find wells of their compound, MoA-free.

    Each treated well ranks the treated wells on the other plates of its week by cosine; those of its compound, at
    any concentration, are right.

    Parameters
    ----------
    meta : pandas.DataFrame
        One row per well: ``plate batch compound role``.
    feats : ndarray, shape (wells, D)
    asked : ndarray of bool, shape (wells,), optional
        Only these wells look for others.

    Returns
    -------
    float
        In [0, 1]; wells whose week holds no other plate with their compound, or nothing else, do not count.
    """
    treated = (meta["role"] == "treatment").to_numpy()
    asked = treated[treated] if asked is None else asked[treated]
    meta, feats = meta[treated], feats[treated]
    unit = feats / np.linalg.norm(feats, axis=1, keepdims=True)
    plate, week, compound = (pd.factorize(meta[name])[0] for name in ("plate", "batch", "compound"))
    found = []
    for query, similarity in enumerate(unit @ unit.T):
        open_to = np.flatnonzero((week == week[query]) & (plate != plate[query]))
        right = (compound[open_to] == compound[query])[np.argsort(-similarity[open_to], kind="stable")]
        if asked[query] and right.any() and not right.all():
            found.append((np.cumsum(right) / np.arange(1, len(right) + 1))[right].mean())
    return float(np.mean(found))


def scores(table, feats, post):
    """Compute all scores of one method under one of `ALL_POSTS`, as shares in [0, 1]."""
    meta, feats = postprocessed(table, feats, post)
    table, profiles = aggregate_treatments(meta, feats)
    return {
        "nsc": nsc(table, profiles).accuracy,
        "nscb": nscb(table, profiles).accuracy,
        "retrieval": replicate_retrieval(meta, feats).accuracy,
        "probe": compound_probe(table, profiles),
        "compound_precision": compound_precision(meta, feats),
    }


def postprocessed(table, feats, post):
    """Table and features of the wells that are scored, from those of all crops."""
    meta, feats = aggregate_wells(table, feats)
    scored = (meta["role"] != "positive_control").to_numpy()
    if post != BOTH_CONTROLS:
        return meta[scored].reset_index(drop=True), postprocess(meta[scored], feats[scored], post)
    feats = ZScore(rows="all").fit(meta[scored], feats[scored]).transform(meta, feats)
    feats = Whitener(LAM, controls="both").fit_transform(meta, feats)
    return meta[scored].reset_index(drop=True), feats[scored]


def report(data, out, seeds=SEEDS, posts=ALL_POSTS, recipe=CHOSEN):
    """Score every method, kind of positives and seed that `out` lacks; returns the whole table (percent)."""
    plan = [("pixel PCA", "none", seed) for seed in seeds] + [("handcrafted", "none", seeds[0])]
    plan += [("untrained", "none", seed) for seed in seeds]
    plan += [(*name, seed) for seed in seeds for name in LEARNED]
    rows = pd.read_csv(out).to_dict("records") if out.exists() else []
    done = {(row["method"], row["positives"], row["seed"]) for row in rows}
    for method, positives, seed in plan:
        if (method, positives, seed) in done:
            continue
        if (method, positives) in LEARNED:
            training = replace(recipe.training, **LEARNED[method, positives], seed=seed)
            feats = data.simclr(replace(recipe, training=training))
        else:
            feats = data.baseline(method, seed)
        for post in posts:
            row = {"method": method, "positives": positives, "post": post, "seed": seed}
            rows.append(row | _percent(scores(data.table, feats, post), REPORTED))
        table = pd.DataFrame(rows)
        table.to_csv(out, index=False)
        print(f"{method}, positives {positives}, seed {seed}: done", flush=True)
    return pd.DataFrame(rows)


def study(data, out, seeds=STUDY_SEEDS, recipes=None):
    """Train every variant that `out` lacks; one row per variant, seed and post-processing (percent).

    NSC and NSCB stand in the rows for the reader; what chose is ``compound_precision``.
    """
    rows = pd.read_csv(out).to_dict("records") if out.exists() else []
    done = {(row["variant"], row["seed"]) for row in rows}
    for seed in seeds:
        for name, recipe in (recipes or variants()).items():
            if (name, seed) in done:
                continue
            feats = data.simclr(replace(recipe, training=replace(recipe.training, seed=seed)))
            for post in ALL_POSTS:
                row = {"variant": name, "post": post, "seed": seed}
                rows.append(row | _percent(scores(data.table, feats, post), STUDIED))
            pd.DataFrame(rows).to_csv(out, index=False)
            print(f"{name}, seed {seed}: done", flush=True)
    return pd.DataFrame(rows)


def study_positives(data, out, seeds=STUDY_SEEDS, recipes=None):
    """Train every variant of `positive_variants` that `out` lacks, without each half of the compounds in turn.

    One row per variant, seed, half and post-processing: the ``compound_precision`` (percent) of the wells whose
    compounds were not trained on, among all treated wells.
    """
    rows = pd.read_csv(out).to_dict("records") if out.exists() else []
    done = {(row["variant"], row["seed"], row["held_out"]) for row in rows}
    for seed in seeds:
        for name, recipe in (recipes or positive_variants()).items():
            recipe = replace(recipe, training=replace(recipe.training, seed=seed))
            for held_out in (0, 1):
                if (name, seed, held_out) in done:
                    continue
                cells = data.simclr(recipe, held_out)
                for post in ALL_POSTS:
                    meta, feats = postprocessed(data.table, cells, post)
                    found = compound_precision(meta, feats, half(meta) == held_out)
                    row = {"variant": name, "post": post, "seed": seed, "held_out": held_out}
                    rows.append(row | {"compound_precision": round(100 * found, 2)})
                pd.DataFrame(rows).to_csv(out, index=False)
            print(f"{name}, seed {seed}: done", flush=True)
    return pd.DataFrame(rows)


STUDIES = {"settings": (study, STUDY), "positives": (study_positives, STUDY_POSITIVES)}


def _percent(found, names):
    return {name: round(100 * found[name], 2) for name in names}


def summary(table):
    """Mean over seeds of every score, with the ends of its 95 % interval (Student's t), as text."""
    shown = {}
    for group, rows in table.groupby(["method", "positives", "post"], sort=False):
        shown[group] = {name: _interval(rows[name]) for name in REPORTED}
    return pd.DataFrame(shown).T.rename_axis(["method", "positives", "post"]).to_string()


def _interval(values):
    if len(values) < 2:
        return f"{values.mean():.1f}"
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return f"{values.mean():.1f} [{values.mean() - half:.1f}, {values.mean() + half:.1f}]"


def main(arguments=None):
    """Run what is missing, print the table, write its provenance."""
    parser = argparse.ArgumentParser(prog="python -m experiments.real_crops", description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with crops.npz and crops.csv")
    parser.add_argument(
        "--study",
        nargs="?",
        const="settings",
        choices=tuple(STUDIES),
        help="compare settings, or what is asked of pairs, on criteria that know no mechanism",
    )
    parser.add_argument("--out", type=Path, help="CSV to write, row by row")
    options = parser.parse_args(arguments)
    if missing := [name for name in ("crops.npz", "crops.csv") if not (options.data / name).is_file()]:
        parser.error(f"{options.data} lacks {' and '.join(missing)}; give the folder of the real crops")
    measure, out = STUDIES[options.study] if options.study else (report, RESULTS)
    out, start = options.out or out, time.time()
    out.parent.mkdir(parents=True, exist_ok=True)
    data = RealCrops(options.data)
    table = measure(data, out)
    asked = f" --study {options.study}" if options.study else ""
    print(table.groupby(["variant", "post"], sort=False)[STUDIED[0]].mean() if options.study else summary(table))
    provenance.write(
        out.with_suffix(".json"),
        command=f"python -m experiments.real_crops --data FOLDER{asked}",
        data="1,996 real crops of BBBC021; those of the taxol control wells are not scored",
        cells=len(data.table),
        scored=len(data.meta),
        percentiles=[LOW_PERCENTILE, HIGH_PERCENTILE],
        recipe=to_dict(REFERENCE if options.study else CHOSEN),
        minutes=round((time.time() - start) / 60, 1),
    )
    print(f"wrote {out}")


if __name__ == "__main__":
    sys.exit(main())
