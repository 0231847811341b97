"""Whitening and TVN on real profiles: ``python -m experiments.ljosa_postprocessing``.

The published per-well profiles of Ljosa et al. 2013, z-scored over all wells, then whitened or TVN'ed with many λ:
scores, and how well the week is told from DMSO wells, those of the fit and others. Half a minute; only these
aggregate numbers are kept. Explained in chapter 7, *post-processing*.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from cellclr_lib.pipeline import cache, provenance
from cellclr_lib.profiles import (
    TVN,
    Whitener,
    ZScore,
    aggregate_treatments,
    bootstrap_interval,
    drop_interval,
    load_profiles,
    nsc,
    nscb,
    week_accuracy,
)

RESULTS = Path(__file__).with_name("results") / "ljosa_postprocessing.csv"
FILES = ("ljosa_jbiomolscreen_2013_per_well_mean.csv.gz", "BBBC021_v1_image.csv", "BBBC021_v1_moa.csv")
POSTS = {"whitening": Whitener, "tvn": TVN, "tvn_centred": partial(TVN, center=True)}
LAMS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3, np.inf)
NO_SHRINKING = 1e9  # stands for λ = ∞: all directions are divided by the same number
HALVES = 5


def main(arguments=None):
    """Write the table and its provenance."""
    parser = argparse.ArgumentParser(prog="python -m experiments.ljosa_postprocessing", description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS, help="CSV to write")
    options = parser.parse_args(arguments)
    table = measure(*z_scored())
    options.out.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.out, index=False, float_format="%.6g")
    provenance.write(
        options.out.with_suffix(".json"),
        command="python -m experiments.ljosa_postprocessing",
        data="per-well profiles of Ljosa et al. 2013, 464 clean features, z-scored over all wells",
        halves=HALVES,
    )
    print(f"wrote {options.out}")


def z_scored():
    """Load the real wells, every feature z-scored over all of them: ``(meta, feats)``."""
    meta, feats = load_profiles(*(cache.published(name) for name in FILES))
    return meta, ZScore(rows="all").fit_transform(meta, feats)


def measure(meta, feats, lams=LAMS, halves=HALVES):
    """Score each post-processing and λ, one row each, after one for the z-score alone.

    Returns
    -------
    pandas.DataFrame
        ``post lam``; ``nsc nscb`` with ``_low _high _correct _total``, and ``_gain`` over features that are only
        centred on DMSO, with ``_gain_low _gain_high``; ``week_fitted week_other week_chance``: how often the week
        is told from DMSO wells of the fit and from others, when half of each plate's are fitted on.
    """
    ways = [("z_score", np.nan, None)]
    ways += [(post, lam, make(min(lam, NO_SHRINKING))) for post, make in POSTS.items() for lam in lams]
    metrics = {"nsc": nsc, "nscb": nscb}
    pair = aggregate_treatments(meta, Whitener(NO_SHRINKING).fit_transform(meta, feats))
    centred = {name: metric(*pair) for name, metric in metrics.items()}
    rows = []
    for post, lam, step in ways:
        profiles = feats if step is None else step.fit(meta, feats).transform(meta, feats)
        row = {"post": post, "lam": lam}
        for name, metric in metrics.items():
            score = metric(*aggregate_treatments(meta, profiles))
            low, high = bootstrap_interval(score)
            row |= {name: score.accuracy, f"{name}_low": low, f"{name}_high": high}
            row |= {f"{name}_correct": score.correct, f"{name}_total": score.total}
            low, high = drop_interval(score, centred[name])
            row |= {f"{name}_gain": score.accuracy - centred[name].accuracy}
            row |= {f"{name}_gain_low": low, f"{name}_gain_high": high}
        rows.append(row | week_accuracy_of_halves(meta, feats, step, halves))
    return pd.DataFrame(rows)


def week_accuracy_of_halves(meta, feats, step, halves):
    """Mean over random halves of each plate's DMSO wells: ``week_fitted week_other week_chance``."""
    dmso = (meta["compound"] == "DMSO").to_numpy()
    told = []
    for seed in range(halves):
        order = pd.Series(np.random.default_rng(seed).random(len(meta))).where(dmso)
        rank = order.groupby(meta["plate"].to_numpy()).rank(pct=True)
        fitted, other = (rank <= 0.5).to_numpy(), (rank > 0.5).to_numpy()
        out = feats if step is None else step.fit(meta[fitted], feats[fitted]).transform(meta, feats)
        scores = [week_accuracy(meta[rows], out[rows]) for rows in (fitted, other)]
        told.append([*(score.accuracy for score in scores), scores[1].chance])
    return dict(zip(("week_fitted", "week_other", "week_chance"), np.mean(told, axis=0), strict=True))


if __name__ == "__main__":
    sys.exit(main())
