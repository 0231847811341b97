"""Where and how precisely to compute, and how pixels get there: in order, and a batch ahead."""

import threading

import numpy as np
import pytest
import torch

from cellclr_lib.learning import device
from cellclr_lib.learning.device import freed_memory_kept
from cellclr_lib.learning.loader import ahead, pixel_source


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_source_gives_the_rows_asked_for(tmp_path, dtype):
    images = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (10, 2, 4, 4), dtype=dtype)
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    batches = [torch.tensor(rows) for rows in ([0, 3], [9], [3, 3, 1])]
    found = list(pixel_source(mapped, torch.device("cpu"))(batches))
    assert len(found) == 3
    for rows, pixels in zip(batches, found, strict=True):
        assert pixels.dtype == torch.float32
        expected = images[rows.numpy()] / np.iinfo(dtype).max
        np.testing.assert_allclose(pixels.numpy(), expected, atol=1e-7)
    (halved,) = pixel_source(mapped, torch.device("cpu"), 2)([torch.tensor([7, 2])])
    expected = images[[7, 2]].reshape(2, 2, 2, 2, 2, 2).mean((3, 5)) / np.iinfo(dtype).max
    np.testing.assert_allclose(halved.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_ahead_keeps_the_order(count):
    assert list(ahead(lambda i: i * i, range(count))) == [i * i for i in range(count)]


def test_ahead_works_one_ahead_and_in_another_thread():
    begun = [threading.Event() for _ in range(4)]
    workers = set()

    def work(i):
        workers.add(threading.current_thread())
        begun[i].set()
        return i

    for i in ahead(work, range(4)):
        if i < 3:
            assert begun[i + 1].wait(300), "the next piece is begun before this one is used up"
        if i < 2:
            assert not begun[i + 2].wait(0.05), "but not the one after"
    assert len(workers) == 1 and threading.current_thread() not in workers


def test_ahead_raises_when_the_piece_is_due():
    def work(i):
        if i == 2:
            raise KeyError(i)
        return i

    pieces = ahead(work, range(5))
    assert [next(pieces), next(pieces)] == [0, 1]
    with pytest.raises(KeyError):
        next(pieces)
    assert list(pieces) == []


def test_ahead_leaves_no_thread_behind():
    threads = threading.active_count()
    pieces = ahead(lambda i: i, range(5))
    assert next(pieces) == 0 and threading.active_count() == threads + 1
    pieces.close()
    assert threading.active_count() == threads


def test_keeping_memory_nests_and_lets_errors_through():
    with freed_memory_kept(), freed_memory_kept():
        torch.zeros(1000)
    with pytest.raises(KeyError), freed_memory_kept():
        raise KeyError


@pytest.mark.parametrize(
    ("flags", "bf16"),
    [
        ("fma avx2", False),
        ("avx2 avx512f avx512_bf16", False),
        ("avx2 avx512f amx_tile amx_bf16", True),
        ("avx2 avx512f avx512_bf16 amx_tile amx_bf16 amx_int8", True),
        ("avx2 not_amx_bf16_at_all", False),
    ],
)
def test_bf16_is_chosen_by_amx_alone(flags, bf16, monkeypatch, tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text(f"processor\t: 0\nmodel name\t: amx_bf16 by name only\nflags\t\t: fpu {flags}\n")
    monkeypatch.setattr(device, "CPU_INFO", info)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    cpu = torch.device("cpu")
    assert device.choose_bf16("auto", cpu) is bf16
    assert device.choose_bf16("bf16", cpu) and not device.choose_bf16("fp32", cpu)


def test_float32_where_nothing_is_known_of_the_processor(monkeypatch, tmp_path):
    monkeypatch.setattr(device, "CPU_INFO", tmp_path / "nothing")
    assert not device.choose_bf16("auto", torch.device("cpu"))


def test_float32_where_torch_cannot_use_amx(monkeypatch, tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text("flags\t\t: fpu amx_bf16\n")
    monkeypatch.setattr(device, "CPU_INFO", info)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not device.choose_bf16("auto", torch.device("cpu"))


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="precision is 'fp8'"):
        device.choose_bf16("fp8", torch.device("cpu"))
