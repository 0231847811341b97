"""Compare what the stages give with what was recorded."""

from pathlib import Path

import numpy as np

from cellclr_lib.baselines import handcrafted, pixel_pca, untrained
from cellclr_lib.data import screen_cropping as cropping
from cellclr_lib.data import simulation
from cellclr_lib.learning import config, embedding
from cellclr_lib.pipeline import callbacks

GOLDEN = Path(__file__).with_name("golden.json")
# As the stages declare them; a change of a stage's output that is meant raises its number.
VERSIONS = {
    "fields": simulation.VERSION,
    "crops": cropping.VERSION,
    "views": config.VERSION,
    "losses": config.VERSION,
    "training": config.VERSION,
    "features": "-".join(str(m.VERSION) for m in (handcrafted, pixel_pca, untrained, embedding)),
    "profiles": callbacks.VERSION,
    "scores": callbacks.VERSION,
    "sweep": callbacks.VERSION,
}
# Whose outputs a stage is given, directly or by way of others.
BEFORE = {
    "crops": ["fields"],
    "views": ["fields", "crops"],
    "training": ["fields", "crops", "views", "losses"],
    "features": ["fields", "crops", "views", "losses", "training"],
    "profiles": ["fields", "crops", "features"],
    "scores": ["fields", "crops", "features", "profiles"],
    "sweep": ["fields", "crops", "views", "losses", "training", "features", "profiles", "scores"],
}


def versions_of(stage):
    """Versions of a stage and of those before it, all of which its output depends on."""
    return {name: VERSIONS[name] for name in [*BEFORE.get(stage, []), stage]}


def check(stage, versions, recorded, output):
    """Raise AssertionError where a stage's output is not what was recorded for its version.

    Parameters
    ----------
    stage : str
    versions : dict
        `versions_of(stage)`.
    recorded : dict
        ``{"versions": {stage: version}, "output": {name: value}}``.
    output : dict
        ``{name: value}``, as the functions of `stages` give it.
    """
    assert recorded["versions"] == versions, (
        f"{stage} was recorded with the versions {recorded['versions']}, which are now {versions}; record anew"
    )
    known = recorded["output"]
    assert known.keys() == output.keys(), (
        f"{stage}: recorded and given differ in the names {sorted(known.keys() ^ output.keys())}; record anew"
    )
    changed = [f"{name}: {text}" for name in known if (text := difference(known[name], output[name]))]
    assert not changed, f"output of {stage} changed but its VERSION did not; " + "\n".join(
        ["if the change is meant, raise VERSION and record anew", *changed]
    )


def difference(recorded, found):
    """In words, how far a value is from the recorded one; empty within the recorded tolerance."""
    if "hash" in recorded:
        return "" if found.get("hash") == recorded["hash"] else "other whole numbers or text"
    old, new = np.array(recorded["values"], dtype=float), np.array(found["values"], dtype=float)
    if old.shape != new.shape:
        return f"shape {new.shape}, recorded {old.shape}"
    share = use_of_tolerance(recorded, found)
    return "" if share <= 1 else f"{share:.3g} times the tolerance away"


def use_of_tolerance(recorded, found):
    """Largest difference of two arrays of one shape in units of the recorded tolerance."""
    old, new = np.array(recorded["values"], dtype=float), np.array(found["values"], dtype=float)
    if not np.array_equal(np.isnan(old), np.isnan(new)):
        return np.inf
    away, room = np.abs(new - old), recorded["atol"] + recorded["rtol"] * np.abs(old)
    share = np.divide(away, room, out=np.where(away > 0, np.inf, 0.0), where=room > 0)
    return float(np.nan_to_num(share, nan=0.0, posinf=np.inf).max(initial=0))
