"""The probe finds what fits before the run does not."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cellclr_lib.learning import TrainConfig
from tuning.memory import _Step, largest_chunk, probe_memory

TRAINING = TrainConfig(batch_size=256, input_px=24, device="cpu", precision="fp32")
IMAGES = np.random.default_rng(0).integers(0, 255, (32, 3, 32, 32), dtype=np.uint8)


@pytest.mark.parametrize(("room", "chunk"), [(256, None), (255, 128), (128, 128), (70, 64), (8, 8)])
def test_the_largest_halving_that_fits(room, chunk):
    assert largest_chunk(lambda cells: cells <= room, 256) == chunk


def test_nothing_fits():
    with pytest.raises(ValueError, match="not even 8 cells fit"):
        largest_chunk(lambda cells: False, 256)


def test_what_is_counted_grows_with_the_batch():
    step = _Step(TRAINING, IMAGES, torch.device("cpu"))
    _, per_cell = step.count_bytes()
    for cells in (16, 64):
        assert step._kept(cells) == pytest.approx(per_cell * cells, rel=0.1)
    _, twice = _Step(replace(TRAINING, input_px=None), IMAGES, torch.device("cpu")).count_bytes()
    assert twice / per_cell == pytest.approx((32 / 24) ** 2, rel=0.2)


def test_a_batch_too_large_for_the_memory_is_taken_in_chunks():
    roomy = probe_memory(TRAINING, IMAGES, 64e9)
    assert roomy.chunk_cells is None and roomy.seconds_per_cell > 0
    narrow = probe_memory(TRAINING, IMAGES, roomy.bytes_needed / 2)
    assert narrow.chunk_cells == 64 or narrow.chunk_cells == 128
    assert narrow.bytes_needed <= roomy.bytes_needed / 2
    with pytest.raises(ValueError, match="not even"):
        probe_memory(TRAINING, IMAGES, 1e6)
