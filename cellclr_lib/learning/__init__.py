"""Single cells → features: random views, encoder, contrastive loss, training, embedding, baselines.

Names are looked up on first use, so that importing the library does not import torch.
"""

import importlib
import sys
import types

_HOMES = {
    "ViewConfig": "augment",
    "two_views": "augment",
    "Encoder": "model",
    "ProjectionHead": "model",
    "build_encoder": "model",
    "nt_xent": "loss",
    "sup_con": "objectives",
    "vicreg": "objectives",
    "TrainConfig": "train",
    "TrainResult": "train",
    "train": "train",
    "embed": "embed",
    "embed_images": "embed",
    "handmade_features": "baselines",
    "pixel_pca": "baselines",
    "untrained_encoder": "baselines",
}
__all__ = list(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted(__all__)


class _Room(types.ModuleType):
    """Keeps `train` and `embed` the functions: importing the files of that name would put the modules there."""

    def __setattr__(self, name, value):
        if not (name in _HOMES and isinstance(value, types.ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Room
