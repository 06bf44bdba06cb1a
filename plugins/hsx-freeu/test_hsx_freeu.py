import pytest
import torch
from hsx_freeu import SkipDamping, damp

from hsx.errors import HsxError
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


@pytest.mark.parametrize("options", [{"scale": 1.5}, {"radius": -1}, {"omega": -0.1}])
def test_options_out_of_range(options):
    with pytest.raises(HsxError, match=f"{next(iter(options))}: expected .* got"):
        SkipDamping(**options)
