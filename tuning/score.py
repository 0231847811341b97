"""NSC and NSCB of a trial: what is reported, computed once at the end, and shown to no scheduler or search."""

import json
from pathlib import Path

from cellclr_lib.annotations import is_treatment
from cellclr_lib.data import CellStore
from cellclr_lib.learning import embed
from cellclr_lib.profiles import tabulate_scores

SCORES = ("nsc", "nscb")


def score(checkpoint, store_path, device):
    """NSC and NSCB of a trained encoder, z-scored well profiles.

    Parameters
    ----------
    checkpoint : path
        The scores are written beside it, to ``scores.json``.
    store_path : path
        Of the `CellStore`.
    device : str
        "auto" or "cpu".

    Returns
    -------
    dict
        ``nsc`` and ``nscb`` in [0, 1]; NaN on a store without annotated treatments.
    """
    store = CellStore.open(store_path)
    scores = dict.fromkeys(SCORES, float("nan"))
    if "moa" in store.table and is_treatment(store.table).any():
        feats = embed(store, checkpoint, device=device, progress=False)
        row = tabulate_scores(store.table, feats, posts=("z_score",), draws=2, null_draws=1).iloc[0]
        scores = {name: float(row[name]) for name in SCORES}
    Path(checkpoint).with_name("scores.json").write_text(json.dumps(scores))
    return scores


def known(checkpoint):
    """Read the scores beside a checkpoint, or None."""
    file = Path(checkpoint).with_name("scores.json")
    return json.loads(file.read_text()) if file.exists() else None
