import pytest
import torch
from hsx_wct import WhiteningColouring

from hsx.errors import HsxError
from hsx.strategies import AdaIN
from hsx.testing import check_strategy


@pytest.mark.parametrize("group", [0, 1, 8])
def test_contract(group):
    check_strategy(WhiteningColouring(group))


def test_means_and_covariances_are_the_styles():
    rng = torch.Generator().manual_seed(0)
    c, s = torch.randn(2, 6, 16, 16, generator=rng), torch.randn(2, 6, 16, 16, generator=rng).cumsum(1) + 2
    out = WhiteningColouring(0)(c, s)
    for row, style in zip(out.flatten(2), s.flatten(2), strict=True):
        torch.testing.assert_close(row.mean(1), style.mean(1), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(row.cov(), style.cov(), rtol=1e-3, atol=1e-3)


def test_single_channels_are_channel_moments():
    rng = torch.Generator().manual_seed(0)
    c, s = torch.randn(2, 6, 8, 8, generator=rng), torch.randn(2, 6, 8, 8, generator=rng) * 3 + 1
    torch.testing.assert_close(WhiteningColouring(1)(c, s), AdaIN()(c, s), rtol=1e-4, atol=1e-4)


def test_options_out_of_range():
    with pytest.raises(HsxError, match="group: expected 0 or more channels, got -1"):
        WhiteningColouring(-1)
