"""Hold the settings of a training. Explained in chapter 5, *training*."""

from dataclasses import dataclass, field
from typing import Literal, get_args, get_origin, get_type_hints

import torch

from cellclr_lib.learning.losses.nt_xent import LOWEST
from cellclr_lib.views.config import ViewConfig

VERSION = 1  # of a training: raise it when the same cells and settings give another encoder


@dataclass(frozen=True)
class TrainConfig:
    """Hold everything that decides a training. Explained in chapter 5, *training*.

    The defaults are for the default simulated screen on two CPU cores. The paper trained a ResNet-50 from ImageNet
    weights on 96 px, batch 256, temperature 0.1, learning rate 3e-4 with weight decay 1e-5, up to 600 epochs.

    Raises
    ------
    ValueError
        If a value is impossible; names the field.

    Examples
    --------
    >>> from dataclasses import replace
    >>> replace(TrainConfig(), temperature=0.5).temperature
    0.5
    >>> TrainConfig(epochs=0)
    Traceback (most recent call last):
    ValueError: epochs is 0; expected 1 or more
    """

    encoder: str = "small"  #: "small" or "resnet18", "resnet34", "resnet50", "resnet101"
    stem: str = "cell"  #: "cell": 3 px, half resolution; "imagenet": 7 px and pooling, a quarter
    weights: str | None = None  #: None: random; "imagenet" or a file: start from these (ResNets)
    projection: int = 128  #: P, length of z; 256 in the paper
    views: ViewConfig = field(default_factory=ViewConfig)  #: the random changes, in px of the stored crop
    input_px: int | None = 48  #: larger crops are averaged down to this side first; None: as stored
    positives: Literal["cell", "well", "treatment"] = "cell"  #: which cell the second view shows
    #: the loss; "sup_con": all cells of a batch that could be paired are positives; "vicreg": no negatives
    objective: Literal["nt_xent", "sup_con", "vicreg"] = "nt_xent"
    epochs: int = 10  #: passes over the store
    batch_size: int = 256  #: cells per step, each in two views
    chunk_cells: int | None = None  #: cells in the network at a time (gradient caching); None: the batch
    temperature: float = 0.1  #: of NT-Xent and SupCon
    optimizer: Literal["adamw", "lars"] = "adamw"  #: LARS for batches in the thousands
    lr: float = 1e-3  #: highest learning rate
    weight_decay: float = 1e-5  #: of weight matrices and kernels
    warmup_epochs: float = 1.0  #: linear rise of the learning rate, then half a cosine to 0, per step
    control_weight: float = 1.0  #: chance of a control cell to be drawn, relative to any other cell
    cells_per_epoch: int | None = None  #: cells drawn per epoch; None: as many as there are
    seed: int = 0  #: of initial weights, order of cells and views
    precision: Literal["auto", "bf16", "fp32"] = "auto"  #: auto: bf16 where the device is good at it
    device: Literal["auto", "cpu", "cuda"] = "auto"  #: auto: a GPU if there is one
    folder: str | None = None  #: of checkpoint and history; None: runs/<key> in the store's folder
    checkpoint_every_s: float = 60.0  #: a checkpoint is written after the first epoch to end later than this

    def __post_init__(self) -> None:
        least = {
            "projection": 1, "input_px": 8, "epochs": 1, "batch_size": 2, "cells_per_epoch": 2,
            "chunk_cells": 1, "lr": 0, "weight_decay": 0, "warmup_epochs": 0, "control_weight": 0,
            "checkpoint_every_s": 0,
        }  # fmt: skip
        for name, low in least.items():
            value = getattr(self, name)
            if value is not None and not value >= low:
                raise ValueError(f"{name} is {value}; expected {low} or more")
        if not self.temperature >= (lowest := LOWEST[torch.float64]):
            raise ValueError(f"temperature is {self.temperature}; expected at least {lowest}")
        for name, kind in get_type_hints(type(self)).items():
            value, choices = getattr(self, name), get_args(kind)
            if get_origin(kind) is Literal and value not in choices:
                raise ValueError(f"{name} is {value!r}; expected {', '.join(choices)}")
