"""Compute SupCon: all cells of a group are positives of each other.

Source: Khosla et al. 2020, *Supervised contrastive learning*. Explained in chapter 9.
"""

import torch
from torch.nn.functional import normalize


def sup_con_loss(
    z1: torch.Tensor, z2: torch.Tensor, groups: torch.Tensor, temperature: float = 0.1
) -> torch.Tensor:
    """Compute the supervised contrastive loss: all views of a group are positives, all others negatives.

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
    Tensor, scalar
        Float32 (float64 for float64 input), also under autocast; averaged over the 2N views.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Notes
    -----
    Khosla et al. 2020, *Supervised contrastive learning*, the form with the sum outside the logarithm. Holds the
    (2N, 2N) matrix of similarities. Explained in chapter 9, *the real screen*.

    Examples
    --------
    Two groups of two cells, one in each of two opposite places: ``log(3 + 4 exp(-2 / T))``

    >>> import torch
    >>> z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]])
    >>> round(sup_con_loss(z, z, torch.tensor([0, 0, 1, 1]), temperature=1.0).item(), 2)
    1.26
    """
    if z1.ndim != 2 or z1.shape != z2.shape or groups.shape != z1.shape[:1]:
        raise ValueError(
            f"z1 and z2 must both be (N, P) and groups (N,), not {tuple(z1.shape)}, {tuple(z2.shape)} and "
            f"{tuple(groups.shape)}"
        )
    with torch.autocast(z1.device.type, enabled=False):
        z = torch.cat([z1, z2])
        z = normalize(z if z.dtype == torch.float64 else z.float(), dim=1)
        itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
        group = groups.repeat(2)
        positive = (group[:, None] == group) & ~itself
        logits = (z @ z.T).masked_fill(itself, -torch.inf) / temperature
        log_share = logits - logits.logsumexp(1, keepdim=True)
        per_view = log_share.masked_fill(~positive, 0).sum(1) / positive.sum(1)
    return -per_view.mean()
