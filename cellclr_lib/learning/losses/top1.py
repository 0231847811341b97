"""Compute top-1: the share of views whose most similar view is a positive."""

import torch
from torch.nn.functional import normalize


def similarities(z1, z2, groups):
    """Cosines (2N, 2N) of all views, -inf of a view with itself, and the mask of those of one group."""
    z = torch.cat([z1, z2])
    z = normalize(z if z.dtype == torch.float64 else z.float(), dim=1)
    group = torch.cat([groups, groups])
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    return (z @ z.T).masked_fill(itself, -torch.inf), (group[:, None] == group) & ~itself


def top1_share(cosines, positive):
    """Share of views whose most similar view is a positive, a scalar tensor without gradient; a tie is a miss.

    Parameters
    ----------
    cosines : Tensor, shape (2N, 2N)
    positive : Tensor, shape (2N, 2N), bool
        As `similarities` gives both.
    """
    best = cosines.detach()
    hit = best.masked_fill(~positive, -torch.inf).amax(1) > best.masked_fill(positive, -torch.inf).amax(1)
    return hit.float().mean()
