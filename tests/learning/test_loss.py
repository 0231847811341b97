"""NT-Xent against a slow hand loop, closed values and its symmetries."""

import math

import pytest
import torch

from cellclr_lib.learning import nt_xent


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


def pairs(n, d, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    z1 = torch.randn(n, d, generator=generator, dtype=dtype)
    return z1, z1 + torch.randn(n, d, generator=generator, dtype=dtype)


@pytest.mark.parametrize("n", [1, 2, 5, 16])
@pytest.mark.parametrize("d", [2, 8, 33])
@pytest.mark.parametrize("temperature", [0.01, 0.1, 0.5, 10.0])
def test_equals_the_hand_loop(n, d, temperature):
    z1, z2 = pairs(n, d, seed=n * d)
    loss, top1 = nt_xent(z1, z2, temperature)
    expected, expected_top1 = by_hand(z1, z2, temperature)
    assert float(loss) == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert float(top1) == pytest.approx(expected_top1)


@pytest.mark.parametrize("n", [1, 2, 7, 64])
def test_identical_embeddings_give_log_of_all_others(n):
    z = torch.ones(n, 4)
    assert float(nt_xent(z, z, 0.01)[0]) == pytest.approx(math.log(2 * n - 1), abs=1e-5)


def test_orthogonal_pairs():
    z, temperature = torch.eye(8), 0.5
    loss, top1 = nt_xent(z, z, temperature)
    expected = -math.log(math.exp(1 / temperature) / (math.exp(1 / temperature) + 14))
    assert float(loss) == pytest.approx(expected, rel=1e-5) and float(top1) == 1.0


def test_symmetric_in_views_and_blind_to_scale_and_order():
    z1, z2 = pairs(12, 6)
    loss, top1 = nt_xent(z1, z2, 0.2)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    lengths = torch.linspace(0.01, 100, 12)[:, None]
    for a, b in [(z2, z1), (z1 * lengths, z2 * 7), (z1[order], z2[order])]:
        other, other_top1 = nt_xent(a, b, 0.2)
        torch.testing.assert_close(other, loss)
        assert top1 == other_top1


def test_wrong_pairs_cost_more():
    z1, z2 = pairs(16, 8)
    assert nt_xent(z1, z2, 0.1)[0] < nt_xent(z1, z2.roll(1, 0), 0.1)[0]


def test_gradients_in_double():
    z1, z2 = (z.requires_grad_() for z in pairs(4, 3, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda a, b: nt_xent(a, b, 0.3)[0], (z1, z2))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_finite_at_low_temperature(scale):
    z1, z2 = (z * scale for z in pairs(32, 16))
    z1[3] = z2[3]  # a perfect pair: similarity 1 / 0.01 overflows exp in float32
    z1.requires_grad_()
    loss, _ = nt_xent(z1, z2, 0.01)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(z1.grad).all()


def test_low_precision_input_is_computed_in_float32():
    z1, z2 = (z.bfloat16() for z in pairs(16, 32))
    exact, _ = nt_xent(z1.double(), z2.double(), 0.01)
    assert exact.dtype == torch.float64
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = nt_xent(z1, z2, 0.01)
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
        ((4, 3), (4, 3), float("nan"), "temperature is nan"),
    ],
)
def test_errors(shape1, shape2, temperature, message):
    with pytest.raises(ValueError, match=message):
        nt_xent(torch.ones(shape1), torch.ones(shape2), temperature)
