"""Training in bfloat16 against float32: what it gains in time, and whether it finds replicates as well.

The default simulated screen, a short training (`experiments/ablate_views.py`) with each seed in either precision;
each embeds in its own. `retrieval`: replicate retrieval after a z-score, as a share. `lost`: what the mean over
seeds loses against float32. `over_noise`: that, over two standard errors of a difference of two such means, with
the standard deviation between seeds pooled over both precisions; up to 1 it is within noise. The seconds are those
of the training.
"""

import tempfile
from dataclasses import replace

import numpy as np

from cellclr_lib.learning import embed, train
from cellclr_lib.pipeline import cache
from cellclr_lib.profiles import aggregate_wells, postprocess, replicate_retrieval
from experiments.ablate_views import TRAINING

SEEDS, PRECISIONS = (0, 1, 2), ("bf16", "fp32")


def measure(results, training=TRAINING, seeds=SEEDS, source=None):
    """Seconds and replicate retrieval of each seed in each precision, and of all of them."""
    store = cache.crops(source=source)
    seconds, found = ({precision: [] for precision in PRECISIONS} for _ in range(2))
    for seed in seeds:
        for precision in PRECISIONS:
            with tempfile.TemporaryDirectory() as folder:
                result = train(store, replace(training, seed=seed, precision=precision, folder=folder))
                feats = embed(store, result.checkpoint, precision=precision, progress=False)
            meta, feats = aggregate_wells(store.table, feats)
            found[precision].append(replicate_retrieval(meta, postprocess(meta, feats, "z_score")).accuracy)
            seconds[precision].append(result.history["seconds"].iloc[-1])
        cells = int(result.history["cells_seen"].iloc[-1])
        results.add(
            f"seed {seed}",
            {name: np.array(values[-1:]) for name, values in seconds.items()},
            cells,
            "cells",
            retrieval={name: values[-1] for name, values in found.items()},
        )
    mean = {name: np.mean(values) for name, values in found.items()}
    lost = mean["fp32"] - mean["bf16"]
    between_seeds = np.mean([np.var(values, ddof=1) for values in found.values()]) ** 0.5
    results.add(
        "all seeds",
        {name: np.array(values) for name, values in seconds.items()},
        cells,
        "cells",
        retrieval=mean,
        lost={"bf16": lost},
        over_noise={"bf16": lost / (2 * between_seeds * (2 / len(seeds)) ** 0.5)},
    )
