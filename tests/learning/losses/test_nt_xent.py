"""NT-Xent against a slow hand loop, closed values and its symmetries."""

import math
import weakref

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize
from torch.utils._python_dispatch import TorchDispatchMode

from cellclr_lib.learning import nt_xent_loss, top1_accuracy
from cellclr_lib.learning import top1 as top1_module
from cellclr_lib.learning.losses import nt_xent as module


def by_hand(z1, z2, temperature):
    """The definition, one view and one negative at a time, in double precision."""
    views = [*z1.double(), *z2.double()]
    n, losses, hits = len(z1), [], 0

    def similarity(a, b):
        return float(a @ b / (a.norm() * b.norm())) / temperature

    for i, view in enumerate(views):
        partner = (i + n) % (2 * n)
        others = {j: similarity(view, views[j]) for j in range(2 * n) if j != i}
        highest = max(others.values())
        total = math.log(sum(math.exp(s - highest) for s in others.values())) + highest
        losses.append(total - others[partner])
        hits += max(others, key=others.get) == partner
    return sum(losses) / len(losses), hits / len(views)


def by_autograd(z1, z2, temperature):
    """Loss and gradients from the whole matrix of similarities, in double precision."""
    z1, z2 = (z.detach().double().requires_grad_() for z in (z1, z2))
    z = normalize(torch.cat([z1, z2]), dim=1)
    logits = (z @ z.T / temperature).fill_diagonal_(-torch.inf)
    loss = cross_entropy(logits, torch.arange(len(z)).roll(len(z1)))
    return loss.detach(), *torch.autograd.grad(loss, (z1, z2))


def by_library(z1, z2, temperature):
    z1, z2 = (z.detach().requires_grad_() for z in (z1, z2))
    loss = nt_xent_loss(z1, z2, temperature)
    assert loss.requires_grad and not top1_accuracy(z1, z2).requires_grad
    return loss.detach(), *torch.autograd.grad(loss, (z1, z2))


def assert_close(ours, expected, tolerance):
    for tensor, value in zip(ours, expected, strict=True):
        scale = value.abs().max().clamp_min(1)
        torch.testing.assert_close(tensor.double() / scale, value / scale, rtol=0, atol=tolerance)


def pairs(n, d, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    z1 = torch.randn(n, d, generator=generator, dtype=dtype)
    return z1, z1 + torch.randn(n, d, generator=generator, dtype=dtype)


@pytest.mark.parametrize("n", [1, 2, 5, 16])
@pytest.mark.parametrize("d", [2, 8, 33])
@pytest.mark.parametrize("temperature", [0.01, 0.1, 0.5, 10.0])
def test_equals_the_hand_loop(n, d, temperature):
    z1, z2 = pairs(n, d, seed=n * d)
    loss, top1 = nt_xent_loss(z1, z2, temperature), top1_accuracy(z1, z2)
    expected, expected_top1 = by_hand(z1, z2, temperature)
    assert float(loss) == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert float(top1) == pytest.approx(expected_top1)


@pytest.mark.parametrize("n", [1, 2, 7, 64])
def test_identical_embeddings_give_log_of_all_others(n):
    z = torch.ones(n, 4)
    assert float(nt_xent_loss(z, z, 0.01)) == pytest.approx(math.log(2 * n - 1), abs=1e-5)


def test_orthogonal_pairs():
    z, temperature = torch.eye(8), 0.5
    loss, top1 = nt_xent_loss(z, z, temperature), top1_accuracy(z, z)
    expected = -math.log(math.exp(1 / temperature) / (math.exp(1 / temperature) + 14))
    assert float(loss) == pytest.approx(expected, rel=1e-5) and float(top1) == 1.0


def test_symmetric_in_views_and_blind_to_scale_and_order():
    z1, z2 = pairs(12, 6)
    loss, top1 = nt_xent_loss(z1, z2, 0.2), top1_accuracy(z1, z2)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    lengths = torch.linspace(0.01, 100, 12)[:, None]
    for a, b in [(z2, z1), (z1 * lengths, z2 * 7), (z1[order], z2[order])]:
        other, other_top1 = nt_xent_loss(a, b, 0.2), top1_accuracy(a, b)
        torch.testing.assert_close(other, loss)
        assert top1 == other_top1


def test_wrong_pairs_cost_more():
    z1, z2 = pairs(16, 8)
    assert nt_xent_loss(z1, z2, 0.1) < nt_xent_loss(z1, z2.roll(1, 0), 0.1)


@pytest.mark.parametrize("held", [0, 100])
@pytest.mark.parametrize("rows", [1, 3, 8, 100])
def test_gradients_in_double(monkeypatch, rows, held):
    monkeypatch.setattr(module, "STRIP_ROWS", rows)
    monkeypatch.setattr(module, "HELD_VIEWS", held)
    z1, z2 = (z.requires_grad_() for z in pairs(4, 3, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda a, b: nt_xent_loss(a, b, 0.3), (z1, z2))


@pytest.mark.parametrize("n", [1, 2, 100, 128, 300])
@pytest.mark.parametrize("temperature", [0.003, 0.01, 0.0249, 0.025, 0.1, 100.0])
def test_equals_the_whole_matrix(n, temperature):
    z1, z2 = pairs(n, 16, seed=n)
    expected = by_autograd(z1, z2, temperature)
    assert_close(by_library(z1.double(), z2.double(), temperature), expected, 1e-12)
    assert_close(by_library(z1, z2, temperature), expected, 1e-5)


@pytest.mark.parametrize("held", [0, 1000])
@pytest.mark.parametrize("rows", [1, 7, 64, 1000])
def test_strips_change_nothing(monkeypatch, rows, held):
    z1, z2 = pairs(33, 8, dtype=torch.float64)
    expected, top1 = by_library(z1, z2, 0.1), top1_accuracy(z1, z2)
    monkeypatch.setattr(module, "STRIP_ROWS", rows)
    monkeypatch.setattr(module, "HELD_VIEWS", held)
    assert_close(by_library(z1, z2, 0.1), expected, 1e-14)
    monkeypatch.setattr(top1_module, "STRIP_ROWS", rows)
    assert top1_accuracy(z1, z2) == top1


@pytest.mark.parametrize("temperature", [0.003, 0.025, 0.1])
def test_the_farthest_similarities_neither_vanish_nor_overflow(temperature):
    """Partners opposite each other among negatives that all coincide: every logit is at one end of its range."""
    z1 = torch.tensor([[1.0, 0.0]]).repeat(200, 1)
    expected = by_autograd(z1, -z1, temperature)
    assert_close(by_library(z1, -z1, temperature), expected, 1e-5)


def test_the_default_temperature_is_that_of_the_paper():
    z1, z2 = pairs(12, 6)
    assert torch.equal(nt_xent_loss(z1, z2), nt_xent_loss(z1, z2, 0.1))


def test_top1_of_no_gradient_and_of_shapes_that_do_not_fit():
    z = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert not top1_accuracy(z, z).requires_grad
    for bad in [(z, z[:3]), (z[0], z[0]), (z[:0], z[:0]), (z, z, torch.arange(3))]:
        with pytest.raises(ValueError, match="must both be"):
            top1_accuracy(*bad)


def test_a_pair_alone_has_nothing_to_learn():
    loss, *gradients = by_library(*pairs(1, 4), 0.1)
    assert str(loss.item()) == "0.0" and not torch.cat(gradients).any()


@pytest.mark.parametrize("n", [2, 7, 200])
def test_a_collapsed_network_has_no_hit(n):
    z = torch.full((n, 4), 0.7)
    assert top1_accuracy(z, z) == 0


class PeakMemory(TorchDispatchMode):
    """Values held at once, at most, by the tensors that are made while it is active."""

    def __init__(self):
        super().__init__()
        self.storages, self.peak = {}, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            storage = tensor.untyped_storage()
            known = self.storages.setdefault(storage.data_ptr(), [tensor.numel(), []])
            known[1].append(weakref.ref(tensor))
        self.storages = {k: v for k, v in self.storages.items() if any(ref() is not None for ref in v[1])}
        self.peak = max(self.peak, sum(size for size, _ in self.storages.values()))
        return out


def test_memory_grows_with_the_batch_not_with_its_square(monkeypatch):
    monkeypatch.setattr(module, "STRIP_ROWS", 16)

    def peak(n, held, learning=True):
        monkeypatch.setattr(module, "HELD_VIEWS", held)
        z1, z2 = (z.requires_grad_(learning) for z in pairs(n, 8))
        with PeakMemory() as memory:
            loss = nt_xent_loss(z1, z2, 0.1)
            if learning:
                loss.backward()
        return memory.peak

    assert peak(400, held=0) < 2.1 * peak(200, held=0) < 2.1 * 400 * 16 * 5
    assert peak(400, held=800) > 3 * peak(200, held=800) > 3 * 400**2 / 2
    assert peak(400, held=800, learning=False) < 800 * 16 * 5


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_finite_at_low_temperature(scale):
    z1, z2 = (z * scale for z in pairs(32, 16))
    z1[3] = z2[3]  # a perfect pair: similarity 1 / 0.01 overflows exp in float32
    z1.requires_grad_()
    loss = nt_xent_loss(z1, z2, 0.01)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(z1.grad).all()


def test_low_precision_input_is_computed_in_float32():
    z1, z2 = (z.bfloat16() for z in pairs(16, 32))
    exact = nt_xent_loss(z1.double(), z2.double(), 0.01)
    assert exact.dtype == torch.float64
    with torch.autocast("cpu", torch.bfloat16):
        loss = nt_xent_loss(z1, z2, 0.01)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(float(exact), rel=1e-4)


@pytest.mark.parametrize(
    ("shape1", "shape2", "temperature", "message"),
    [
        ((4, 3), (5, 3), 0.1, r"\(4, 3\) and \(5, 3\)"),
        ((4, 3), (4, 2), 0.1, "must both be"),
        ((4,), (4,), 0.1, "must both be"),
        ((0, 3), (0, 3), 0.1, "must both be"),
        ((4, 3), (4, 3), 0.0, "temperature is 0.0"),
        ((4, 3), (4, 3), -1, "temperature is -1"),
        ((4, 3), (4, 3), 0.001, "temperature is 0.001"),
        ((4, 3), (4, 3), float("nan"), "temperature is nan"),
    ],
)
def test_errors(shape1, shape2, temperature, message):
    with pytest.raises(ValueError, match=message):
        nt_xent_loss(torch.ones(shape1), torch.ones(shape2), temperature)
