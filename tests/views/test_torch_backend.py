"""Batched geometry and blur against torchvision and scipy, one image at a time."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from torchvision.transforms.v2 import functional as reference

from cellclr_lib.views.geometry import net_nodes
from cellclr_lib.views.torch_backend import gaussian_blur, resample, sampling_grid


def smooth_images(n=5, channels=2, height=32, width=32, seed=0):
    images = torch.rand(n, channels, height, width, generator=torch.Generator().manual_seed(seed))
    return reference.gaussian_blur(images, 5, 1.0)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (24, 40)])
def test_nothing_asked_nothing_changed(height, width):
    images = smooth_images(height=height, width=width)
    torch.testing.assert_close(resample(images), images, atol=1e-5, rtol=0)


def test_crop_equals_torchvision():
    images = smooth_images(height=40, width=48)
    boxes = [(0, 0, 40, 48), (3, 5, 20, 21), (10, 0, 30, 16), (25, 30, 11, 15), (7, 9, 16, 32)]
    warped = resample(images, box=torch.tensor(boxes, dtype=torch.float32))
    for image, view, (top, left, height, width) in zip(images, warped, boxes, strict=True):
        expected = reference.resized_crop(image, top, left, height, width, [40, 48], antialias=True)
        # Next to the border, torchvision repeats the box's edge where the warp reads on in the image.
        border = (slice(None), slice(4, -4), slice(4, -4))
        torch.testing.assert_close(view[border], expected[border], atol=1e-5, rtol=0)


def test_flips_and_quarter_turns_equal_torch():
    images = smooth_images(n=8)
    flip = torch.tensor([[1, 1], [-1, 1], [1, -1], [-1, -1]] * 2).float()
    angle = torch.tensor([0, 90, 180, 270, 90, 0, 270, 180]).float()
    warped = resample(images, flip=flip, angle=angle)
    for image, view, (x, y), degrees in zip(images, warped, flip, angle, strict=True):
        mirrored = image.flip([axis for axis, sign in [(2, x), (1, y)] if sign < 0])
        expected = torch.rot90(mirrored, int(degrees) // 90, (1, 2))
        torch.testing.assert_close(view, expected, atol=1e-4, rtol=0)


def test_free_rotation_equals_torchvision():
    images = smooth_images(n=4)
    angle = torch.tensor([0.0, 17.0, -45.0, 140.0])
    y, x = torch.meshgrid(torch.arange(32) - 15.5, torch.arange(32) - 15.5, indexing="ij")
    inside = (x**2 + y**2).sqrt() < 14  # torchvision fills the corners with zeros
    for image, view, degrees in zip(images, resample(images, angle=angle), angle, strict=True):
        expected = reference.rotate(image, float(degrees), reference.InterpolationMode.BILINEAR)
        torch.testing.assert_close(view[:, inside], expected[:, inside], atol=1e-4, rtol=0)


def test_everything_together_equals_scipy():
    """Each output position is followed back through bend, turn, flip and crop by hand."""
    height, width, length = 20, 24, 6.0
    images = smooth_images(3, 2, height, width)
    rng = np.random.default_rng(0)
    box = np.array([[2, 3, 15, 12], [0, 0, 20, 24], [4.5, 1.25, 10, 20.5]])
    flip, angle = np.array([[1, 1], [-1, 1], [-1, -1]]), np.array([30.0, 200.0, -75.0])
    bend = 2 * rng.standard_normal((3, 2, net_nodes(height, length), net_nodes(width, length)))
    values = {"box": box, "flip": flip, "angle": angle, "bend": bend}
    tensors = {name: torch.tensor(value, dtype=torch.float32) for name, value in values.items()}
    warped = resample(images, bend_length_px=length, **tensors).numpy()

    def weights(position, nodes):
        w = np.exp(-0.5 * ((position - (np.arange(nodes) - 3) * length / 2) / (length / 2)) ** 2)
        return w / np.sqrt((w**2).sum())

    for n in range(3):
        source = np.empty((2, height, width))
        turn = np.deg2rad(angle[n])
        for i in range(height):
            for j in range(width):
                wy, wx = weights(i, bend.shape[2]), weights(j, bend.shape[3])
                x = j - (width - 1) / 2 + wy @ bend[n, 0] @ wx
                y = i - (height - 1) / 2 + wy @ bend[n, 1] @ wx
                x, y = np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y
                x, y = flip[n, 0] * x, flip[n, 1] * y
                top, left, box_height, box_width = box[n]
                source[0, i, j] = top - 0.5 + box_height / 2 + y * box_height / height
                source[1, i, j] = left - 0.5 + box_width / 2 + x * box_width / width
        for channel in range(2):
            expected = map_coordinates(images[n, channel].numpy(), source, order=1, mode="reflect")
            np.testing.assert_allclose(warped[n, channel], expected, atol=1e-4)


def test_bend_has_the_stated_spread_and_correlation_length():
    size, length, std = 64, 8.0, 2.0
    nodes = net_nodes(size, length)
    bend = std * torch.randn(800, 2, nodes, nodes, generator=torch.Generator().manual_seed(0))
    still = sampling_grid((1, size, size))
    field = (sampling_grid((800, size, size), bend=bend, bend_length_px=length) - still) * size / 2
    torch.testing.assert_close(field.std(dim=0), torch.full((size, size, 2), std), atol=0.3, rtol=0)
    for distance, expected in [(4, np.exp(-0.25)), (8, np.exp(-1)), (16, np.exp(-4))]:
        for axis in (1, 2):
            far, near = (field.narrow(axis, start, size - distance) for start in (distance, 0))
            assert float((far * near).mean() / std**2) == pytest.approx(expected, abs=0.04)
    assert abs(float((field[..., 0] * field[..., 1]).mean())) < 0.1  # the two axes are independent


@pytest.mark.parametrize(("height", "width"), [(32, 32), (9, 17)])
def test_blur_equals_torchvision(height, width):
    images = torch.rand(6, 3, height, width, generator=torch.Generator().manual_seed(0))
    sigma = torch.tensor([0.1, 0.3, 0.7, 1.0, 1.6, 2.0])
    for image, blurred, s in zip(images, gaussian_blur(images, sigma, 9), sigma, strict=True):
        torch.testing.assert_close(blurred, reference.gaussian_blur(image, [9, 9], [float(s)] * 2))


def test_blur_by_zero_is_exactly_nothing():
    images = torch.rand(2, 1, 16, 16)
    assert torch.equal(gaussian_blur(images, torch.zeros(2), 9), images)


def test_blur_wider_than_the_image():
    with pytest.raises(ValueError, match="9 px is too wide for images of 4 px"):
        gaussian_blur(torch.rand(1, 1, 4, 4), torch.ones(1), 9)
