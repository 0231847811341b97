"""Embedding equals the encoder's plain forward pass, and says what is wrong with a checkpoint."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import BatchNorm2d
from torch.nn.functional import avg_pool2d

from cellclr_lib.data import CellStore
from cellclr_lib.learning import TrainConfig, build_encoder, distributed, embed, embed_images, train
from cellclr_lib.learning.embedding import for_inference


def make_store(path, n=20, channels=3):
    images = np.random.default_rng(0).integers(0, 256, (n, channels, 24, 24), dtype=np.uint8)
    return CellStore.from_arrays(images, pd.DataFrame({"compound": ["DMSO"] * n}), path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    store = make_store(tmp_path_factory.mktemp("embed") / "store")
    return train(store, TrainConfig(epochs=1, batch_size=8, input_px=12, device="cpu")).checkpoint, store


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return build_encoder("small").set_statistics([0.5] * 3, [0.3] * 3)


def images(n=9, px=32, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (n, 3, px, px), dtype=dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_equals_the_plain_forward_pass(encoder, dtype, batch_size):
    pixels = torch.tensor(images(dtype=dtype).astype(np.float32) / np.iinfo(dtype).max)
    with torch.no_grad():
        whole = encoder.eval()(pixels).numpy()
        shrunk = encoder(avg_pool2d(pixels, 2)).numpy()
    encoder.train()
    options = {"batch_size": batch_size, "device": "cpu", "precision": "fp32"}
    found = embed_images(images(dtype=dtype), encoder, **options)
    assert found.dtype == np.float32 and found.shape == (9, 256)
    np.testing.assert_allclose(found, whole, atol=1e-4)
    for px, expected in ((16, shrunk), (64, whole)):
        found = embed_images(images(dtype=dtype), encoder, input_px=px, **options)
        np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(embed_images(pixels, encoder, **options), whole, atol=1e-4)
    assert encoder.training


def test_bfloat16_is_close(encoder):
    exact = embed_images(images(), encoder, device="cpu", precision="fp32")
    rough = embed_images(images(), encoder, device="cpu", precision="bf16")
    assert 0 < np.abs(exact - rough).max() < 0.03 * np.abs(exact).max()


@pytest.mark.parametrize("name", ["small", "resnet18", "resnet50"])
@pytest.mark.parametrize("norm", [BatchNorm2d, distributed.SynchronizedBatchNorm])
def test_folded_normalisation_changes_nothing_but_rounding(name, norm):
    torch.manual_seed(0)
    encoder = build_encoder(name, stem="imagenet").double()
    for module in encoder.modules():
        if isinstance(module, BatchNorm2d):  # as after a training: statistics and weights of its own
            module.__class__ = norm
            for values in (module.running_mean, module.bias.data):
                values.normal_()
            for values in (module.running_var, module.weight.data):
                values.uniform_(0.5, 2)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    pixels = torch.rand(2, 3, 40, 40, dtype=torch.float64)
    folded = for_inference(encoder.train())
    assert not any(isinstance(module, BatchNorm2d) for module in folded.modules()) and encoder.training
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())
    with torch.no_grad():
        torch.testing.assert_close(folded(pixels), encoder.eval()(pixels))


def test_the_mode_is_kept_after_an_error(encoder):
    with pytest.raises(ValueError, match="3, H, W"):
        embed_images(images()[:, :2], encoder.train())
    assert encoder.training
    with pytest.raises(ValueError, match=r"\(N, C, H, W\)"):
        embed_images(images()[0], encoder)


def test_embeds_a_store(trained):
    checkpoint, store = trained
    h = embed(store, checkpoint)
    assert h.shape == (20, 256) and h.dtype == np.float32 and np.isfinite(h).all()
    np.testing.assert_array_equal(h, embed(store, str(checkpoint), progress=False))
    exact = [embed(store, checkpoint, batch_size=size, precision="fp32") for size in (3, 20)]
    np.testing.assert_allclose(*exact, atol=1e-5)


def test_missing_and_foreign_checkpoints(trained, tmp_path):
    _, store = trained
    with pytest.raises(FileNotFoundError, match="nothing.pt.*cellclr_lib train"):
        embed(store, tmp_path / "nothing.pt")
    (tmp_path / "text.pt").write_text("not a checkpoint")
    torch.save({"weights": torch.ones(3)}, tmp_path / "other.pt")
    (tmp_path / "half.pt").write_bytes(trained[0].read_bytes()[:5000])
    for name in ("text.pt", "other.pt", "half.pt"):
        with pytest.raises(ValueError, match=f"{name} is not a checkpoint"):
            embed(store, tmp_path / name)


def test_other_channels(trained, tmp_path):
    with pytest.raises(ValueError, match="the channels dna, tubulin, actin, but .* has channel0, channel1"):
        embed(make_store(tmp_path / "two", channels=2), trained[0])


def test_another_kind_of_crops_is_refused(trained, tmp_path):
    """An encoder sees crops of the type, size and order of channels that it was trained on, of any screen."""
    checkpoint, store = trained
    crops, table = np.array(store.images), store.table
    names = list(store.channels)
    turned = CellStore.from_arrays(crops[:, ::-1], table, tmp_path / "turned", channels=names[::-1])
    with pytest.raises(ValueError, match="the channels dna, tubulin, actin, but .* has actin, tubulin, dna"):
        embed(turned, checkpoint)
    deep = CellStore.from_arrays(crops.astype(np.uint16) * 257, table, tmp_path / "deep")
    with pytest.raises(ValueError, match="trained on crops of type uint8, but .* has uint16"):
        embed(deep, checkpoint)
    small = CellStore.from_arrays(crops[:, :, :20, :20], table, tmp_path / "small")
    with pytest.raises(ValueError, match="trained on crops of side 24, but .* has 20"):
        embed(small, checkpoint)
    other = CellStore.from_arrays(crops[::-1], table, tmp_path / "other")
    np.testing.assert_allclose(embed(other, checkpoint)[::-1], embed(store, checkpoint), atol=1e-5)
