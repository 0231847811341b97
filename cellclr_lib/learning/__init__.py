"""Train an encoder on views of single cells, and turn cells into features.

Names are looked up on first use, so that importing the package does not import torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "config": ["TrainConfig"],
        "embedding": ["embed", "embed_images"],
        "losses.nt_xent": ["nt_xent_loss"],
        "losses.sup_con": ["sup_con_loss"],
        "top1": ["top1_accuracy"],
        "losses.vicreg": ["vicreg_loss"],
        "model": ["Encoder", "ProjectionHead", "build_encoder"],
        "training": ["EpochState", "TrainResult", "train"],
    },
)
