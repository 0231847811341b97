"""The compiled views equal those of the torch operations, change by change and together."""

import dataclasses
import subprocess
import sys
import threading

import pytest
import torch

from cellclr_lib.views import ViewConfig
from cellclr_lib.views.numba_backend import apply_per_image
from cellclr_lib.views.pixels import to_float
from cellclr_lib.views.sampling import draw_view
from cellclr_lib.views.torch_backend import apply_batched

NONE = ViewConfig.none()
CHANGES = {
    "none": {},
    "crop": {"crop_p": 1.0},
    "tiny crop": {"crop_p": 1.0, "crop_area": (0.001, 0.01)},
    "centre crop": {"centre_crop_p": 0.5},
    "flips": {"horizontal_flip_p": 0.5, "vertical_flip_p": 0.5},
    "quarter turns": {"quarter_turn_p": 0.75},
    "rotation": {"rotation_p": 0.7},
    "elastic": {"elastic_p": 0.7},
    "strong elastic": {"elastic_p": 1.0, "elastic_std_px": 20.0},  # mirrored more than once
    "jitter": {"jitter_p": 0.8},
    "channel drop": {"channel_drop_p": 0.5},
    "blur": {"blur_p": 0.7},
    "faint blur": {"blur_p": 1.0, "blur_sigma_px": (0.01, 0.3)},
    "noise": {"noise_p": 0.7},
    "all": {f.name: 0.7 for f in dataclasses.fields(ViewConfig) if f.name.endswith("_p")},
}


def pixels(shape, dtype=torch.uint8, seed=0):
    values = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    return (values * (1 if dtype.is_floating_point else torch.iinfo(dtype).max)).to(dtype)


def both(images, config, seed=0):
    draw = draw_view(config, images.shape, torch.Generator().manual_seed(seed))
    return apply_per_image(images, draw, config), apply_batched(to_float(images), draw, config)


def assert_alike(images, config):
    before = images.clone()
    fused, batched = both(images, config)
    assert fused.dtype == torch.float32 and fused.is_contiguous()
    # A look-up is as precise as its position: half a pixel in 10,000,000.
    torch.testing.assert_close(fused, batched, atol=3e-5, rtol=0)
    assert torch.equal(images, before)


@pytest.mark.parametrize("size", [(32, 32), (19, 40), (41, 10)])
@pytest.mark.parametrize("change", CHANGES)
def test_each_change_equals_the_torch_operations(change, size):
    assert_alike(pixels((20, 3, *size)), dataclasses.replace(NONE, **CHANGES[change]))


@pytest.mark.parametrize("config", [ViewConfig(), ViewConfig.paper(), ViewConfig().at_scale(0.5)])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_whole_views_equal_the_torch_operations(config, channels):
    assert_alike(pixels((40, channels, 48, 48)), config)


@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.uint16, torch.int16, torch.float16, torch.bfloat16, torch.float32, torch.float64]
)
def test_types(dtype):
    assert_alike(pixels((20, 2, 20, 20), dtype), ViewConfig())


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 2)])
def test_images_of_a_few_pixels(size):
    assert_alike(pixels((20, 1, *size)), dataclasses.replace(ViewConfig(rotation_p=0.5), blur_p=0.0))


def test_strided_and_repeated_images():
    images = pixels((12, 3, 24, 24))
    assert_alike(images.flip(0).mT, ViewConfig())
    assert_alike(images.to(memory_format=torch.channels_last), ViewConfig())
    assert_alike(images[:1].expand(12, -1, -1, -1), ViewConfig())
    assert_alike(images[:, :, ::2, 1::2], ViewConfig())


def test_a_blur_too_wide_is_refused():
    config = dataclasses.replace(NONE, blur_p=0.5)
    images = pixels((2, 1, 4, 30))
    draw = draw_view(config, images.shape, torch.Generator())
    with pytest.raises(ValueError, match="9 px is too wide for images of 4 px"):
        apply_per_image(images, draw, config)


@pytest.fixture
def set_threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_threads_do_not_change_the_views(set_threads):
    images, found = pixels((45, 3, 32, 32)), []
    for threads in (1, 2, 3):
        set_threads(threads)
        found.append(both(images, ViewConfig())[0])
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


def test_one_thread_is_this_one_and_more_are_as_many_as_of_torch(set_threads, monkeypatch):
    from cellclr_lib.views import jit

    for threads in (1, 2):
        set_threads(threads)
        seen, parts, together = set(), [], threading.Barrier(threads, timeout=300)

        def work(start, stop):
            if len(seen) < threads:  # noqa: B023
                seen.add(threading.current_thread())  # noqa: B023
                together.wait()  # noqa: B023
            parts.append((start, stop))  # noqa: B023

        jit.in_threads(work, 45)
        assert len(seen) == threads and (threading.main_thread() in seen) == (threads == 1)
        assert sorted(i for start, stop in parts for i in range(start, stop)) == list(range(45))


def test_errors_of_a_thread_arrive(set_threads):
    from cellclr_lib.views.jit import in_threads

    def work(start, stop):
        raise KeyError(start)

    set_threads(2)
    with pytest.raises(KeyError):
        in_threads(work, 100)


def test_views_can_be_made_by_several_threads_at_once():
    images = pixels((30, 3, 32, 32))
    expected, found = both(images, ViewConfig())[0], [None] * 4

    def make(i):
        found[i] = both(images, ViewConfig())[0]

    threads = [threading.Thread(target=make, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(view, expected) for view in found)


def test_nan_stays_in_its_image():
    images = pixels((3, 1, 16, 16), torch.float32)
    images[1, 0, 5, 5] = float("nan")
    view, _ = both(images, ViewConfig.paper())
    assert torch.isfinite(view[[0, 2]]).all() and not torch.isfinite(view[1]).all()


def test_numba_is_imported_when_views_are_made_and_not_before():
    code = "import sys, cellclr_lib.views.augmentation, cellclr_lib.learning.device; print('numba' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_where_nothing_can_be_written_each_process_compiles(monkeypatch):
    from cellclr_lib.views.jit import compiled

    monkeypatch.setattr("numba.core.caching.CacheImpl._locator_classes", [])

    @compiled
    def twice(x):
        return 2 * x

    assert twice(3) == 6
