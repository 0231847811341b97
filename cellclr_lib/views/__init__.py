"""Random changes of a cell: settings, random numbers, geometry, and two implementations.

Names are looked up on first use, so that importing the package does not import torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "augmentation": ["apply_view", "two_views"],
        "config": ["ViewConfig"],
        "sampling": ["ViewDraw", "draw_view"],
    },
)
