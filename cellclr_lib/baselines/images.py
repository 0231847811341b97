"""Check the crops that a baseline is given."""


def check_images(images):
    """Raise ValueError unless `images` is a batch (N, C, H, W) of at least one crop."""
    if images.ndim != 4 or not len(images):
        raise ValueError(f"images has the shape {images.shape}; expected (N, C, H, W) with N > 0")
