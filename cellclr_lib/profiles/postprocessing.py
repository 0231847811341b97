"""Post-processing of well profiles, in the manner of scikit-learn: fit, then transform.

Whitening, CORAL and TVN (typical variation normalisation, Ando et al. 2017) are fitted on DMSO wells alone: what
varies there is nuisance. They see no treatment and no mechanism. Explained in chapter 7, post-processing.

Every class has ``fit(meta, feats)``, which returns itself, ``transform(meta, feats)``, which returns new
features of the shape ``(n, D)`` and the type that came in, and ``fit_transform``. Sums and matrices are float64.
"""

import numpy as np

from cellclr_lib.annotations import is_control
from cellclr_lib.profiles.aggregation import checked

_TINY = 1e-12  # a standard deviation below this part of the largest value is a constant feature


class _Transform:
    def fit_transform(self, meta, feats):
        """``fit(meta, feats)``, then ``transform(meta, feats)``."""
        return self.fit(meta, feats).transform(meta, feats)

    def _fitted(self, attribute, meta, feats):
        if not hasattr(self, attribute):
            raise ValueError(f"{type(self).__name__} is not fitted yet: call fit(meta, feats) first")
        return checked(meta, feats)


class ZScore(_Transform):
    """Subtract the mean and divide by the standard deviation, feature by feature.

    Parameters
    ----------
    rows : "controls" or "all"
        Rows whose mean and standard deviation (``ddof=0``) are taken: DMSO, or every row.
    by : None, "plate" or "batch"
        One mean and deviation for everything, or for each plate or week. A feature that is constant within its
        group is only centred.
    """

    def __init__(self, rows="controls", by=None):
        if rows not in ("controls", "all") or by not in (None, "plate", "batch"):
            raise ValueError(
                f"rows={rows!r}, by={by!r}; expected rows 'controls' or 'all', by None, 'plate' or 'batch'"
            )
        self.rows, self.by = rows, by

    def fit(self, meta, feats):
        """Take means and deviations of the chosen rows of each group."""
        feats = checked(meta, feats, ["compound", *([self.by] if self.by else [])])
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
        return self

    def transform(self, meta, feats):
        """Standardise every row with the moments of its group."""
        feats = self._fitted("moments_", meta, feats)
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
    """

    def __init__(self, lam=1.0, controls="negative"):
        if controls not in ("negative", "both"):
            raise ValueError(f"controls is {controls!r}; expected 'negative' or 'both'")
        self.lam, self.controls = _checked_lam(lam), controls

    def fit(self, meta, feats):
        """Take the mean of the DMSO rows and the covariance of the controls."""
        controls = _controls(meta, feats)
        self.mean_ = controls.mean(axis=0)
        centred = controls - self.mean_
        if self.controls == "both":
            positive = np.asarray(checked(meta, feats, ["role"])[meta["role"] == "positive_control"], dtype=float)
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
        return self

    def transform(self, meta, feats):
        """Whiten every row."""
        feats = self._fitted("matrix_", meta, feats)
        return ((feats - self.mean_) @ self.matrix_).astype(feats.dtype)


class Coral(_Transform):
    """CORAL by week: recolour each week so that its DMSO varies as all DMSO does (Sun et al. 2016).

    A row of a week becomes ``x (C_week + I)^(-1/2) (C_all + λI)^(1/2)`` with ``C = XᵀX/n`` of the DMSO rows of
    that week and of all, **not** centred by week: an offset of a week counts as variation and is shrunk. Meant for
    whitened features, whose scale the I assumes.

    Parameters
    ----------
    lam : float
        λ ≥ 0, added to the covariance of all controls.
    """

    _centred = False

    def __init__(self, lam=1.0):
        self.lam = _checked_lam(lam)

    def fit(self, meta, feats):
        """Take the spectra of the DMSO rows of each week and of all."""
        controls = _controls(meta, feats, ["batch"])
        weeks = meta["batch"][is_control(meta)]
        self.offset_ = {
            week: controls[mask].mean(axis=0) if self._centred else np.zeros(controls.shape[1])
            for week, mask in _groups(weeks.to_frame(), "batch")
        }
        centred = controls - np.stack([self.offset_[week] for week in weeks])
        self.uncolour_ = {
            week: _Power(centred[mask], 1.0, -0.5) for week, mask in _groups(weeks.to_frame(), "batch")
        }
        self.recolour_ = _Power(centred, self.lam, 0.5)
        return self

    def transform(self, meta, feats):
        """Recolour every row with the matrices of its week."""
        feats = self._fitted("recolour_", meta, feats)
        out = np.empty_like(feats)
        for week, mask in _groups(meta, "batch"):
            rows = feats[mask] - _lookup(self.offset_, week, "batch")
            out[mask] = self.recolour_(self.uncolour_[week](rows))
        return out


class CoralCentred(Coral):
    """`Coral` that first moves the DMSO mean of each week to the origin. Not the published form."""

    _centred = True


class TVN(_Transform):
    """Typical variation normalisation: `Whitener`, then `Coral`, with the same λ."""

    _coral = Coral

    def __init__(self, lam=1.0):
        self.lam = _checked_lam(lam)

    def fit(self, meta, feats):
        """Fit the whitener on DMSO and CORAL on the whitened DMSO."""
        self.whitener_ = Whitener(self.lam).fit(meta, feats)
        controls = is_control(meta)
        meta, feats = meta[controls], np.asarray(feats)[controls]  # nothing else need be whitened here
        self.coral_ = self._coral(self.lam).fit(meta, self.whitener_.transform(meta, feats))
        return self

    def transform(self, meta, feats):
        """Whiten, then recolour."""
        feats = self._fitted("coral_", meta, feats)
        return self.coral_.transform(meta, self.whitener_.transform(meta, feats))


class TVNCentred(TVN):
    """`TVN` with `CoralCentred`. Not the published form."""

    _coral = CoralCentred


class _Power:
    """Apply ``(XᵀX/n + λI)^p`` to rows, without the D × D matrix: outside the span of X it is λ^p."""

    def __init__(self, rows, lam, power):
        spread, self.vectors = _spectrum(rows, complete=False)
        self.rest = lam**power
        self.extra = (spread + lam) ** power - self.rest

    def __call__(self, rows):
        return self.rest * rows + (rows @ self.vectors * self.extra) @ self.vectors.T


def _spectrum(rows, complete):
    """Eigenvalues (falling) and eigenvectors (D, k) of ``XᵀX/n``: all D of them, or those that X spans."""
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


def _controls(meta, feats, columns=()):
    feats = checked(meta, feats, ["compound", *columns])
    controls = np.asarray(feats[is_control(meta)], dtype=float)
    if len(controls) < 2:
        raise ValueError(f"{len(controls)} rows have the compound DMSO; expected two or more to fit on")
    return controls


def _groups(meta, by):
    """(value, mask) of each plate or week; one group for ``by=None``."""
    if by is None:
        return [("all", np.ones(len(meta), dtype=bool))]
    if by not in meta:
        raise ValueError(f"meta lacks the column {by!r}")
    values = meta[by].to_numpy(dtype=object)
    return [(value, values == value) for value in meta[by].drop_duplicates()]


def _lookup(fitted, group, by):
    if group not in fitted:
        raise ValueError(f"{by} {group!r} had no DMSO when this was fitted; expected one of {sorted(fitted)}")
    return fitted[group]


def _checked_lam(lam):
    if not 0 <= lam < np.inf:
        raise ValueError(f"lam is {lam}; expected a number that is not negative")
    return float(lam)


# What is done to well profiles, in order. Whitening and TVN need features of one unit, so they follow a z-score.
POSTS = {
    "none": (),
    "z_score": (lambda: ZScore(rows="all"),),
    "whitening": (lambda: ZScore(rows="all"), Whitener),
    "tvn": (lambda: ZScore(rows="all"), TVN),
}


def postprocess(meta, feats, post):
    """Well profiles after one of the named post-processings.

    Parameters
    ----------
    meta : pandas.DataFrame
        One row per well.
    feats : ndarray, shape (wells, D)
    post : str
        "none"; "z_score", z-score of each feature over all wells; "whitening" or "tvn", the same followed by
        `Whitener` or `TVN`, which are fitted on DMSO wells only.

    Returns
    -------
    ndarray, shape (wells, D')
    """
    if post not in POSTS:
        raise ValueError(f"post-processing must be one of {tuple(POSTS)}, not {post!r}")
    for step in POSTS[post]:
        feats = step().fit(meta, feats).transform(meta, feats)
    return feats
