"""Make the paper's views with other packages, each used as fast as its documentation allows.

All get the uint8 crops (N, C, H, W) that we get, and give batches of two float32 views (n, C, H, W) in [0, 1] as
we do, every cell with random numbers of its own. Where a package works image by image, it runs in two worker
processes of a `DataLoader`, and images stay uint8 until they are back in the main process, which saves them
copying. Peers jitter all channels alike, we each on its own; the rest is the same: random resized crop, horizontal
flip, elastic deformation, jitter of brightness and contrast, blur, with the same strengths and probabilities.
"""

import math
import os

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from cellclr_lib.views import ViewConfig

VIEWS = ViewConfig.paper()
WORKERS = 2


def elastic(views):
    """Our elastic deformation in the peers' terms: alpha (px) and sigma (px).

    They blur uniform noise in [-1, 1] by a Gaussian of that sigma and multiply by alpha. The field has correlation
    exp(-r² / 4 sigma²) at distance r, ours exp(-r² / length²), and standard deviation alpha / √3 / (2 √π sigma).
    """
    sigma = views.elastic_length_px / 2
    return views.elastic_std_px * math.sqrt(3) * 2 * math.sqrt(math.pi) * sigma, sigma


def albumentations_pair(size, views=VIEWS):
    """Make a function of one image (C, H, W) uint8 that gives two views of it, with albumentations."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else importing it asks the network for news
    import albumentations as A  # noqa: N812
    import cv2

    alpha, sigma = elastic(views)
    change = A.Compose(
        [
            A.RandomResizedCrop(size=(size, size), scale=views.crop_area, ratio=views.crop_aspect, p=views.crop_p),
            A.HorizontalFlip(p=views.horizontal_flip_p),
            A.ElasticTransform(
                alpha=alpha,
                sigma=sigma,
                noise_distribution="uniform",
                border_mode=cv2.BORDER_REFLECT,
                p=views.elastic_p,
            ),
            A.ColorJitter(
                brightness=views.brightness, contrast=views.contrast, saturation=0, hue=0, p=views.jitter_p
            ),
            A.GaussianBlur(blur_limit=views.blur_kernel_px, sigma_limit=views.blur_sigma_px, p=views.blur_p),
            A.ToTensorV2(),
        ]
    )

    def pair(image):
        image = np.ascontiguousarray(image.transpose(1, 2, 0))
        return change(image=image)["image"], change(image=image)["image"]

    return pair


def torchvision_pair(size, views=VIEWS):
    """Make the same with torchvision's v2 transforms, which draw once per call: one call an image."""
    from torchvision.transforms import v2

    alpha, sigma = elastic(views)
    change = v2.Compose(
        [
            v2.RandomResizedCrop(size, scale=views.crop_area, ratio=views.crop_aspect, antialias=False),
            v2.RandomHorizontalFlip(views.horizontal_flip_p),
            # Its alpha counts in halves of a pixel.
            v2.RandomApply([v2.ElasticTransform(2 * alpha, sigma)], views.elastic_p),
            v2.RandomApply([v2.ColorJitter(views.brightness, views.contrast)], views.jitter_p),
            v2.RandomApply([v2.GaussianBlur(views.blur_kernel_px, views.blur_sigma_px)], views.blur_p),
        ]
    )

    def pair(image):
        image = torch.from_numpy(image)
        return change(image), change(image)

    return pair


def kornia_batches(images, batch_size, views=VIEWS):
    """Batches of views with kornia, which draws for every image of a batch, in this process."""
    import kornia.augmentation as K  # noqa: N812

    alpha, sigma = elastic(views)
    alpha = alpha / (images.shape[-1] / 2)  # it counts in half images
    width = 2 * math.ceil(3 * sigma) + 1
    change = torch.nn.Sequential(
        K.RandomResizedCrop(images.shape[2:], views.crop_area, views.crop_aspect, p=views.crop_p),
        K.RandomHorizontalFlip(p=views.horizontal_flip_p),
        K.RandomElasticTransform(
            kernel_size=(width, width),
            sigma=(sigma, sigma),
            alpha=(alpha, alpha),
            padding_mode="reflection",
            p=views.elastic_p,
        ),
        K.ColorJitter(views.brightness, views.contrast, p=views.jitter_p),
        K.RandomGaussianBlur((views.blur_kernel_px,) * 2, views.blur_sigma_px, p=views.blur_p),
    )

    def batches():
        for start in range(0, len(images), batch_size):
            batch = torch.from_numpy(images[start : start + batch_size]).float().div_(255)
            with torch.no_grad():
                yield change(batch), change(batch)

    return batches


def loader_batches(make_pair, images, batch_size):
    """Batches of views made image by image in two worker processes, which stay alive between calls."""
    loader = DataLoader(
        _Pairs(make_pair, images),
        batch_size,
        num_workers=WORKERS,
        persistent_workers=True,
        worker_init_fn=_one_thread,
        multiprocessing_context="fork",  # what is passed on need not be pickled
    )

    def batches():
        for pair in loader:
            yield tuple(view.float().div_(255) for view in pair)

    return batches


class _Pairs(Dataset):
    def __init__(self, make_pair, images):
        self.pair, self.images = make_pair(images.shape[-1]), images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return self.pair(self.images[i])


def _one_thread(_):
    """OpenCV would start threads in every worker, which get into each other's way."""
    try:
        import cv2
    except ModuleNotFoundError:
        return
    cv2.setNumThreads(0)
