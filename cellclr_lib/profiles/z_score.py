"""Subtract the mean and divide by the deviation, for all wells or plate by plate.

Explained in chapter 7, *post-processing*.
"""

import numpy as np
import pandas as pd

from cellclr_lib.annotations import is_control
from cellclr_lib.profiles.transforms import Transform, grouped, lookup

_TINY = 1e-12  # a standard deviation below this part of the largest value is a constant feature


class ZScore(Transform):
    """Subtract the mean and divide by the standard deviation, feature by feature.

    Parameters
    ----------
    rows : "controls" or "all"
        Rows whose mean and standard deviation (``ddof=0``) are taken: DMSO, or every row.
    by : None, "plate" or "batch"
        One mean and deviation for everything, or for each plate or week. A feature that is constant within its
        group is only centred.

    Examples
    --------
    >>> meta = pd.DataFrame({"compound": ["DMSO", "DMSO", "taxol"]})
    >>> z_score = ZScore().fit(meta, np.array([[1.0], [3.0], [7.0]]))
    >>> z_score.transform(meta, np.array([[1.0], [3.0], [7.0]])).ravel().tolist()
    [-1.0, 1.0, 5.0]
    """

    def __init__(self, rows: str = "controls", by: str | None = None) -> None:
        self.rows, self.by = rows, by

    def _fit(self, meta: pd.DataFrame, feats: np.ndarray) -> None:
        if self.rows not in ("controls", "all") or self.by not in (None, "plate", "batch"):
            raise ValueError(
                f"rows={self.rows!r}, by={self.by!r}; expected rows 'controls' or 'all', "
                "by None, 'plate' or 'batch'"
            )
        chosen = is_control(meta) if self.rows == "controls" else np.ones(len(meta), dtype=bool)
        self.moments_ = {}
        for group, mask in grouped(meta, self.by):
            values = np.asarray(feats[mask & chosen], dtype=float)
            if len(values) < 2:
                raise ValueError(
                    f"{self.by or 'data'} {group!r}: {len(values)} rows to standardise on; expected "
                    "two DMSO wells or more (rows='all' takes every well)"
                )
            mean, std = values.mean(axis=0), values.std(axis=0)
            constant = std <= _TINY * np.abs(values).max(axis=0)
            self.moments_[group] = mean, np.where(constant, 1.0, std)

    def _transform(self, meta: pd.DataFrame, feats: np.ndarray) -> np.ndarray:
        out = np.empty_like(feats)
        for group, mask in grouped(meta, self.by):
            mean, std = lookup(self.moments_, group, self.by)
            out[mask] = (feats[mask] - mean) / std
        return out
