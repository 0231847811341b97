"""Compute VICReg: the views of a cell agree, and no direction of the projections collapses.

Explained in chapter 9, *the real screen*.
"""

import torch
from torch.nn.functional import mse_loss, relu

INVARIANCE, VARIANCE, COVARIANCE = 25.0, 25.0, 1.0  # weights of the three parts of VICReg, as published
SMALLEST_VARIANCE = 1e-4  # added before the root in VICReg, as published


def vicreg_loss(z1: torch.Tensor, z2: torch.Tensor) -> torch.Tensor:
    """Compute the sum of the terms of invariance, variance and covariance.

    ``25 · mse(z1, z2) + 25 · mean(max(0, 1 - std)) + Σ_{a≠b} cov_ab² / P``, the last two for each view, the middle
    one averaged over both. There are no negatives, so cells treated alike do not push each other apart.

    Parameters
    ----------
    z1, z2 : Tensor, shape (N, P), floating point
        Projections of the first and second view, row by row of the same cell; N of 2 or more. Not normalised.

    Returns
    -------
    Tensor, scalar
        Float32 (float64 for float64 input), also under autocast.

    Raises
    ------
    ValueError
        If the shapes differ, or N is below 2.

    Notes
    -----
    Bardes et al. 2022, *VICReg: variance-invariance-covariance regularization for self-supervised learning*.
    Compared in chapter 9, *the real screen*.

    Examples
    --------
    Projections that have collapsed to a point pay for their missing variance:

    >>> import torch
    >>> collapsed = torch.zeros(8, 4)
    >>> round(vicreg_loss(collapsed, collapsed).item(), 2)
    24.75
    """
    if z1.ndim != 2 or z1.shape != z2.shape or len(z1) < 2:
        raise ValueError(
            f"z1 and z2 must both be (N, P) with N of 2 or more, not {tuple(z1.shape)} and {tuple(z2.shape)}"
        )
    with torch.autocast(z1.device.type, enabled=False):
        z1, z2 = (z if z.dtype == torch.float64 else z.float() for z in (z1, z2))
        loss = INVARIANCE * mse_loss(z1, z2)
        for z in (z1, z2):
            deviation = (z.var(0) + SMALLEST_VARIANCE).sqrt()
            between = torch.cov(z.T).fill_diagonal_(0)
            loss = loss + VARIANCE / 2 * relu(1 - deviation).mean()
            loss = loss + COVARIANCE * between.square().sum() / z.shape[1]
    return loss
