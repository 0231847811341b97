"""A batch in chunks has the loss and the gradients of the whole batch."""

import copy
from functools import partial

import pytest
import torch
from torch import nn

from cellclr_lib.learning import ProjectionHead, build_encoder, gradient_cache, nt_xent_loss

CELLS = 24
LOSS = partial(nt_xent_loss, temperature=0.1)


def network():
    torch.manual_seed(0)
    encoder = build_encoder("small", 3)
    return nn.Sequential(encoder, ProjectionHead(encoder.out_features, 16)).double()


def views():
    generator = torch.Generator().manual_seed(1)
    view1, noise = torch.rand(2, CELLS, 3, 16, 16, generator=generator, dtype=torch.float64)
    return view1, view1 + 0.1 * noise


def gradients(net):
    return {name: parameter.grad for name, parameter in net.named_parameters()}


def assert_close(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], atol=1e-5, rtol=1e-5, msg=name)


@pytest.mark.parametrize("chunk", [1, 5, 8, 12, 23])
def test_equals_the_whole_batch(chunk):
    whole = network().eval()  # fixed statistics: no cell depends on its neighbours in the batch
    parts = copy.deepcopy(whole)
    expected, *expected_z = gradient_cache.backward(whole, *views(), LOSS)
    loss, *z = gradient_cache.backward(parts, *views(), LOSS, chunk_cells=chunk)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    torch.testing.assert_close(z, expected_z)
    assert not any(part.requires_grad for part in (loss, *z))
    assert_close(gradients(parts), gradients(whole))


@pytest.mark.parametrize("chunk", [None, CELLS, 100])
def test_a_chunk_that_holds_the_batch_is_the_plain_step(chunk):
    net, plain = network().train(), network().train()
    loss, *_ = gradient_cache.backward(net, *views(), LOSS, chunk_cells=chunk)
    expected = LOSS(*plain(torch.cat(views())).chunk(2))
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    assert_close(gradients(net), gradients(plain))


def test_batch_normalisation_is_that_of_a_chunk():
    """With statistics of each chunk, caching still equals one graph over all chunks, running statistics too."""
    cached, direct = network().train(), network().train()
    loss, *_ = gradient_cache.backward(cached, *views(), LOSS, chunk_cells=8)
    pairs = zip(*(view.split(8) for view in views()), strict=True)
    halves = zip(*(direct(torch.cat(pair)).chunk(2) for pair in pairs), strict=True)
    expected = LOSS(*map(torch.cat, halves))
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    assert_close(gradients(cached), gradients(direct))
    floats = {name: t for name, t in cached.named_buffers() if t.is_floating_point()}
    assert_close(floats, {name: t for name, t in direct.named_buffers() if t.is_floating_point()})
