"""Build the optimiser of a training, and compute its learning rate step by step.

The learning rate is a formula of the step and not a `torch.optim.lr_scheduler`: it needs no state in a checkpoint,
so a resumed training cannot be at another place of the schedule than its optimiser. Explained in chapter 5,
*training*.
"""

import math
from collections.abc import Iterable

import torch

from cellclr_lib.learning.config import TrainConfig


def learning_rate(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """Compute the learning rate of one step: a linear rise over the warm-up, then half a cosine down to zero.

    Parameters
    ----------
    config : TrainConfig
        ``lr``, ``epochs`` and ``warmup_epochs``.
    step : int
        Counted from 0 over all epochs.
    steps_per_epoch : int

    Returns
    -------
    float
        In [0, ``config.lr``].

    Examples
    --------
    >>> config = TrainConfig(lr=1.0, epochs=3, warmup_epochs=1)
    >>> [round(learning_rate(config, step, steps_per_epoch=2), 2) for step in range(6)]
    [0.5, 1.0, 1.0, 0.85, 0.5, 0.15]
    """
    total, warmup = config.epochs * steps_per_epoch, config.warmup_epochs * steps_per_epoch
    if step < warmup:
        return config.lr * min(1.0, (step + 1) / warmup)
    return config.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def build_optimizer(config: TrainConfig, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """Build AdamW or LARS for some parameters; biases and normalisation weights (1-D) are not decayed.

    Parameters
    ----------
    config : TrainConfig
        ``optimizer``, ``lr`` and ``weight_decay``.
    parameters : iterable of Parameter

    Returns
    -------
    torch.optim.Optimizer

    Examples
    --------
    >>> optimizer = build_optimizer(TrainConfig(weight_decay=0.1), torch.nn.Linear(3, 2).parameters())
    >>> [group["weight_decay"] for group in optimizer.param_groups]
    [0.1, 0.0]
    """
    parameters = list(parameters)
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.optimizer == "lars":
        return LARS(groups, lr=config.lr)
    return torch.optim.AdamW(groups, lr=config.lr, fused=True)  # one pass over memory, not one per operation


class LARS(torch.optim.Optimizer):
    """Scale the rate of each layer to its weights, for large batches (You et al. 2017, arXiv 1708.03888).

    Each matrix moves by a step in proportion to its own norm; 1-D parameters take plain momentum steps.
    Expect learning rates near 0.3 · batch size / 256, as in SimCLR.
    """

    def __init__(
        self,
        params: Iterable[dict[str, object]],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 0.001,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Make one step with the current gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                update = parameter.grad.add(parameter, alpha=group["weight_decay"])
                if parameter.ndim > 1:
                    size, change = parameter.norm(), update.norm()
                    ratio = group["trust"] * size / change.clamp(min=1e-12)
                    update = update * torch.where((size > 0) & (change > 0), ratio, 1.0)
                momentum = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
                momentum.mul_(group["momentum"]).add_(update)
                parameter.sub_(momentum, alpha=group["lr"])
