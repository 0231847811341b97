"""Compute features that a learned representation has to beat: handcrafted, pixels, and an untrained encoder.

Explained in chapter 6, *evaluation*. Names are looked up on first use, so that importing the package does not
import torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "handcrafted": ["feature_names", "handcrafted_features"],
        "pixel_pca": ["pixel_pca_features"],
        "untrained": ["untrained_features"],
    },
)
