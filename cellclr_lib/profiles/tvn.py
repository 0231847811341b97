"""Align weeks by their DMSO wells: CORAL (Sun et al. 2016), and TVN (Ando et al. 2017), which whitens first.

Explained in chapter 7, *post-processing*.
"""

import numpy as np
import pandas as pd

from cellclr_lib.annotations import is_control
from cellclr_lib.profiles.transforms import Transform, check_lam, control_rows, grouped, lookup
from cellclr_lib.profiles.whitening import MatrixPower, Whitener


class Coral(Transform):
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
        check_lam(self.lam)
        controls = control_rows(meta, feats)
        weeks = meta["batch"][is_control(meta)]
        self.offset_ = {
            week: controls[mask].mean(axis=0) if self.center else np.zeros(controls.shape[1])
            for week, mask in grouped(weeks.to_frame(), "batch")
        }
        centred = controls - np.stack([self.offset_[week] for week in weeks])
        self.uncolour_ = {
            week: MatrixPower(centred[mask], 1.0, -0.5) for week, mask in grouped(weeks.to_frame(), "batch")
        }
        self.recolour_ = MatrixPower(centred, self.lam, 0.5)

    def _transform(self, meta: pd.DataFrame, feats: np.ndarray) -> np.ndarray:
        out = np.empty_like(feats)
        for week, mask in grouped(meta, "batch"):
            rows = feats[mask] - lookup(self.offset_, week, "batch")
            out[mask] = self.recolour_(self.uncolour_[week](rows))
        return out


class TVN(Transform):
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
