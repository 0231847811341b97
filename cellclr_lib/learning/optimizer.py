"""Optimisers and the learning rate's way through training. Explained in chapter 5, *training*."""

import math

import torch


def learning_rate(config, step, steps_per_epoch):
    """Learning rate of one step: a linear rise over the warm-up, then half a cosine down to zero.

    Parameters
    ----------
    config : TrainConfig
        ``lr``, ``epochs`` and ``warmup_epochs``.
    step : int
        Counted from 0 over all epochs.
    steps_per_epoch : int
    """
    total, warmup = config.epochs * steps_per_epoch, config.warmup_epochs * steps_per_epoch
    if step < warmup:
        return config.lr * min(1.0, (step + 1) / warmup)
    return config.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def build_optimizer(config, parameters):
    """AdamW or LARS over `parameters`; biases and normalisation weights (1-D) are not decayed."""
    parameters = list(parameters)
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.optimizer == "lars":
        return LARS(groups, lr=config.lr)
    return torch.optim.AdamW(groups, lr=config.lr, fused=True)  # one pass over memory, not one per operation


class LARS(torch.optim.Optimizer):
    """Layer-wise adaptive rate scaling, for large batches (You et al. 2017, arXiv 1708.03888).

    Each matrix moves by a step in proportion to its own norm; 1-D parameters take plain momentum steps.
    Expect learning rates near 0.3 · batch size / 256, as in SimCLR.
    """

    def __init__(self, params, lr, momentum=0.9, weight_decay=0.0, trust=0.001):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay, trust=trust))

    @torch.no_grad()
    def step(self):
        """Make one step from the gradients at hand."""
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
