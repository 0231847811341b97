"""Build the encoder (image → representation h) and the projection head (h → projection z).

The loss sees z; the features of a cell are h. Explained in chapter 5, *training*.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
import torchvision
from torch import nn
from torchvision.models.resnet import BasicBlock

RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101")
SMALL_WIDTHS = (32, 64, 128, 256)  # channels of the four stages of "small", one block each
STEMS = ("cell", "imagenet")


class Encoder(nn.Module):
    """Compute the average-pooled representation of images; made by `build_encoder`.

    Attributes
    ----------
    out_features : int
        D, the length of the representation.
    mean, std : Tensor, shape (C,)
        Each channel is normalised by these; 0 and 1 until `set_statistics` is called. Saved with the weights.

    Examples
    --------
    >>> encoder = build_encoder("small", channels=3).set_statistics([0.1, 0.2, 0.3], [1, 1, 1])
    >>> encoder(torch.zeros(4, 3, 32, 32)).shape
    torch.Size([4, 256])
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, body: nn.Module, out_features: int, channels: int) -> None:
        super().__init__()
        self.body, self.out_features, self.channels = body, out_features, channels
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    def set_statistics(self, mean: torch.Tensor | Sequence[float], std: torch.Tensor | Sequence[float]) -> Self:
        """Set each channel's mean and standard deviation, sequences of C numbers; return the encoder."""
        self.mean.copy_(torch.as_tensor(mean, dtype=torch.float32))
        self.std.copy_(torch.as_tensor(std, dtype=torch.float32).clamp(min=1e-6))
        return self

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Compute the representation (N, D) of `images` (N, C, H, W), float, integers scaled to [0, 1].

        Raises
        ------
        ValueError
            If the images have another number of channels than the encoder.
        """
        if images.ndim != 4 or images.shape[1] != self.channels:
            raise ValueError(f"the encoder takes (N, {self.channels}, H, W), not {tuple(images.shape)}")
        h: torch.Tensor = self.body((images - self.mean[:, None, None]) / self.std[:, None, None])
        return h


class ProjectionHead(nn.Sequential):
    """Project h (N, D) to z (N, P): linear, ReLU, linear; D → D → P as in the paper, where P is 256.

    Examples
    --------
    >>> ProjectionHead(512, 128)(torch.zeros(4, 512)).shape
    torch.Size([4, 128])
    """

    def __init__(self, in_features: int, out_features: int = 256) -> None:
        super().__init__(
            nn.Linear(in_features, in_features), nn.ReLU(inplace=True), nn.Linear(in_features, out_features)
        )


def build_encoder(
    name: str = "small", channels: int = 3, stem: str = "cell", weights: str | Path | None = None
) -> Encoder:
    """Make an encoder with the global random number generator of torch (`torch.manual_seed`).

    Parameters
    ----------
    name : str
        "resnet18", "resnet34", "resnet50" or "resnet101" (torchvision), or "small": one residual block per
        stage at half of ResNet-18's widths, 1.2 million parameters, for training on a CPU.
    channels : int
        C, stains per image.
    stem : {"cell", "imagenet"}
        "imagenet": 7 px kernel, stride 2, then max-pooling, which leaves a quarter of each side. "cell": 3 px
        kernel, stride 2, no pooling: half of each side, so that filaments in a 96 px crop survive the first layer.
    weights : None, "imagenet" or path
        Weights to start from, ResNets only: torchvision's default ImageNet weights from its hub, or a file
        with a state dict in torchvision's names. With other than three channels the kernels of red, green and
        blue are taken in turn, scaled to keep the sum. A "cell" stem starts at random in any case.

    Returns
    -------
    Encoder
        ``.out_features`` is 256 ("small"), 512 (ResNet-18 and -34) or 2048 (ResNet-50 and -101).

    Raises
    ------
    ValueError
        For an unknown name or stem, fewer than one channel, weights for "small", or weights that do not fit.
    FileNotFoundError
        If `weights` is a path and there is no such file.
    RuntimeError
        If the ImageNet weights are not in the local cache and cannot be downloaded.

    Examples
    --------
    >>> encoder = build_encoder("small", channels=5)
    >>> encoder(torch.zeros(2, 5, 48, 48)).shape
    torch.Size([2, 256])
    """
    if name not in ("small", *RESNETS):
        raise ValueError(f"unknown encoder {name!r}; choose one of {', '.join(('small', *RESNETS))}")
    if stem not in STEMS:
        raise ValueError(f"unknown stem {stem!r}; choose one of {', '.join(STEMS)}")
    if channels < 1:
        raise ValueError(f"channels is {channels}; expected 1 or more")
    if name == "small":
        if weights is not None:
            raise ValueError('there are no pretrained weights for "small"; set weights=None or take a ResNet')
        return Encoder(_small(channels, stem), SMALL_WIDTHS[-1], channels)
    resnet = getattr(torchvision.models, name)(weights=None)
    if weights is not None:
        _load_weights(resnet, name, weights)
    out_features, width = resnet.fc.in_features, resnet.conv1.out_channels
    resnet.fc = nn.Identity()
    if stem == "cell":
        resnet.conv1, resnet.maxpool = _stem_conv(channels, width, stem), nn.Identity()
    elif channels != 3:
        rgb, resnet.conv1 = resnet.conv1, _stem_conv(channels, width, stem)
        if weights is not None:
            resnet.conv1.weight.data = rgb.weight.data[:, torch.arange(channels) % 3] * 3 / channels
    return Encoder(resnet, out_features, channels)


def _stem_conv(channels: int, width: int, stem: str) -> nn.Conv2d:
    kernel = 3 if stem == "cell" else 7
    conv = nn.Conv2d(channels, width, kernel, stride=2, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv


def _small(channels: int, stem: str) -> nn.Sequential:
    layers: list[nn.Module] = [_stem_conv(channels, SMALL_WIDTHS[0], stem)]
    width = SMALL_WIDTHS[0]
    layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    if stem == "imagenet":
        layers.append(nn.MaxPool2d(3, stride=2, padding=1))
    for stage, out in enumerate(SMALL_WIDTHS):
        stride, shortcut = min(stage, 1) + 1, None
        if stage:
            shortcut = nn.Sequential(nn.Conv2d(width, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        layers.append(BasicBlock(width, out, stride, shortcut))
        width = out
    body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    for module in body.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return body


def _load_weights(resnet: nn.Module, name: str, weights: str | Path) -> None:
    if weights == "imagenet":
        source = torchvision.models.get_model_weights(name).DEFAULT
        try:
            state = source.get_state_dict(progress=True, check_hash=True)
        except OSError as error:  # urllib's errors are OSErrors
            raise RuntimeError(
                f"the ImageNet weights of {name} could not be downloaded from {source.url} ({error}); fetch "
                f"that file where there is a network and give its path as weights, or set weights=None"
            ) from error
    else:
        path = Path(weights)
        if not path.is_file():
            raise FileNotFoundError(f'no weights file {path}; expected a path, "imagenet" or None')
        state = torch.load(path, map_location="cpu", weights_only=True)
    # The classifier is not used, and a file of weights may lack it or have another number of classes.
    state = {key: value for key, value in state.items() if not key.startswith("fc.")}
    try:
        missing, unexpected = resnet.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise ValueError(f"the weights {weights} do not fit {name}: {error}") from error
    if unexpected or [key for key in missing if not key.startswith("fc.")]:
        raise ValueError(f"the weights {weights} do not fit {name}: missing {missing}, unexpected {unexpected}")
