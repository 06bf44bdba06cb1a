import pytest
import torch
from hsx_freeu import SkipDamping, damp

import hsx
from hsx.errors import HsxError
from hsx.strategies import Constant
from hsx.testing import check_strategy


@pytest.mark.parametrize("options", [{}, {"scale": 0, "radius": 0}, {"resolution": 16, "omega": 0.3}])
def test_contract(options):
    check_strategy(SkipDamping(**options))


def test_low_frequencies_are_scaled_and_the_others_kept():
    y, x = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    wave = [torch.cos(2 * torch.pi * k * x / 8) for k in (0, 1, 2, 4)] + [torch.cos(2 * torch.pi * 3 * y / 8)]
    out = damp(torch.stack(wave)[None], 0.5, 1)
    torch.testing.assert_close(out, torch.stack([w * s for w, s in zip(wave, (0.5, 0.5, 1, 1, 1), strict=True)])[None])
    odd = torch.randn(2, 3, 5, 7)
    torch.testing.assert_close(damp(odd, 1.0, 2), odd)


def test_skips_that_were_injected_are_not_damped():
    """With all deep skips among the sites at gamma 1 nothing is left to damp."""
    net = hsx.load_backbone("hsx://demo_faces")
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    few = dict(inversion_steps=3, generation_steps=3, t_boost=0)

    def made(scale, sites):
        return hsx.Transfer(net, Constant(1.0), calibrator=SkipDamping(scale), sites=sites, **few)(x[:1], x[1:])

    deep = ["h", *(skip for skip, shape in net.layout.skips if shape[-1] <= 16)]
    assert torch.equal(made(0.1, deep), made(1.0, deep)) and not torch.equal(made(0.1, "h"), made(1.0, "h"))


@pytest.mark.parametrize("options", [{"scale": 1.5}, {"radius": -1}, {"omega": -0.1}])
def test_options_out_of_range(options):
    with pytest.raises(HsxError, match=f"{next(iter(options))}: expected .* got"):
        SkipDamping(**options)
