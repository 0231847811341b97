"""Pixels as the network sees them: scaled to [0, 1] and averaged over equal areas."""

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from cellclr_lib.learning.loader import read_shrunk, shrink

DTYPES = [torch.uint8, torch.uint16, torch.int16, torch.float16, torch.float32, torch.float64]


def crops(dtype, n=9):
    return (255 * torch.rand(n, 2, 48, 48, generator=torch.Generator().manual_seed(0))).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("px", [48, 24, 16, 12, 47, 31, 5, 1])
def test_shrink_averages_equal_areas(dtype, px):
    images = crops(dtype)
    scale = 1 if dtype.is_floating_point else torch.iinfo(dtype).max
    before = images.clone()
    expected = interpolate(images.to(torch.float64) / scale, size=(px, px), mode="area").float()
    torch.testing.assert_close(shrink(images, px), expected)
    assert torch.equal(images, before)
    rows = torch.tensor([8, 0, 3, 3])
    torch.testing.assert_close(read_shrunk(images.numpy(), rows, px), expected[rows])


def test_shrink_never_enlarges():
    images = torch.rand(2, 1, 8, 8)
    assert torch.equal(shrink(images, 16), images) and torch.equal(shrink(images, None), images)


def test_shrink_takes_strided_crops():
    images = crops(torch.uint8)
    torch.testing.assert_close(shrink(images.flip(3), 24), shrink(images, 24).flip(3))
    torch.testing.assert_close(shrink(images.mT, 24), shrink(images, 24).mT)


def test_read_from_a_memory_map_leaves_it_as_it_is(tmp_path):
    np.save(tmp_path / "images.npy", crops(torch.uint8).numpy())
    for mode in ("r", "r+"):
        mapped = np.load(tmp_path / "images.npy", mmap_mode=mode)
        found = read_shrunk(mapped, torch.tensor([5, 1]), 24)
        torch.testing.assert_close(found, shrink(crops(torch.uint8)[[5, 1]], 24))
        assert mapped.flags.writeable == (mode == "r+")
