"""Measure which views keep the biology: ``python -m experiments.ablate_views``.

Short trainings on the default simulated screen that differ in nothing but their views: each change of the default
alone, each left out, the paper's views, and changes that the default does not make. Scores of every one and of the
untrained encoder go to `experiments/results/views.csv` row by row. Resumable: a training in the cache is not made
again. Explained in chapter 3, *views*.
"""

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pandas as pd

from cellclr_lib.data import CropConfig, SimulationConfig
from cellclr_lib.learning import TrainConfig
from cellclr_lib.pipeline import cache, provenance
from cellclr_lib.profiles import aggregate_wells, replicate_retrieval, tabulate_scores, week_accuracy
from cellclr_lib.profiles.postprocessing import POSTS, postprocess
from cellclr_lib.settings import to_dict
from cellclr_lib.views import ViewConfig

RESULTS = Path(__file__).with_name("results") / "views.csv"
# Every run sees as many cells, about a seventh of what the default training sees: two minutes on one core.
TRAINING = TrainConfig(epochs=4, cells_per_epoch=8192)
TRAINED = ("cells_seen", "seconds", "loss", "top1")  # columns of the history; empty for the untrained encoder
CHANGES = {  # what the default does, by the probabilities that switch it
    "crop": {"crop_p": 1.0},
    "flips and turns": {"horizontal_flip_p": 0.5, "vertical_flip_p": 0.5, "quarter_turn_p": 0.75},
    "elastic": {"elastic_p": 0.5},
    "jitter": {"jitter_p": 0.8},
    "blur": {"blur_p": 0.5},
}
ADDED = {"milder crop": {"crop_area": (0.4, 1.0)}, "free rotation": {"rotation_p": 1.0}}  # not in the default


def variants():
    """List views by name; the name says the group before the colon."""
    default, nothing = ViewConfig(), ViewConfig.none()
    views = {"all: default": default, "all: paper": ViewConfig.paper(), "all: none": nothing}
    for name, switches in CHANGES.items():
        views[f"without: {name}"] = replace(default, **dict.fromkeys(switches, 0.0))
    for name, switches in CHANGES.items():
        views[f"only: {name}"] = replace(nothing, **switches)
    for name, switches in ADDED.items():
        views[f"with: {name}"] = replace(default, **switches)
    return views


def measure(name, views, seed, threads):
    """Train with these views (None: not at all) and score; one row per post-processing."""
    import torch

    torch.set_num_threads(threads)
    training = replace(TRAINING, seed=seed)
    row = {"views": name, "seed": seed} | dict.fromkeys(TRAINED)
    if views is None:
        meta, feats = cache.features("untrained", training)
    else:
        training = replace(training, views=views)
        history = cache.checkpoint(training, monitor=False).history.iloc[-1]
        row |= {column: history[column] for column in TRAINED}
        meta, feats = cache.features("simclr", training)
    scores = tabulate_scores(meta, feats, null_draws=1).drop(columns=["nsc_chance", "nscb_chance"])
    well_meta, well_feats = aggregate_wells(meta, feats)
    for i, post in enumerate(scores["post"]):
        processed = postprocess(well_meta, well_feats, post)
        scores.loc[i, "retrieval"] = replicate_retrieval(well_meta, processed).accuracy
        scores.loc[i, "week_accuracy"] = week_accuracy(well_meta, processed).accuracy
    return pd.concat([pd.DataFrame([row] * len(scores)), scores], axis=1)


def main(arguments=None):
    """Run what is missing; writes the table after every training and its provenance at the end."""
    parser = argparse.ArgumentParser(prog="python -m experiments.ablate_views", description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default: 0 1 2")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time (default: 1)")
    parser.add_argument("--threads", type=int, default=1, help="threads of each training (default: 1)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="CSV to write")
    options = parser.parse_args(arguments)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    store = cache.crops()
    views = {"untrained": None, **variants()}
    order = {name: i for i, name in enumerate(views)}
    # All views with the first seed, then with the next: what there is can be compared at any time.
    plan = [(name, seed) for seed in options.seeds for name in views]
    start, tables = time.time(), []
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        running = {
            pool.submit(measure, name, views[name], seed, options.threads): (name, seed) for name, seed in plan
        }
        for done in as_completed(running):
            tables.append(done.result())
            table = pd.concat(tables).sort_values(
                ["views", "seed"], key=lambda s: s.map(order).fillna(s), kind="stable"
            )
            table.to_csv(options.out, index=False, float_format="%.4f")
            raw = done.result().iloc[0]
            print(
                f"[{(time.time() - start) / 60:5.1f} min] {len(tables)} of {len(plan)} {running[done]}: "
                f"NSCB {raw['nscb']:.3f}, retrieval {raw['retrieval']:.3f}",
                flush=True,
            )
    provenance.write(
        options.out.with_suffix(".json"),
        command="python -m experiments.ablate_views " + " ".join(sys.argv[1:] if arguments is None else arguments),
        data="the default simulated screen",
        cells=len(store),
        posts=list(POSTS),
        simulation=to_dict(SimulationConfig()),
        cropping=to_dict(CropConfig()),
        training=to_dict(TRAINING),
        views={name: to_dict(value) for name, value in variants().items()},
    )
    print(f"wrote {options.out}")


if __name__ == "__main__":
    sys.exit(main())
