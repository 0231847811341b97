"""Encoders: shapes, stems, channel counts and where their weights come from."""

import urllib.error

import pytest
import torch
import torchvision

from cellclr_lib.learning import ProjectionHead, build_encoder


@pytest.mark.parametrize(
    ("name", "features"), [("small", 256), ("resnet18", 512), ("resnet34", 512), ("resnet50", 2048)]
)
@pytest.mark.parametrize("stem", ["cell", "imagenet"])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_shapes(name, features, stem, channels):
    encoder = build_encoder(name, channels, stem).eval()
    assert encoder.out_features == features
    with torch.no_grad():
        assert encoder(torch.rand(2, channels, 33, 40)).shape == (2, features)


def test_resnet101_is_known():
    with torch.device("meta"):
        assert build_encoder("resnet101").out_features == 2048


def test_imagenet_stem_is_torchvisions_network():
    torch.manual_seed(0)
    encoder = build_encoder("resnet18", stem="imagenet").eval()
    theirs = torchvision.models.resnet18().eval()
    theirs.fc = torch.nn.Identity()
    theirs.load_state_dict(encoder.body.state_dict())
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(encoder(images), theirs(images))


def test_cell_stem_keeps_twice_the_resolution():
    sides = {}
    for stem in ("cell", "imagenet"):
        encoder = build_encoder("resnet18", stem=stem).eval()
        encoder.body.layer1.register_forward_hook(lambda _, x, y, stem=stem: sides.update({stem: y.shape[-1]}))
        encoder(torch.rand(1, 3, 96, 96))
    assert sides == {"cell": 48, "imagenet": 24}


def test_normalises_by_its_statistics_and_saves_them():
    torch.manual_seed(0)
    encoder = build_encoder().eval()
    images, mean, std = torch.rand(4, 3, 32, 32), torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.5, 1.0, 2.0])
    expected = encoder((images - mean[:, None, None]) / std[:, None, None])
    encoder.set_statistics(mean.tolist(), std.tolist())
    torch.testing.assert_close(encoder(images), expected)
    other = build_encoder().eval()
    other.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(other(images), expected)


def test_same_seed_same_weights():
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        states.append(build_encoder().body[0].weight)
    assert torch.equal(states[0], states[1]) and not torch.equal(states[0], states[2])


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_weights_from_a_file_for_any_channel_count(channels, tmp_path):
    theirs = torchvision.models.resnet18()
    torch.save(theirs.state_dict(), tmp_path / "weights.pt")
    encoder = build_encoder("resnet18", channels, "imagenet", tmp_path / "weights.pt")
    torch.testing.assert_close(encoder.body.layer4[0].conv1.weight, theirs.layer4[0].conv1.weight)
    torch.testing.assert_close(encoder.body.conv1.weight[:, 0], theirs.conv1.weight[:, 0] * 3 / channels)
    # Three channels keep the kernels as they are.
    if channels == 3:
        assert torch.equal(encoder.body.conv1.weight, theirs.conv1.weight)


def test_weights_without_classifier_and_with_a_cell_stem(tmp_path):
    theirs = torchvision.models.resnet18()
    state = {key: value for key, value in theirs.state_dict().items() if not key.startswith("fc.")}
    torch.save(state, tmp_path / "weights.pt")
    encoder = build_encoder("resnet18", 3, "cell", tmp_path / "weights.pt")
    assert encoder.body.conv1.weight.shape == (64, 3, 3, 3)
    torch.testing.assert_close(encoder.body.layer1[0].conv1.weight, theirs.layer1[0].conv1.weight)


def test_offline_says_what_to_do(monkeypatch):
    def no_network(*args, **kwargs):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", no_network)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", no_network)
    with pytest.raises(RuntimeError, match=r"https://.*resnet18.*path as weights"):
        build_encoder("resnet18", stem="imagenet", weights="imagenet")


def test_weights_that_do_not_fit(tmp_path):
    torch.save(torchvision.models.resnet34().state_dict(), tmp_path / "34.pt")
    with pytest.raises(ValueError, match="34.pt do not fit resnet18"):
        build_encoder("resnet18", weights=tmp_path / "34.pt")
    torch.save({"conv1.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "odd.pt")
    with pytest.raises(ValueError, match="odd.pt do not fit resnet18"):
        build_encoder("resnet18", weights=tmp_path / "odd.pt")
    with pytest.raises(FileNotFoundError, match="nothing.pt"):
        build_encoder("resnet18", weights=tmp_path / "nothing.pt")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "vgg"}, "unknown encoder 'vgg'; choose one of small, resnet18"),
        ({"stem": "wide"}, "unknown stem 'wide'"),
        ({"channels": 0}, "channels is 0"),
        ({"weights": "imagenet"}, 'no pretrained weights for "small"'),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_encoder(**arguments)


def test_wrong_images_name_the_channels():
    with pytest.raises(ValueError, match=r"\(N, 3, H, W\), not \(2, 4, 32, 32\)"):
        build_encoder()(torch.rand(2, 4, 32, 32))


def test_projection_head():
    head = ProjectionHead(16, 8)
    assert head(torch.rand(5, 16)).shape == (5, 8)
    assert ProjectionHead(16)(torch.rand(5, 16)).shape == (5, 256)
    assert sum(p.numel() for p in head.parameters()) == 16 * 16 + 16 + 16 * 8 + 8
