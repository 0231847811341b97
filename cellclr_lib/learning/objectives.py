"""Other questions than that of NT-Xent: several positives (SupCon), and none but agreement (VICReg).

Both take a batch of pairs of views and give a loss and the same top-1 as `nt_xent`, so that
`TrainConfig.objective` can choose among the three. Explained in chapter 9, *the real screen*.
"""

import torch
from torch.nn.functional import mse_loss, normalize, relu

INVARIANCE, VARIANCE, COVARIANCE = 25.0, 25.0, 1.0  # weights of the three parts of VICReg, as published
SMALLEST_VARIANCE = 1e-4  # added before the root in VICReg, as published


def sup_con(z1, z2, groups, temperature):
    """Supervised contrastive loss: every view of a group attracts every other, all further views are negatives.

    With the logits ``l_ij = z_i · z_j / temperature`` of unit rows, the loss of view i is the mean over its
    positives p of ``log Σ_j exp(l_ij) - l_ip``, j running over all views but i. Where no two cells share a group
    this is NT-Xent. Where many do, NT-Xent would push apart cells that were treated alike.

    Parameters
    ----------
    z1, z2 : Tensor, shape (N, P), floating point
        Projections of the first and second view, row by row of the same group. Any length: they are normalised.
    groups : Tensor, shape (N,), integer
        What is alike: the row of a cell, its well or its treatment.
    temperature : float
        Divides the similarities; positive.

    Returns
    -------
    loss : Tensor, scalar
        Float32 (float64 for float64 input), also under autocast; averaged over the 2N views.
    top1 : Tensor, scalar
        Share of the views whose most similar other view is of their group, in [0, 1]. Carries no gradient.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Notes
    -----
    Khosla et al. 2020, *Supervised contrastive learning*, the form with the sum outside the logarithm. Holds the
    (2N, 2N) matrix of similarities. Explained in chapter 9, *the real screen*.
    """
    if z1.ndim != 2 or z1.shape != z2.shape or groups.shape != z1.shape[:1]:
        raise ValueError(
            f"z1 and z2 must both be (N, P) and groups (N,), not {tuple(z1.shape)}, {tuple(z2.shape)} and "
            f"{tuple(groups.shape)}"
        )
    with torch.autocast(z1.device.type, enabled=False):
        logits, positive = _similarities(z1, z2, groups)
        logits = logits / temperature
        log_share = logits - logits.logsumexp(1, keepdim=True)
        per_view = log_share.masked_fill(~positive, 0).sum(1) / positive.sum(1)
    return -per_view.mean(), _top1(logits, positive)


def vicreg(z1, z2):
    """Variance, invariance and covariance: the views of a cell agree, and no direction of z collapses.

    ``25 · mse(z1, z2) + 25 · mean(max(0, 1 - std)) + Σ_{a≠b} cov_ab² / P``, the last two for each view, the middle
    one averaged over both. There are no negatives, so cells treated alike do not push each other apart.

    Parameters
    ----------
    z1, z2 : Tensor, shape (N, P), floating point
        Projections of the first and second view, row by row of the same cell; N of 2 or more. Not normalised.

    Returns
    -------
    loss, top1 : Tensor, scalar
        As for `nt_xent`.

    Raises
    ------
    ValueError
        If the shapes differ, or N is below 2.

    Notes
    -----
    Bardes et al. 2022, *VICReg: variance-invariance-covariance regularization for self-supervised learning*.
    Compared in chapter 9, *the real screen*.
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
        groups = torch.arange(len(z1), device=z1.device)
        top1 = _top1(*_similarities(z1.detach(), z2.detach(), groups))
    return loss, top1


def _similarities(z1, z2, groups):
    """Cosines (2N, 2N) of all views, -inf of a view with itself, and the mask of those of one group."""
    z = torch.cat([z1, z2])
    z = normalize(z if z.dtype == torch.float64 else z.float(), dim=1)
    group = torch.cat([groups, groups])
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    return (z @ z.T).masked_fill(itself, -torch.inf), (group[:, None] == group) & ~itself


def _top1(similarities, positive):
    best = similarities.detach()
    hit = best.masked_fill(~positive, -torch.inf).amax(1) > best.masked_fill(positive, -torch.inf).amax(1)
    return hit.float().mean()
