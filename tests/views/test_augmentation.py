"""Views: what is drawn has the stated distribution, what is applied is what was drawn."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.v2 import functional as reference

from cellclr_lib.views import ViewConfig, two_views
from cellclr_lib.views.augmentation import apply_view
from cellclr_lib.views.sampling import draw_view

NONE = ViewConfig.none()


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def cells(n=64, channels=3, size=32, seed=0):
    return torch.rand(n, channels, size, size, generator=generator(seed))


def drawn(seed=0, n=4000, shape=(3, 48, 48), **changes):
    return draw_view(dataclasses.replace(NONE, **changes), (n, *shape), generator(seed))


# What the configuration says


def test_paper_is_as_the_protocol_states():
    on = {f.name: getattr(ViewConfig.paper(), f.name) for f in dataclasses.fields(ViewConfig)}
    assert {name: p for name, p in on.items() if name.endswith("_p") and p} == {
        "crop_p": 1.0, "horizontal_flip_p": 0.5, "elastic_p": 0.5, "jitter_p": 0.8, "blur_p": 0.5
    }  # fmt: skip
    assert on["crop_area"] == (0.08, 1.0) and on["crop_aspect"] == (3 / 4, 4 / 3)
    assert (on["elastic_std_px"], on["elastic_length_px"]) == (2.0, 8.0)
    assert (on["brightness"], on["contrast"]) == (0.2, 0.2)
    assert (on["blur_kernel_px"], on["blur_sigma_px"]) == (9, (0.1, 2.0))


def test_lengths_follow_the_scale():
    half = ViewConfig().at_scale(0.5)
    assert (half.elastic_std_px, half.elastic_length_px, half.blur_sigma_px) == (1.0, 4.0, (0.05, 1.0))
    assert half.blur_kernel_px == 5 and half.crop_area == ViewConfig().crop_area
    assert ViewConfig().at_scale(1.0) == ViewConfig()


@pytest.mark.parametrize(
    "change",
    [
        {"crop_p": 1.1},
        {"blur_p": -0.1},
        {"jitter_p": float("nan")},
        {"crop_area": (0.0, 1.0)},
        {"crop_area": (0.5, 0.1)},
        {"crop_area": (0.5, 1.5)},
        {"crop_aspect": (-1.0, 1.0)},
        {"centre_crop_side": (0.5, 2.0)},
        {"blur_sigma_px": (0.0, 1.0)},
        {"blur_kernel_px": 8},
        {"brightness": 1.5},
        {"contrast": -0.1},
        {"rotation_degrees": 400.0},
        {"elastic_std_px": -1.0},
        {"elastic_length_px": 0.0},
        {"noise_std": (0.1, 0.0)},
    ],
)
def test_impossible_configurations_name_the_field(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        ViewConfig(**change)


# What is drawn


def test_random_boxes_have_the_stated_area_and_aspect_and_lie_inside():
    top, left, height, width = drawn(crop_p=1.0).box.T
    area, aspect = height * width / 48**2, (width / height).log()
    assert area.min() >= 0.08 and area.max() <= 1.0
    assert aspect.abs().max() <= math.log(4 / 3) + 1e-5 and abs(aspect.mean()) < 0.01
    assert min(top.min(), left.min()) >= 0
    assert max((top + height).max(), (left + width).max()) <= 48 + 1e-4
    assert abs(float((left / (48 - width)).mean()) - 0.5) < 0.02


def test_random_boxes_are_distributed_as_torchvision_draws_them():
    draw = drawn(crop_p=1.0, shape=(1, 400, 400)).box
    with torch.random.fork_rng():
        torch.manual_seed(0)
        image = torch.empty(1, 400, 400)
        expected = [RandomResizedCrop.get_params(image, (0.08, 1.0), (3 / 4, 4 / 3)) for _ in range(4000)]
    quantiles = torch.linspace(0.05, 0.95, 10)
    for column, theirs in zip(draw.T, torch.tensor(expected).float().T, strict=True):
        difference = column.quantile(quantiles) - theirs.quantile(quantiles)
        assert difference.abs().max() < 14  # of 400 px


def test_a_box_that_can_never_fit_becomes_the_largest():
    box = drawn(n=10, crop_p=1.0, crop_area=(1.0, 1.0), crop_aspect=(2.0, 2.0)).box
    torch.testing.assert_close(box, torch.tensor([[12.0, 0.0, 24.0, 48.0]]).expand(10, 4))


def test_centre_crops_fixed_and_random():
    fixed = drawn(n=10, centre_crop_p=1.0, centre_crop_side=(0.5, 0.5)).box
    torch.testing.assert_close(fixed, torch.tensor([[12.0, 12.0, 24.0, 24.0]]).expand(10, 4))
    box = drawn(centre_crop_p=1.0).box
    torch.testing.assert_close(box[:, :2] + box[:, 2:] / 2, torch.full((len(box), 2), 24.0))
    assert 24 <= box[:, 2].min() < 25 and 47 < box[:, 2].max() <= 48


@pytest.mark.parametrize("p", [0.2, 0.5, 1.0])
def test_each_cell_decides_on_its_own(p):
    near = pytest.approx(p, abs=0.04)
    assert float((drawn(horizontal_flip_p=p).flip[:, 0] < 0).float().mean()) == near
    assert float((drawn(vertical_flip_p=p).flip[:, 1] < 0).float().mean()) == near
    assert float((drawn(quarter_turn_p=p).angle != 0).float().mean()) == near
    assert float((drawn(rotation_p=p).angle != 0).float().mean()) == near
    assert float((drawn(crop_p=p).box[:, 2] < 48).float().mean()) == near
    assert float((drawn(elastic_p=p, n=1000).bend_px != 0).float().mean()) == near
    assert float((drawn(jitter_p=p).brightness != 1).float().mean()) == near
    assert float((drawn(channel_drop_p=p).keep.sum(1) == 2).float().mean()) == near
    assert float((drawn(blur_p=p).sigma > 0).float().mean()) == near
    assert float((drawn(noise_p=p, n=1000, shape=(1, 9, 9)).noise[:, 0, 0, 0] != 0).float().mean()) == near


def test_quarter_turns_are_all_four_alike():
    turns = torch.bincount((drawn(quarter_turn_p=0.75).angle / 90).long(), minlength=4) / 4000
    assert len(turns) == 4 and (turns - 0.25).abs().max() < 0.04


def test_jitter_is_drawn_for_each_channel_within_its_limits():
    draw = drawn(jitter_p=1.0)
    for factor in (draw.brightness, draw.contrast):
        assert 0.8 <= factor.min() < 0.81 and 1.19 < factor.max() <= 1.2
        assert torch.corrcoef(factor.T).fill_diagonal_(0).abs().max() < 0.05
    assert abs(float(torch.corrcoef(torch.stack([draw.brightness[:, 0], draw.contrast[:, 0]]))[0, 1])) < 0.05


def test_blur_sigma_within_its_limits():
    sigma = drawn(blur_p=1.0).sigma
    assert 0.1 <= sigma.min() < 0.12 and 1.98 < sigma.max() <= 2.0


# What is applied


def test_jitter_equals_torchvision():
    config, images = dataclasses.replace(NONE, jitter_p=1.0), 0.3 + 0.3 * cells(8)
    draw = draw_view(config, images.shape, generator())
    view = apply_view(images, draw, config)
    for n in range(8):
        for channel in range(3):
            one = images[n, channel][None]
            one = reference.adjust_brightness(one, float(draw.brightness[n, channel]))
            one = reference.adjust_contrast(one, float(draw.contrast[n, channel]))
            torch.testing.assert_close(view[n, channel], one[0])


def test_blur_drop_and_noise_are_what_was_drawn():
    images = cells(8)
    config = dataclasses.replace(NONE, blur_p=0.5, channel_drop_p=0.5, noise_p=0.5)
    draw = draw_view(config, images.shape, generator(1))
    assert 0 < (draw.sigma > 0).sum() < 8
    view = apply_view(images, draw, config)
    for n in range(8):
        one, sigma = images[n], float(draw.sigma[n])
        one = reference.gaussian_blur(one, [9, 9], [sigma, sigma]) if sigma else one
        torch.testing.assert_close(view[n], one * draw.keep[n][:, None, None] + draw.noise[n])


def test_noise_has_the_drawn_spread():
    config = dataclasses.replace(NONE, noise_p=1.0, noise_std=(0.04, 0.04))
    view, _ = two_views(torch.zeros(4, 3, 32, 32), config, generator())
    assert float(view.std()) == pytest.approx(0.04, rel=0.03)


# two_views


@pytest.mark.parametrize("size", [(24, 24), (16, 28)])
def test_no_change_is_exactly_the_image(size):
    images = torch.randn(5, 2, *size, generator=generator())
    for view in two_views(images, NONE, generator()):
        assert torch.equal(view, images)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, ">u2"])
def test_integers_are_divided_by_the_largest_of_their_type(dtype):
    top = np.iinfo(dtype).max
    images = np.array([0, 1, top // 2, top], dtype=dtype).reshape(1, 1, 2, 2)
    expected = torch.tensor([0, 1 / top, (top // 2) / top, 1]).reshape(1, 1, 2, 2)
    for view in two_views(images, NONE, generator()):
        torch.testing.assert_close(view, expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_taken_as_they_are(dtype):
    images = (10 * np.random.default_rng(0).standard_normal((2, 3, 8, 8))).astype(dtype)
    view, _ = two_views(images, NONE, generator())
    assert view.dtype == torch.float32
    np.testing.assert_array_equal(view.numpy(), images.astype(np.float32))


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("width", [40, 25])
@pytest.mark.parametrize("config", [ViewConfig(), ViewConfig.paper()])
def test_shape_dtype_and_range(channels, width, config):
    images = np.random.default_rng(0).integers(0, 256, (7, channels, 40, width), dtype=np.uint8)
    before = images.copy()
    views = two_views(images, config, generator())
    for view in views:
        assert view.shape == images.shape and view.dtype == torch.float32
        assert torch.isfinite(view).all() and view.max() < 2 and view.min() > -1
    assert not torch.equal(*views)
    np.testing.assert_array_equal(images, before)


def test_tensor_input_is_not_changed_and_equals_array_input():
    images = (255 * cells()).byte()
    before = images.clone()
    a, b = two_views(images, ViewConfig(), generator()), two_views(images.numpy(), ViewConfig(), generator())
    assert torch.equal(images, before) and torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])
    floats = cells()
    before = floats.clone()
    two_views(floats, ViewConfig(), generator())
    assert torch.equal(floats, before)


def test_read_only_and_strided_arrays(tmp_path):
    images = np.random.default_rng(0).integers(0, 2**16, (6, 3, 16, 16), dtype=np.uint16)
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    expected = two_views(images, ViewConfig(), generator())[0]
    assert torch.equal(two_views(mapped, ViewConfig(), generator())[0], expected)
    assert torch.equal(two_views(images[:, :, ::-1][:, :, ::-1], ViewConfig(), generator())[0], expected)


def test_generator_is_the_only_randomness_and_moves_on():
    images, source = cells(16), generator(3)
    first = two_views(images, ViewConfig(), source)
    second = two_views(images, ViewConfig(), source)
    torch.manual_seed(99)
    again = two_views(images, ViewConfig(), generator(3))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], second[0]) and not torch.equal(first[0], first[1])


def test_copies_of_one_cell_get_different_views():
    images = cells(1).expand(32, -1, -1, -1)
    for config in [ViewConfig.paper(), dataclasses.replace(NONE, horizontal_flip_p=0.5)]:
        view, _ = two_views(images, config, generator())
        flat = view.flatten(1)
        assert len(torch.unique((flat * 1000).round(), dim=0)) > 1 and not torch.equal(flat[0], flat[1:].mean(0))
    flipped = torch.isclose(view, images.flip(3), atol=1e-4).all(dim=(1, 2, 3))
    kept = torch.isclose(view, images, atol=1e-4).all(dim=(1, 2, 3))
    assert (flipped ^ kept).all() and 6 < flipped.sum() < 26


def test_autocast_and_gradients_leave_the_views_alone():
    images = cells(8).requires_grad_()
    expected = two_views(images, ViewConfig(), generator())[0]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(two_views(images, ViewConfig(), generator())[0], expected)
    assert not expected.requires_grad


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((3, 8, 8), np.uint8), r"\(3, 8, 8\)"),
        (np.zeros((0, 3, 8, 8), np.uint8), "at least one cell"),
        (np.zeros((2, 3, 0, 8), np.uint8), "at least one cell and pixel"),
        (np.zeros((2, 3, 8, 8), bool), "not bool"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.bool), "not torch.bool"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.complex64), "not torch.complex64"),
        ([[1, 2]], "not list"),
    ],
)
def test_wrong_images(images, message):
    with pytest.raises(ValueError, match=message):
        two_views(images, ViewConfig(), generator())


def test_configurations_that_do_not_suit_the_images():
    with pytest.raises(ValueError, match="channel_drop_p"):
        two_views(torch.rand(2, 1, 20, 20), dataclasses.replace(NONE, channel_drop_p=0.5), generator())
    with pytest.raises(TypeError, match="torch.Generator"):
        two_views(torch.rand(2, 3, 20, 20), ViewConfig(), np.random.default_rng(0))


def test_the_second_view_may_show_a_partner():
    images, partners = torch.rand(2, 6, 2, 20, 20).unbind(0)
    one, other = two_views(images, ViewConfig.none(), torch.Generator(), partners)
    assert torch.equal(one, images) and torch.equal(other, partners)
    with pytest.raises(ValueError, match="partners have shape"):
        two_views(images, ViewConfig.none(), torch.Generator(), partners[:3])
