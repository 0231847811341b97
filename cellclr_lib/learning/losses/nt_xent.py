"""Compute NT-Xent, the loss of SimCLR: find the other view of the same cell among all views of a batch.

Source: Chen et al. 2020, *A simple framework for contrastive learning of visual representations*.
Explained in chapter 4, *the contrastive loss*.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn.functional import normalize, softplus

STRIP_ROWS = 256  # rows of the matrix of similarities that are computed at a time
HELD_VIEWS = 8192  # up to so many views (N = 4096) half the matrix is held, 128 MB; beyond, it is computed twice
LOWEST = {torch.float32: 0.025, torch.float64: 0.003}  # where exp(-2 / temperature) still has all its digits


def nt_xent_loss(z1: torch.Tensor, z2: torch.Tensor, temperature: float = 0.1) -> torch.Tensor:
    """Compute the normalised-temperature cross-entropy of a batch of pairs of views.

    Each of the 2N views has one partner among the other 2N - 1 views; the other 2N - 2 are its negatives. The loss
    is the cross-entropy of finding the partner, with cosine similarities over `temperature` as logits, averaged
    over the 2N views: ``log(2N - 1)`` where all views are alike, 0 where every partner is certain.

    Parameters
    ----------
    z1, z2 : Tensor, shape (N, P), floating point
        Projections of the first and second view, row by row of the same cell. Any length: they are normalised.
    temperature : float
        Divides the similarities; at least 0.003. Small values weigh the nearest negatives most.

    Returns
    -------
    Tensor, scalar
        Float32 (float64 for float64 input), also under autocast. Can be differentiated once.

    Raises
    ------
    ValueError
        If the shapes differ or are not (N, P) with N, P ≥ 1, or `temperature` is below 0.003.

    See Also
    --------
    cellclr_lib.learning.top1_accuracy : share of the views that find their partner.

    Notes
    -----
    Chen et al. 2020, *A simple framework for contrastive learning of visual representations*. Explained in
    chapter 4, *the contrastive loss*.

    Examples
    --------
    Four cells whose views are equal, and orthogonal to those of all other cells:

    >>> import torch
    >>> z = torch.eye(4)
    >>> round(nt_xent_loss(z, z, temperature=0.5).item(), 3)
    0.594
    """
    if z1.ndim != 2 or z1.shape != z2.shape or z1.numel() == 0:
        raise ValueError(
            f"z1 and z2 must both be (N, P) with N, P ≥ 1, not {tuple(z1.shape)} and {tuple(z2.shape)}"
        )
    if not temperature >= LOWEST[torch.float64]:
        raise ValueError(f"temperature is {temperature}; expected at least {LOWEST[torch.float64]}")
    # Autocast would round the similarities to bfloat16, whose steps of 0.004 are 0.4 after a division by 0.01.
    with torch.autocast(z1.device.type, enabled=False):
        z = torch.cat([z1, z2])
        dtype = z.dtype if z.dtype == torch.float64 else torch.float32
        z = z.to(dtype if temperature >= LOWEST[dtype] else torch.float64)
        loss: torch.Tensor = _NTXent.apply(normalize(z, dim=1), temperature)
    return loss.to(dtype)


class _NTXent(torch.autograd.Function):
    """NT-Xent of unit rows z (2N, P), of which i and i + N are partners, and with it its gradient.

    With the similarities ``s_ij = z_i · z_j`` let ``e_ij = exp((s_ij - 1) / T)``. No similarity exceeds 1, so
    nothing overflows; none is below -1, so nothing vanishes at the temperatures that are let in. With ``p`` the
    partner of i, ``n_i`` the sum of e_ij over the negatives j and ``t_i = n_i + e_ip``,

        loss  =  mean of log(t_i / e_ip)
        ∂loss/∂z_i  =  [ Σ_j (1 / t_i + 1 / t_j) e_ij z_j  -  (n_i / t_i + n_p / t_p) z_p ] / (2N T),

    with j over the negatives. A negative pushes by the probability that i gives it and by the one that it gives i;
    the partner pulls by what these two lack to 1.

    The matrix e is symmetric, so only its upper half is computed, strip by strip of rows i, from the diagonal to
    the right. Read along its rows a strip serves the views i, read along its columns the views j. A first round
    over the strips finds the sums n, a second the gradient, which is all that is kept for the backward pass.
    """

    @staticmethod
    def forward(ctx: Any, z: torch.Tensor, temperature: float) -> torch.Tensor:
        half = len(z) // 2
        differentiate = ctx.needs_input_grad[0]
        partner = z.new_empty(half)  # logits (s - 1) / T of a view and its partner
        negatives = z.new_zeros(len(z))  # n
        held = []
        for start, strip in _strips(z, temperature):
            end = start + len(strip)
            pairs = strip.diagonal(half)
            partner[start : start + len(pairs)] = pairs
            _leave_negatives(strip, half).exp_()
            negatives[start:] += strip.sum(0)  # the square at the diagonal is symmetric: once is enough
            negatives[start:end] += strip[:, len(strip) :].sum(1)
            if differentiate and len(z) <= HELD_VIEWS:
                held.append((start, strip))
        partner = partner.repeat(2)
        loss = softplus(negatives.log() - partner, threshold=40).mean()  # log(1 + n / e), exact to float64
        if differentiate:
            share = 1 / (negatives + partner.exp())  # 1 / t
            pull = negatives * share
            gradient = (pull + pull.roll(half))[:, None] * -z.roll(half, 0)
            for start, strip in held or _strips(z, temperature):
                end = start + len(strip)
                if not held:
                    _leave_negatives(strip, half).exp_()
                strip *= share[start:end, None] + share[start:]
                gradient[start:].addmm_(strip.T, z[start:end])
                gradient[start:end].addmm_(strip[:, len(strip) :], z[end:])
            ctx.save_for_backward(gradient.div_(len(z) * temperature))
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: torch.Tensor) -> tuple[torch.Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return slope * gradient, None


def _strips(z: torch.Tensor, temperature: float) -> Iterator[tuple[int, torch.Tensor]]:
    """First row and logits ``(s_ij - 1) / T`` of each strip of rows i, for all columns j from that row on."""
    shift = z.new_full((1,), -1 / temperature)
    for start in range(0, len(z), STRIP_ROWS):
        rows = z[start : start + STRIP_ROWS]
        yield start, torch.addmm(shift, rows, z[start:].T, alpha=1 / temperature)


def _leave_negatives(strip: torch.Tensor, half: int) -> torch.Tensor:
    """Blank the logits of each view with itself and with its partner, in place."""
    for offset in (-half, 0, half):
        strip.diagonal(offset).fill_(-torch.inf)
    return strip
