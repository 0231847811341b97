"""Post-process well profiles with estimators in the manner of scikit-learn: fit, then transform.

Whitening, CORAL and TVN (typical variation normalisation, Ando et al. 2017) are fitted on DMSO wells alone: what
varies there is nuisance. They see no treatment and no mechanism. Explained in chapter 7, post-processing.

Every class is a `sklearn.base.BaseEstimator` with ``fit(meta, feats)``, which returns itself, ``transform(meta,
feats)``, which returns new features of the shape ``(n, D)`` and the type that came in, and ``fit_transform``. In
the place of the two, each takes one table with ``Metadata_*`` columns or an AnnData and gives the same back
(`cellclr_lib.profiles.tables`); so they can be steps of a `sklearn.pipeline.Pipeline`. Sums and matrices are
float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from cellclr_lib.annotations import is_control
from cellclr_lib.profiles.tables import Profiles

if TYPE_CHECKING:
    from typing import Self

    from cellclr_lib.profiles.tables import Annotations, Features

_TINY = 1e-12  # a standard deviation below this part of the largest value is a constant feature


class _Transform(BaseEstimator):
    """Take profiles in any form of `cellclr_lib.profiles.tables`, and give them back in the same."""

    _columns: tuple[str, ...] = ("compound",)  # annotations that a fit needs
    _prefix: str | None = None  # how features are named that are no longer those that came in

    def fit(self, meta: Annotations, feats: Features | None = None) -> Self:
        """Learn from the profiles.

        Parameters
        ----------
        meta, feats : DataFrame and ndarray, shape (n, D)
            One row per well; or another form of `cellclr_lib.profiles.tables`.

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


class ZScore(_Transform):
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
        for group, mask in _groups(meta, self.by):
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
        for group, mask in _groups(meta, self.by):
            mean, std = _lookup(self.moments_, group, self.by)
            out[mask] = (feats[mask] - mean) / std
        return out


class Whitener(_Transform):
    """Whiten on DMSO: directions in which controls vary are shrunk, unless they vary less than `lam`.

    With the centred DMSO rows X, their covariance ``C = XᵀX/n = V diag(s) Vᵀ`` and ``W = V diag(1/√(s+λ))``, a
    row x becomes ``(x - mean) W``, not rotated back (published form). Eigenvectors are sorted by falling s and
    their largest entry is positive, so that equal data gives equal output.

    Parameters
    ----------
    lam : float
        λ ≥ 0. Zero makes controls exactly white and needs more of them than features, none constant.
    controls : "negative" or "both"
        "both" adds the rows of role "positive_control" to X, centred on their own mean: they, too, should all look
        alike. Not the published form; worth it where DMSO wells are few. Their features still count from DMSO.

    Examples
    --------
    Four DMSO wells whose two features have the variances 4 and 1: with λ = 0 both have 1.

    >>> meta = pd.DataFrame({"compound": ["DMSO"] * 4})
    >>> feats = np.array([[2.0, 1.0], [-2.0, 1.0], [2.0, -1.0], [-2.0, -1.0]])
    >>> Whitener(lam=0.0).fit_transform(meta, feats).round(6).tolist()
    [[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]]
    """

    _prefix = "Whitened"

    def __init__(self, lam: float = 1.0, controls: str = "negative") -> None:
        self.lam, self.controls = lam, controls

    def _fit(self, meta: pd.DataFrame, feats: np.ndarray) -> None:
        _check_lam(self.lam)
        if self.controls not in ("negative", "both"):
            raise ValueError(f"controls is {self.controls!r}; expected 'negative' or 'both'")
        controls = _controls(meta, feats)
        self.mean_ = controls.mean(axis=0)
        centred = controls - self.mean_
        if self.controls == "both":
            if "role" not in meta:
                raise ValueError("meta lacks the column 'role', which says what the positive controls are")
            positive = np.asarray(feats[meta["role"] == "positive_control"], dtype=float)
            if len(positive) < 2:
                raise ValueError(
                    f"{len(positive)} rows have the role positive_control; expected two or more to fit on, "
                    "or controls='negative'"
                )
            centred = np.concatenate([centred, positive - positive.mean(axis=0)])
        spread, vectors = _spectrum(centred, complete=True)
        if self.lam == 0 and spread.min() <= 1e-10 * spread.max():
            raise ValueError(
                f"lam=0, but {len(centred)} control wells do not vary in all {len(spread)} directions; "
                "expected more wells than features, or lam > 0"
            )
        self.matrix_ = vectors / np.sqrt(spread + self.lam)

    def _transform(self, meta: pd.DataFrame, feats: np.ndarray) -> np.ndarray:
        return ((feats - self.mean_) @ self.matrix_).astype(feats.dtype)


class Coral(_Transform):
    """Recolour each week so that its DMSO varies as all DMSO does (CORAL, Sun et al. 2016).

    A row of a week becomes ``x (C_week + I)^(-1/2) (C_all + λI)^(1/2)`` with ``C = XᵀX/n`` of the DMSO rows of
    that week and of all, **not** centred by week: an offset of a week counts as variation and is shrunk. Meant for
    whitened features, whose scale the I assumes.

    Parameters
    ----------
    lam : float
        λ ≥ 0, added to the covariance of all controls.
    center : bool
        First move the DMSO mean of each week to the origin. Not the published form.

    Examples
    --------
    >>> meta = pd.DataFrame({"compound": "DMSO", "batch": ["Week1", "Week1", "Week2", "Week2"]})
    >>> feats = np.array([[1.0], [3.0], [7.0], [9.0]])
    >>> Coral(center=True).fit_transform(meta, feats).round(6).ravel().tolist()
    [-1.0, 1.0, -1.0, 1.0]
    """

    _columns = ("compound", "batch")

    def __init__(self, lam: float = 1.0, *, center: bool = False) -> None:
        self.lam, self.center = lam, center

    def _fit(self, meta: pd.DataFrame, feats: np.ndarray) -> None:
        _check_lam(self.lam)
        controls = _controls(meta, feats)
        weeks = meta["batch"][is_control(meta)]
        self.offset_ = {
            week: controls[mask].mean(axis=0) if self.center else np.zeros(controls.shape[1])
            for week, mask in _groups(weeks.to_frame(), "batch")
        }
        centred = controls - np.stack([self.offset_[week] for week in weeks])
        self.uncolour_ = {
            week: _Power(centred[mask], 1.0, -0.5) for week, mask in _groups(weeks.to_frame(), "batch")
        }
        self.recolour_ = _Power(centred, self.lam, 0.5)

    def _transform(self, meta: pd.DataFrame, feats: np.ndarray) -> np.ndarray:
        out = np.empty_like(feats)
        for week, mask in _groups(meta, "batch"):
            rows = feats[mask] - _lookup(self.offset_, week, "batch")
            out[mask] = self.recolour_(self.uncolour_[week](rows))
        return out


class TVN(_Transform):
    """Apply typical variation normalisation: `Whitener`, then `Coral`, with the same λ (Ando et al. 2017).

    Parameters
    ----------
    lam : float
        λ ≥ 0 of both.
    center : bool
        As for `Coral`.

    Examples
    --------
    >>> print(TVN(lam=0.5, center=True))
    TVN(center=True, lam=0.5)
    """

    _columns, _prefix = ("compound", "batch"), "Whitened"

    def __init__(self, lam: float = 1.0, *, center: bool = False) -> None:
        self.lam, self.center = lam, center

    def _fit(self, meta: pd.DataFrame, feats: np.ndarray) -> None:
        self.whitener_ = Whitener(self.lam).fit(meta, feats)
        controls = is_control(meta)
        meta, feats = meta[controls], feats[controls]  # nothing else need be whitened here
        self.coral_ = Coral(self.lam, center=self.center).fit(meta, self.whitener_.transform(meta, feats))

    def _transform(self, meta: pd.DataFrame, feats: np.ndarray) -> np.ndarray:
        recoloured: np.ndarray = self.coral_.transform(meta, self.whitener_.transform(meta, feats))
        return recoloured


class _Power:
    """Apply ``(XᵀX/n + λI)^p`` to rows, without the D × D matrix: outside the span of X it is λ^p."""

    def __init__(self, rows: np.ndarray, lam: float, power: float) -> None:
        spread, self.vectors = _spectrum(rows, complete=False)
        self.rest = lam**power
        self.extra = (spread + lam) ** power - self.rest

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        return self.rest * rows + (rows @ self.vectors * self.extra) @ self.vectors.T


def _spectrum(rows: np.ndarray, *, complete: bool) -> tuple[np.ndarray, np.ndarray]:
    """Compute eigenvalues (falling) and eigenvectors (D, k) of ``XᵀX/n``: all D, or those that X spans."""
    n, width = rows.shape
    if n >= width:
        spread, vectors = np.linalg.eigh(rows.T @ rows / n)
        spread, vectors = np.clip(spread[::-1], 0, None), vectors[:, ::-1]
    else:  # few wells, many features: never form the D × D matrix
        _, singular, transposed = np.linalg.svd(rows / np.sqrt(n), full_matrices=complete)
        spread, vectors = np.zeros(len(transposed)), transposed.T
        spread[:n] = singular**2
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])]
    return spread, vectors * np.sign(largest)


def _controls(meta: pd.DataFrame, feats: np.ndarray) -> np.ndarray:
    controls = np.asarray(feats[is_control(meta)], dtype=float)
    if len(controls) < 2:
        raise ValueError(f"{len(controls)} rows have the compound DMSO; expected two or more to fit on")
    return controls


def _groups(meta: pd.DataFrame, by: str | None) -> list[tuple[Any, np.ndarray]]:
    """List (value, mask) of each plate or week; one group for ``by=None``."""
    if by is None:
        return [("all", np.ones(len(meta), dtype=bool))]
    if by not in meta:
        raise ValueError(f"meta lacks the column {by!r}")
    values = meta[by].to_numpy(dtype=object)
    return [(value, values == value) for value in meta[by].drop_duplicates()]


def _lookup(fitted: dict[Any, Any], group: object, by: str | None) -> Any:
    if group not in fitted:
        raise ValueError(f"{by} {group!r} had no DMSO when this was fitted; expected one of {sorted(fitted)}")
    return fitted[group]


def _check_lam(lam: float) -> None:
    if not 0 <= lam < np.inf:
        raise ValueError(f"lam is {lam}; expected a number that is not negative")


# What is done to well profiles, in order. Whitening and TVN need features of one unit, so they follow a z-score.
POSTS: dict[str, Sequence[_Transform]] = {
    "none": (),
    "z_score": (ZScore(rows="all"),),
    "whitening": (ZScore(rows="all"), Whitener()),
    "tvn": (ZScore(rows="all"), TVN()),
}


def postprocess(meta: Annotations, feats: Features | None = None, post: str = "z_score") -> Any:
    """Apply one of the named post-processings to well profiles.

    Parameters
    ----------
    meta, feats : DataFrame and ndarray, shape (wells, D)
        One row per well; or another form of `cellclr_lib.profiles.tables`.
    post : str
        "none"; "z_score", z-score of each feature over all wells; "whitening" or "tvn", the same followed by
        `Whitener` or `TVN`, which are fitted on DMSO wells only.

    Returns
    -------
    ndarray, shape (wells, D), or the form that came in

    Raises
    ------
    ValueError
        If there is no such post-processing, or as for the estimators.

    Examples
    --------
    >>> meta = pd.DataFrame({"compound": ["DMSO", "taxol"]})
    >>> postprocess(meta, np.array([[1.0], [3.0]]), "z_score").ravel().tolist()
    [-1.0, 1.0]
    """
    if post not in POSTS:
        raise ValueError(f"post-processing must be one of {tuple(POSTS)}, not {post!r}")
    alone = feats is None
    for step in POSTS[post]:
        out = clone(step).fit_transform(meta, feats)
        meta, feats = (out, None) if alone else (meta, out)
    return meta if alone else feats
