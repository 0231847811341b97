"""NT-Xent: the two views of a cell shall be each other's nearest among all views of a batch.

Source: Chen et al. 2020, *A simple framework for contrastive learning of visual representations*.
Explained in chapter 4, *the contrastive loss*.
"""

import torch
from torch.nn.functional import cross_entropy, normalize


def nt_xent(z1, z2, temperature):
    """Normalised-temperature cross-entropy of a batch of pairs of views.

    Each of the 2N views asks which of the other 2N - 1 is its partner; the other 2N - 2 are its negatives.
    The loss is the cross-entropy of that question with cosine similarities over `temperature` as logits,
    averaged over the 2N views: ``log(2N - 1)`` where nothing is told apart, 0 where everything is.

    Parameters
    ----------
    z1, z2 : Tensor, shape (N, P), floating point
        Projections of the first and second view, row by row of the same cell. Any length: they are normalised.
    temperature : float
        Divides the similarities; positive. Small values weigh the nearest negatives most.

    Returns
    -------
    loss : Tensor, scalar
        Float32 (float64 for float64 input), also under autocast.
    top1 : Tensor, scalar
        Share of the 2N views whose most similar other view is their partner, in [0, 1]. Carries no gradient.

    Raises
    ------
    ValueError
        If the shapes differ or are not (N, P) with N, P ≥ 1, or `temperature` is not positive.
    """
    if z1.ndim != 2 or z1.shape != z2.shape or z1.numel() == 0:
        raise ValueError(
            f"z1 and z2 must both be (N, P) with N, P ≥ 1, not {tuple(z1.shape)} and {tuple(z2.shape)}"
        )
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; expected a positive number")
    n = len(z1)
    # Autocast would round the similarities to bfloat16, whose steps of 0.004 are 0.4 after a division by 0.01.
    with torch.autocast(z1.device.type, enabled=False):
        z = torch.cat([z1, z2])
        z = normalize(z if z.dtype == torch.float64 else z.float(), dim=1)  # (2N, P)
        logits = (z / temperature) @ z.T  # (2N, 2N)
        logits.fill_diagonal_(-torch.inf)  # a view is not its own negative
        partner = torch.arange(2 * n, device=z.device).roll(n)  # view i and view i + N are of one cell
        loss = cross_entropy(logits, partner)
    top1 = (logits.detach().argmax(dim=1) == partner).float().mean()
    return loss, top1
