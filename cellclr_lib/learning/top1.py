"""Compute top-1 accuracy: the share of views whose most similar other view is of the same cell or group."""

import torch
from torch.nn.functional import normalize

STRIP_ROWS = 256  # rows of the matrix of similarities that are computed at a time


@torch.no_grad()
def top1_accuracy(z1: torch.Tensor, z2: torch.Tensor, groups: torch.Tensor | None = None) -> torch.Tensor:
    """Compute the share of views whose most similar other view is a positive; a tie is a miss.

    Parameters
    ----------
    z1, z2 : Tensor, shape (N, P), floating point
        Projections of the first and second view, row by row of the same cell. Any length: they are normalised.
    groups : Tensor, shape (N,), integer, optional
        What counts as alike: all views of a group are positives. Default: each cell is its own group.

    Returns
    -------
    Tensor, scalar, float32
        In [0, 1], without gradient. Chance is ``1 / (2N - 1)`` where each cell is its own group.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Notes
    -----
    Computed with cosines in float32 (float64 for float64 input), also under autocast. Explained in chapter 4, *the
    contrastive loss*.

    Examples
    --------
    >>> import torch
    >>> z = torch.eye(4)
    >>> top1_accuracy(z, z).item()
    1.0
    >>> top1_accuracy(z, z.roll(1, 0)).item()
    0.0
    """
    groups = torch.arange(len(z1), device=z1.device) if groups is None else groups
    if z1.ndim != 2 or z1.shape != z2.shape or groups.shape != z1.shape[:1] or z1.numel() == 0:
        raise ValueError(
            f"z1 and z2 must both be (N, P) with N, P ≥ 1 and groups (N,), not {tuple(z1.shape)}, "
            f"{tuple(z2.shape)} and {tuple(groups.shape)}"
        )
    with torch.autocast(z1.device.type, enabled=False):
        z = torch.cat([z1, z2])
        z = normalize(z if z.dtype == torch.float64 else z.float(), dim=1)
        group = groups.repeat(2)
        hits = []
        for start in range(0, len(z), STRIP_ROWS):
            cosines = z[start : start + STRIP_ROWS] @ z.T
            cosines.diagonal(start).fill_(-torch.inf)  # a view is no answer to itself
            positive = group[start : start + STRIP_ROWS, None] == group
            best = cosines.masked_fill(~positive, -torch.inf).amax(1)
            hits.append(best > cosines.masked_fill(positive, -torch.inf).amax(1))
    return torch.cat(hits).float().mean()
