"""Any network as a Backbone, by a hook."""

import dataclasses

import pytest
import torch
from torch import nn

import hsx
from hsx.backbones.hooked import HookedBackbone
from hsx.backbones.unet2d import UNet2DBackbone
from hsx.schedule import NoiseSchedule
from hsx.strategies import Constant, Frobenius, Inverted, IteratedLatent, Latent, Renoised, Slerp

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
    results = [
        hsx.Transfer(net, inversion_steps=4, generation_steps=4, t_boost=0)(pictures[:2], pictures[2:])
        for net in (UNet2DBackbone(unet, NoiseSchedule.linear()), HookedBackbone(unet, sample_size=16))
    ]
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


SKIPS = ["conv_in", "down_blocks.0.resnets.0", "down_blocks.0.downsamplers.0", "down_blocks.1.attentions.0"]


def test_with_all_skips_named_it_equals_the_network_that_is_cut():
    unet = tiny(out_channels=6)
    cut, hooked = UNet2DBackbone(unet, NoiseSchedule.linear()), HookedBackbone(unet, skips=SKIPS, sample_size=16)
    x, t = torch.randn(2, 3, 16, 16), torch.tensor([999, 3])
    with torch.no_grad():
        ours, theirs = hooked.encode(x, t), cut.encode(x, t)
        assert list(ours.features) == list(theirs.features) and hooked.layout.sites == cut.layout.sites
        assert all(torch.equal(ours.features[site], theirs.features[site]) for site in theirs.features)
        assert torch.equal(hooked.decode(ours), cut.decode(theirs))
        for sites in (["h"], SKIPS[:1], SKIPS[2:3], [*SKIPS[1:], "h"], ["h", *SKIPS]):
            changed = {site: theirs.features[site].flip(1) for site in sites}
            expected = cut.decode(theirs.with_features(changed))
            assert torch.equal(hooked.decode(ours.with_features(changed)), expected)
            assert not torch.equal(expected, cut.decode(theirs))
    assert all(not module._forward_hooks for module in unet.modules())


@pytest.mark.parametrize("donor", [Inverted(), Renoised()], ids=["inverted", "renoised"])
def test_a_whole_transfer_at_sites_is_the_same(donor):
    unet = tiny()
    pictures = torch.rand(4, 3, 16, 16) * 2 - 1
    options = dict(sites={"h": 0.5, "deepest:2": 1.0}, donor=donor, inversion_steps=4, generation_steps=4, t_boost=0)
    ours, theirs = (
        hsx.Transfer(net, Constant(0.8), calibrator=Latent(0.3), **options)(pictures[:2], pictures[2:])
        for net in (HookedBackbone(unet, skips=SKIPS, sample_size=16), UNet2DBackbone(unet, NoiseSchedule.linear()))
    )
    assert torch.equal(ours, theirs)


@torch.no_grad()
def test_skips_that_are_not_named_follow_the_change():
    """Of a network nobody foresaw what is not named runs as the network has it."""
    unet = tiny()
    some = HookedBackbone(unet, skips=SKIPS[1:2], sample_size=16)
    cut = UNet2DBackbone(unet, NoiseSchedule.linear())
    x, t = torch.randn(1, 3, 16, 16), torch.tensor([500])
    ours, theirs = some.encode(x, t), cut.encode(x, t)
    assert list(some.layout.sites) == ["h", SKIPS[1]]
    changed = theirs.skips[1].flip(1)
    follows = unet.down_blocks[0].downsamplers[0](changed)
    deeper, pushed = unet.down_blocks[1](follows, theirs.emb)
    skips = (theirs.skips[0], changed, follows, *pushed)
    expected = cut.decode(dataclasses.replace(theirs, skips=skips))  # with its own h all the same
    assert torch.equal(some.decode(ours.with_features({SKIPS[1]: changed})), expected)
    with pytest.raises(hsx.BackboneError, match=f"expected sites among h, {SKIPS[1]}, got conv_in"):
        ours.with_features({"conv_in": theirs.skips[0]})


class Named(nn.Module):
    """Modules in the order of their names; one of them has a name that is taken, one runs twice."""

    def __init__(self):
        super().__init__()
        self.h, self.first, self.twice, self.middle = (nn.Identity() for _ in range(4))

    def forward(self, x, t):
        return self.middle(self.twice(self.twice(self.first(self.h(x)))))


@pytest.mark.parametrize(
    "skips, said",
    [
        (["frist"], "^skips: expected a module such as first.*, got frist; see named_modules"),
        (["first", "first"], "^skips: expected each module once, .*, got first; drop it"),
        (
            ["h"],
            "^skips: expected each module once, and none called h, x_T, timesteps or the bottleneck, got h; drop it",
        ),
        (["middle"], "^skips: expected each module once, .*, got middle; drop it"),
        ([3], "^skips: expected a list of names of modules inside the network, got 3"),
        ({"first": 1}, "^skips: expected a list of names of modules inside the network, got {'first': 1}"),
    ],
    ids=str,
)
def test_wrong_skips_are_refused_at_once(skips, said):
    with pytest.raises(hsx.BackboneError, match=said):
        HookedBackbone(Named(), "middle", skips, sample_size=8)


def test_skips_that_run_otherwise_are_refused_when_they_run():
    x, t = torch.zeros(1, 3, 8, 8), torch.tensor([1])
    with pytest.raises(
        hsx.BackboneError, match="^skips: expected a module that runs once a pass, got twice, which ran 2"
    ):
        HookedBackbone(Named(), "middle", ["twice"], sample_size=8).encode(x, t)
    unet = tiny()
    wrong = HookedBackbone(unet, skips=[SKIPS[2], SKIPS[0]], sample_size=16)
    order = f"got {SKIPS[0]}, {SKIPS[2]}, mid_block as it runs; sort them"
    with pytest.raises(hsx.BackboneError, match=f"^skips: expected them as they run, then the bottleneck, {order}"):
        wrong.encode(torch.zeros(1, 3, 16, 16), t)
    late = HookedBackbone(unet, skips=["up_blocks.0.resnets.0"], sample_size=16)
    with pytest.raises(
        hsx.BackboneError, match="^skips: expected them as they run, then the bottleneck, got mid_block"
    ):
        late.encode(torch.zeros(1, 3, 16, 16), t)
    assert all(not module._forward_hooks for module in unet.modules())


def test_one_name_is_a_list_of_one():
    assert HookedBackbone(tiny(), skips="conv_in", sample_size=16).skips == ("conv_in",)


def test_skips_change_the_fingerprint_and_none_leave_it_as_it_was():
    found = [HookedBackbone(tiny(), skips=skips, sample_size=16).fingerprint() for skips in ((), SKIPS[:1], SKIPS)]
    assert len(set(found)) == 3
    plain = HookedBackbone(tiny(), sample_size=16)
    assert found[0] == plain.fingerprint() and "skips" not in vars(plain)  # as before there were any


class Predicts(nn.Module):
    """A network of diffusers', of which another thing than eps is made."""

    def __init__(self, unet, of):
        super().__init__()
        self.unet, self.of = unet, of

    def forward(self, x, t):
        return self.of(self.unet(x, t).sample, x, NoiseSchedule.linear().at(t).to(x))


@pytest.mark.parametrize(
    "prediction, of",
    [
        ("epsilon", lambda eps, x, a: eps),
        ("v_prediction", lambda eps, x, a: a.sqrt() * eps - (1 - a).sqrt() * (x - (1 - a).sqrt() * eps) / a.sqrt()),
        ("sample", lambda eps, x, a: (x - (1 - a).sqrt() * eps) / a.sqrt()),
    ],
)
def test_other_predictions_become_eps(prediction, of):
    x, t = torch.randn(3, 3, 16, 16, dtype=torch.float64), torch.tensor([900, 500, 3])
    plain = UNet2DBackbone(tiny().double(), NoiseSchedule.linear())
    hooked = HookedBackbone(Predicts(tiny().double(), of), "unet.mid_block", sample_size=16, prediction=prediction)
    b, other = hooked.encode(x, t), plain.encode(x, t)
    torch.testing.assert_close(hooked.decode(b), plain.decode(other))
    torch.testing.assert_close(hooked.decode(b.with_h(-b.h)), plain.decode(other.with_h(-other.h)))


def test_what_a_call_costs_is_what_is_run():
    unet, runs = tiny(), []
    unet.register_forward_pre_hook(lambda module, given: runs.append(len(given[0])))
    net, x, t = HookedBackbone(unet, sample_size=16), torch.zeros(2, 3, 16, 16), torch.tensor([5, 5])
    b = net.encode(x, t)
    assert net.encode_cost() == 1 and net.decode_cost(b) == 0
    net.decode(b)
    assert runs == [2]
    assert net.decode_cost(b.with_h(b.h)) == 1
    net.decode(b.with_h(b.h))
    assert runs == [2, 2]
    cut = UNet2DBackbone(tiny(), NoiseSchedule.linear())
    assert cut.encode_cost() + cut.decode_cost(cut.encode(x, t)) == 1


def test_a_module_counts_what_a_hooked_network_runs(monkeypatch):
    from hsx.runner import model as modules
    from hsx.runner.batches import PairBatch, PictureBatch
    from hsx.runner.stages import Inject, Invert

    unet, runs = tiny(), []
    unet.register_forward_pre_hook(  # a look at its shapes alone, on the meta device, is no evaluation
        lambda module, given: runs.append(0 if given[0].is_meta else len(given[0]))
    )
    monkeypatch.setattr(modules, "load_backbone", lambda source: HookedBackbone(unet, sample_size=16))
    moves = Constant(0.5), Slerp(), Frobenius(), Latent(0.3)
    model = modules.TransferModel("own", *moves, 4, 5, 3, t_edit=0, t_boost=0)
    module = Invert(model.transfer)
    inverted = module.predict_step(PictureBatch([0, 1], torch.rand(2, 3, 16, 16), ["a", "b"]))
    found = inverted.trajectory
    assert inverted.at_once == [2, 2] and module.machine == {"device": "cpu", "threads": torch.get_num_threads()}
    records = [{"seed": 0, "pixels": [n, n]} for n in range(2)]
    gamma = torch.full((2,), torch.nan)
    pairs = PairBatch([0, 1], records, gamma, None, dict(found.features), found.x_T, None, found.x_T, [{}, {}])
    assert Inject(model.transfer).predict_step(pairs).at_once == [2, 2]
    assert model.backbone.evaluations == sum(runs)


def test_calibration_that_looks_at_skips_is_refused():
    net = HookedBackbone(tiny(), sample_size=16)
    transfer = hsx.Transfer(net, calibrator=IteratedLatent(), inversion_steps=3, generation_steps=3)
    with pytest.raises(hsx.HsxError, match="IteratedLatent: expected a network whose skips are known, got a Hooked"):
        transfer(torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 16))
    named = HookedBackbone(tiny(), skips=SKIPS, sample_size=16)
    again = hsx.Transfer(named, calibrator=IteratedLatent(), inversion_steps=3, generation_steps=3)
    assert torch.isfinite(again(torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 16))).all()


def test_what_is_known_of_a_pass_is_of_its_own_h_alone():
    """Whoever changes a bottleneck, with ``with_h`` or not, gets what the network makes of it."""
    unet = tiny()
    net = HookedBackbone(unet, sample_size=16)
    x, t = torch.randn(1, 3, 16, 16), torch.tensor([5])
    b = net.encode(x, t)
    other = dataclasses.replace(b, h=2 * b.h)
    assert net.decode_cost(b) == 0 and net.decode_cost(other) == 1
    assert torch.equal(net.decode(other), net.decode(b.with_h(2 * b.h))) and not torch.equal(net.decode(other), b.eps)
    sites = HookedBackbone(unet, skips=SKIPS, sample_size=16)
    b = sites.encode(x, t)
    other = dataclasses.replace(b, skips=(b.skips[0] * 2, *b.skips[1:]))
    assert sites.decode_cost(b) == 0 and sites.decode_cost(other) == sites.decode_cost(b.with_features({})) == 1
    assert not torch.equal(sites.decode(other), b.eps)
