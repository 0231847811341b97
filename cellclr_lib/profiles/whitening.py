"""Whiten profiles on DMSO wells: what varies there is nuisance. No treatment and no mechanism is seen.

Explained in chapter 7, *post-processing*.
"""

import numpy as np
import pandas as pd

from cellclr_lib.profiles.transforms import Transform, check_lam, control_rows


class Whitener(Transform):
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
        check_lam(self.lam)
        if self.controls not in ("negative", "both"):
            raise ValueError(f"controls is {self.controls!r}; expected 'negative' or 'both'")
        controls = control_rows(meta, feats)
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
        spread, vectors = spectrum_of(centred, complete=True)
        if self.lam == 0 and spread.min() <= 1e-10 * spread.max():
            raise ValueError(
                f"lam=0, but {len(centred)} control wells do not vary in all {len(spread)} directions; "
                "expected more wells than features, or lam > 0"
            )
        self.matrix_ = vectors / np.sqrt(spread + self.lam)

    def _transform(self, meta: pd.DataFrame, feats: np.ndarray) -> np.ndarray:
        return ((feats - self.mean_) @ self.matrix_).astype(feats.dtype)


class MatrixPower:
    """Apply ``(XᵀX/n + λI)^p`` to rows, without the D × D matrix: outside the span of X it is λ^p."""

    def __init__(self, rows: np.ndarray, lam: float, power: float) -> None:
        spread, self.vectors = spectrum_of(rows, complete=False)
        self.rest = lam**power
        self.extra = (spread + lam) ** power - self.rest

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Multiply rows by the power of the matrix."""
        return self.rest * rows + (rows @ self.vectors * self.extra) @ self.vectors.T


def spectrum_of(rows: np.ndarray, *, complete: bool) -> tuple[np.ndarray, np.ndarray]:
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
