"""Each strategy alone: shapes, dtypes, rows, guards and formulas."""

import math

import pytest
import torch

from hsx.errors import HsxError
from hsx.strategies import AdaIN, Constant, Frobenius, Identity, Latent, PaperFaceMask, Slerp
from hsx.strategies.base import StepState

from ..reference import naive

BLENDS = [Slerp(), PaperFaceMask()]
NORMALIZERS = [Frobenius(), AdaIN(), Identity()]


def features(n=3, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, 5, 8, 8, generator=rng), torch.randn(n, 5, 8, 8, generator=rng) * 3 + 1


def column(*values):
    return torch.tensor(values).reshape(-1, 1, 1, 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("strategy", [*BLENDS, *NORMALIZERS], ids=lambda s: type(s).__name__)
def test_shape_dtype_rows_and_no_mutation(strategy, dtype):
    h, c = (v.to(dtype) for v in features())
    gamma = column(0.0, 0.4, 1.0).to(dtype)
    before = h.clone(), c.clone()

    def call(rows):
        return strategy(h[rows], c[rows], gamma[rows]) if strategy in BLENDS else strategy(c[rows], h[rows])

    out = call(slice(None))
    assert out.shape == h.shape and out.dtype == dtype and torch.isfinite(out).all()
    assert torch.equal(h, before[0]) and torch.equal(c, before[1])
    for i in range(3):
        torch.testing.assert_close(call(slice(i, i + 1))[0], out[i], rtol=1e-3, atol=1e-3)


def test_slerp_is_the_formula_and_exact_at_the_ends():
    h, c = features()
    out = Slerp()(h, c, column(0.0, 0.3, 1.0))
    assert torch.equal(out[0], h[0]) and torch.equal(out[2], c[2])
    torch.testing.assert_close(out[1], naive.slerp(h[1], c[1], 0.3), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("c_of", [lambda h: h, lambda h: 3 * h, lambda h: -h, lambda h: 0 * h, lambda h: 1.000001 * h])
def test_slerp_is_a_line_where_there_is_no_arc(c_of):
    h, _ = features()
    c = c_of(h)
    for a, b in ((h, c), (c, h)):
        torch.testing.assert_close(
            Slerp()(a, b, column(0.2, 0.5, 1.0)), torch.lerp(a, b, column(0.2, 0.5, 1.0)), rtol=1e-4, atol=1e-4
        )
    assert torch.equal(Slerp()(0 * h, 0 * h, column(0.5, 0.5, 0.5)), 0 * h)


def test_masks_keep_h_outside():
    h, c = features()
    gamma = column(0.5, 0.5, 0.5)
    mask = torch.zeros(3, 1, 8, 8)
    mask[..., 2:5, 2:5] = 1
    out = Slerp()(h, c, gamma, mask)
    outside = (mask == 0).expand_as(h)
    assert torch.equal(out[outside], h[outside])
    torch.testing.assert_close(
        out[~outside].reshape(3, -1),
        torch.stack([naive.slerp(*(v[i][:, 2:5, 2:5].flatten() for v in (h, c)), 0.5) for i in range(3)]),
        rtol=1e-4,
        atol=1e-4,
    )
    torch.testing.assert_close(Slerp()(h, c, gamma, torch.ones(3, 1, 8, 8)), Slerp()(h, c, gamma))
    assert torch.equal(Slerp()(h, c, gamma, 0 * mask), h)
    changed = (PaperFaceMask()(h, c, gamma) != h).any(1)
    assert {tuple(v) for v in changed[0].nonzero().tolist()} == {(y, x) for y in (4, 5, 6) for x in (3, 4)}


def test_frobenius_gives_the_norm_of_the_styles():
    h, c = features()
    out = Frobenius()(c, h)
    torch.testing.assert_close(out.flatten(1).norm(dim=1), h.flatten(1).norm(dim=1))
    torch.testing.assert_close(out[1], naive.frobenius(c[1], h[1]))
    assert torch.equal(Frobenius()(0 * c, h), 0 * c)
    assert torch.equal(Frobenius()((0 * c).half(), h.half()), (0 * c).half())


def test_channel_moments_gives_mean_and_deviation_of_each_channel():
    h, c = features()
    out = AdaIN()(c, h)
    for moment in (lambda v: v.mean((2, 3)), lambda v: v.std((2, 3))):
        torch.testing.assert_close(moment(out), moment(h), rtol=1e-4, atol=1e-4)
    flat = torch.ones_like(c)
    torch.testing.assert_close(AdaIN()(flat, h), h.mean((2, 3), keepdim=True).expand_as(h))


@pytest.mark.parametrize("gamma", [-0.1, 1.1, math.nan, math.inf])
def test_constant_refuses_gammas_out_of_range(gamma):
    with pytest.raises(HsxError, match=f"^gamma: expected a number from 0 to 1, got {gamma}; "):
        Constant(gamma)
    assert Constant(0.4).gamma(0) == Constant(0.4).gamma(999) == 0.4


@pytest.mark.parametrize("omega", [-0.1, math.nan, math.inf])
def test_latent_refuses_strengths_out_of_range(omega):
    with pytest.raises(HsxError, match=f"^omega: expected a number of 0 or more, got {omega}; "):
        Latent(omega)


def test_latent_is_the_formula():
    x, eps, mixed = (torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(i)) for i in range(3))
    t = torch.tensor([300, 700])
    a = torch.tensor([naive.abar(300), naive.abar(700)], dtype=torch.float64).reshape(-1, 1, 1, 1)
    state = StepState(None, x, t, a, eps, None, mixed, None)
    assert Latent(0.0)(state) is None
    moved = Latent(0.3)(state)
    for i, ti in enumerate((300, 700)):
        p, q = naive.x0_of(x[i], eps[i], ti), naive.x0_of(x[i], mixed[i], ti)
        q = q.mean() + (q - q.mean()) * p.std() / q.std()
        dx = math.sqrt(naive.abar(ti)) * (q - p) + 0.3 * math.sqrt(1 - naive.abar(ti)) * (mixed[i] - eps[i])
        torch.testing.assert_close(moved[i], x[i] + dx, rtol=1e-4, atol=1e-4)


def test_the_authors_mask_needs_its_cells():
    h, c = features()
    with pytest.raises(HsxError, match="PaperFaceMask: expected an h of at least 6 x 4 cells, got 4 x 4; use Masked"):
        PaperFaceMask()(h[..., :4, :4], c[..., :4, :4], column(0.5, 0.5, 0.5))
