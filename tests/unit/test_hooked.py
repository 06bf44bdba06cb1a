"""Any network as a Backbone, by a hook."""

import pytest
import torch
from torch import nn

import hsx
from hsx.backbones.hooked import HookedBackbone
from hsx.backbones.unet2d import UNet2DBackbone
from hsx.schedule import NoiseSchedule

from .test_unet2d import tiny


def test_it_equals_the_network_that_is_really_cut():
    unet = tiny(out_channels=6)
    cut, hooked = UNet2DBackbone(unet, NoiseSchedule.linear()), HookedBackbone(unet, "mid_block", sample_size=16)
    x, t = torch.randn(2, 3, 16, 16), torch.tensor([999, 3])
    with torch.no_grad():
        assert torch.equal(hooked(x, t), cut(x, t))
        ours, theirs = hooked.encode(x, t), cut.encode(x, t)
        assert torch.equal(ours.h, theirs.h)
        assert torch.equal(hooked.decode(ours.with_h(-ours.h)), cut.decode(theirs.with_h(-theirs.h)))
    assert hooked.h_shape == cut.h_shape == (16, 8, 8) and hooked.layout.bottleneck == "mid_block"
    assert not unet.mid_block._forward_hooks


def test_a_whole_transfer_is_the_same():
    unet = tiny()
    pictures = torch.rand(4, 3, 16, 16) * 2 - 1
    results = [hsx.Transfer(net, inversion_steps=4, generation_steps=4, t_boost=0)(pictures[:2], pictures[2:])
               for net in (UNet2DBackbone(unet, NoiseSchedule.linear()), HookedBackbone(unet, sample_size=16))]
    assert torch.allclose(*results, atol=1e-5)


class Odd(nn.Module):
    """No U-Net of diffusers': a tuple out of the middle, which may run twice, or fail."""

    def __init__(self, times=1, fails=False):
        super().__init__()
        self.middle = Pair()
        self.times, self.fails = times, fails

    def forward(self, x, t):
        for _ in range(self.times):
            x, extra = self.middle(x)
        if self.fails:
            raise RuntimeError("inside")
        return x * 2, extra


class Pair(nn.Module):
    def forward(self, x):
        return x + 1, "extra"


def test_tuples_pass_and_the_hook_is_taken_off_whatever_happens():
    x, t = torch.zeros(1, 3, 8, 8), torch.tensor([1])
    net = HookedBackbone(Odd(), "middle", sample_size=8)
    b = net.encode(x, t)
    assert float(b.h.max()) == 1 and float(net.decode(b).max()) == 2
    assert float(net.decode(b.with_h(b.h * 5)).max()) == 10
    failing = HookedBackbone(Odd(fails=True), "middle", sample_size=8)
    with pytest.raises(RuntimeError, match="inside"):
        failing.encode(x, t)
    assert not failing.module.middle._forward_hooks


def test_wrong_names_are_refused():
    with pytest.raises(hsx.BackboneError, match="such as middle, got midle"):
        HookedBackbone(Odd(), "midle", sample_size=8)
    with pytest.raises(hsx.BackboneError, match="which ran 2 times; name another"):
        HookedBackbone(Odd(times=2), "middle", sample_size=8).encode(torch.zeros(1, 3, 8, 8), torch.tensor([1]))
