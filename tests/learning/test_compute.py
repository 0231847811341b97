"""How pixels get to where they are computed: in order, and a batch ahead."""

import threading

import numpy as np
import pytest
import torch

from cellclr_lib.learning.compute import ahead, freed_memory_kept, pixel_source


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
