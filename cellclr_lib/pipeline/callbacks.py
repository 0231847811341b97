"""Score a training without labels after each epoch, by replicate retrieval.

The callback joins two packages that do not import each other: features come from `learning`, scores from
`profiles`. Explained in chapter 5, *training*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cellclr_lib.profiles import ZScore, aggregate_wells, replicate_retrieval, week_accuracy

if TYPE_CHECKING:
    from cellclr_lib.data import CellStore
    from cellclr_lib.learning.training import EpochState

VERSION = 1  # raise it when the same features give other scores
COLUMNS = ("plate", "well", "batch", "compound", "concentration_um")  # of the store


class ReplicateRetrieval:
    """Add MoA-free scores to the history of a training; an `on_epoch` callback of `cellclr_lib.learning.train`.

    Columns added, as shares in [0, 1]: ``retrieval``, whether a treated well's nearest well on the other plates of
    its week is the same treatment (higher is better), and ``week_accuracy``, whether a DMSO well's nearest DMSO
    well lies in its own week (lower is better: batch effects).

    Parameters
    ----------
    store : CellStore
        With ``plate well batch compound concentration_um`` in its table.
    cells_per_well : int, optional
        At most so many cells of each well are embedded, the same ones every time; all of them if not given.
    every : int
        Score every so many epochs, and the last one.
    seed : int
        Of the choice of cells.

    Raises
    ------
    ValueError
        If the store's table lacks one of these columns.

    Notes
    -----
    Both scores use the plate map and no mechanism of action, so they may choose epochs and settings; NSC and NSCB,
    which are reported, may not.
    """

    def __init__(
        self, store: CellStore, *, cells_per_well: int | None = 16, every: int = 1, seed: int = 0
    ) -> None:
        if missing := [name for name in COLUMNS if name not in store.table]:
            raise ValueError(
                f"{store.path} lacks the columns {', '.join(missing)}; replicate retrieval needs the plate map: "
                "cut the crops again from a screen with its tables"
            )
        self.store, self.every = store, every
        order = np.random.default_rng(seed).permutation(len(store))
        rank = store.table.iloc[order].groupby(["plate", "well"]).cumcount()
        chosen = order if cells_per_well is None else order[rank.to_numpy() < cells_per_well]
        self.rows = np.sort(chosen)
        self.meta = store.table.iloc[self.rows].reset_index(drop=True)

    def __call__(self, state: EpochState) -> dict[str, float]:
        """Score the encoder of this epoch; return the columns to add."""
        if state.epoch % self.every and state.epoch != state.epochs:
            return {}
        meta, feats = aggregate_wells(self.meta, state.embed(self.store.images[self.rows]))
        feats = ZScore(rows="all").fit(meta, feats).transform(meta, feats)
        return {
            "retrieval": replicate_retrieval(meta, feats).accuracy,
            "week_accuracy": week_accuracy(meta, feats).accuracy,
        }
