"""Define what every post-processing is: an estimator of scikit-learn that takes profiles in any form.

Each is a `sklearn.base.BaseEstimator` with ``fit(meta, feats)``, which returns itself, ``transform(meta,
feats)``, which returns new features of the shape ``(n, D)`` and the type that came in, and ``fit_transform``. In
the place of the two, each takes one table with ``Metadata_*`` columns or an AnnData and gives the same back
(`cellclr_lib.profiles.formats`); so they can be steps of a `sklearn.pipeline.Pipeline`. Sums and matrices are
float64. Explained in chapter 7, *post-processing*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from cellclr_lib.annotations import is_control
from cellclr_lib.profiles.formats import Profiles

if TYPE_CHECKING:
    from typing import Self

    from cellclr_lib.profiles.formats import Annotations, Features


class Transform(BaseEstimator):
    """Take profiles in any form of `cellclr_lib.profiles.formats`, and give them back in the same."""

    # Both are data, no metadata that a Pipeline could route: else scikit-learn adds methods to request them.
    __metadata_request__fit: ClassVar[dict[str, str]] = {"meta": UNUSED, "feats": UNUSED}
    __metadata_request__transform: ClassVar[dict[str, str]] = {"meta": UNUSED, "feats": UNUSED}

    _columns: tuple[str, ...] = ("compound",)  # annotations that a fit needs
    _prefix: str | None = None  # how features are named that are no longer those that came in

    def fit(self, meta: Annotations, feats: Features | None = None) -> Self:
        """Learn from the profiles.

        Parameters
        ----------
        meta, feats : DataFrame and ndarray, shape (n, D)
            One row per well; or another form of `cellclr_lib.profiles.formats`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter is impossible, an annotation is missing, or there are too few rows to fit on.
        """
        profiles = Profiles(meta, feats, self._columns)
        self._fit(profiles.meta, profiles.feats)
        return self

    def transform(self, meta: Annotations, feats: Features | None = None) -> Any:
        """Return the features of every row transformed, in the form that came in.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If nothing was fitted yet.
        ValueError
            If a plate or week had no rows to fit on.
        """
        check_is_fitted(self)
        profiles = Profiles(meta, feats)
        return profiles.with_feats(self._transform(profiles.meta, profiles.feats), self._prefix)

    def fit_transform(self, meta: Annotations, feats: Features | None = None) -> Any:
        """Call ``fit(meta, feats)``, then ``transform(meta, feats)``."""
        return self.fit(meta, feats).transform(meta, feats)

    def _fit(self, meta: pd.DataFrame, feats: np.ndarray) -> None:
        raise NotImplementedError

    def _transform(self, meta: pd.DataFrame, feats: np.ndarray) -> np.ndarray:
        raise NotImplementedError


def control_rows(meta: pd.DataFrame, feats: np.ndarray) -> np.ndarray:
    """Select the features of the DMSO rows, as float64."""
    controls = np.asarray(feats[is_control(meta)], dtype=float)
    if len(controls) < 2:
        raise ValueError(f"{len(controls)} rows have the compound DMSO; expected two or more to fit on")
    return controls


def grouped(meta: pd.DataFrame, by: str | None) -> list[tuple[Any, np.ndarray]]:
    """List (value, mask) of each plate or week; one group for ``by=None``."""
    if by is None:
        return [("all", np.ones(len(meta), dtype=bool))]
    if by not in meta:
        raise ValueError(f"meta lacks the column {by!r}")
    values = meta[by].to_numpy(dtype=object)
    return [(value, values == value) for value in meta[by].drop_duplicates()]


def lookup(fitted: dict[Any, Any], group: object, by: str | None) -> Any:
    """Look up what was fitted for a plate or week."""
    if group not in fitted:
        raise ValueError(f"{by} {group!r} had no DMSO when this was fitted; expected one of {sorted(fitted)}")
    return fitted[group]


def check_lam(lam: float) -> None:
    """Raise ValueError unless λ is a number that is not negative."""
    if not 0 <= lam < np.inf:
        raise ValueError(f"lam is {lam}; expected a number that is not negative")
