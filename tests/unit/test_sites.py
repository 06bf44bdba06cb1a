"""Sites by name, by size and by depth, what passes there, and what of them tells results apart."""

import copy
import dataclasses
import re

import pytest
import torch

import hsx
from hsx.backbones.base import BOTTLENECK, Bottleneck
from hsx.backbones.unet2d import UNet2DBackbone
from hsx.method.sites import chosen_sites
from hsx.runner.model import TransferModel
from hsx.schedule import NoiseSchedule
from hsx.store.fingerprints import Fingerprints
from hsx.strategies import AdaIN, Constant, Frobenius, Latent, Masked, Renoised, Slerp, SphericalMean

from ..conftest import picture
from .test_unet2d import tiny

CONV, RESNET, DOWN, DEEPEST = "conv_in", "down_blocks.0.resnets.0", "down_blocks.0.downsamplers.0", "down_blocks.1"
DEEPEST += ".attentions.0"
FEW = dict(inversion_steps=4, generation_steps=4, t_boost=0, t_edit=0)


@pytest.fixture(scope="module")
def net():
    return UNet2DBackbone(tiny(), NoiseSchedule.linear())


@pytest.fixture(scope="module")
def pictures():
    coarse = torch.rand(6, 3, 4, 4, generator=torch.Generator().manual_seed(2)) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=16, mode="bicubic").clamp(-1, 1).split(3)


# ------------------------------------------------------------------------------------------------- what passes there
@torch.no_grad()
def test_features_are_what_passes_from_e_to_d(net):
    b = net.encode(torch.randn(2, 3, 16, 16), torch.tensor([5, 900]))
    assert list(b.features) == [BOTTLENECK, CONV, RESNET, DOWN, DEEPEST] == list(net.layout.sites)
    assert {site: tuple(v.shape[1:]) for site, v in b.features.items()} == net.layout.sites
    assert b.features[BOTTLENECK] is b.h and all(map(torch.equal, list(b.features.values())[1:], b.skips))
    changed = b.with_features({DOWN: -b.skips[2], BOTTLENECK: 2 * b.h})
    assert torch.equal(changed.h, 2 * b.h) and torch.equal(changed.skips[2], -b.skips[2])
    assert all(changed.skips[i] is b.skips[i] for i in (0, 1, 3)) and changed.emb is b.emb and changed.x is b.x
    assert torch.equal(net.decode(changed), net.decode(dataclasses.replace(b, h=changed.h, skips=changed.skips)))
    assert not torch.equal(net.decode(b.with_features({DOWN: -b.skips[2]})), net.decode(b))
    with pytest.raises(hsx.BackboneError, match="expected sites among h, conv_in, .*, got elsewhere; take one"):
        b.with_features({"elsewhere": b.h})


def test_a_bottleneck_without_names_has_h_alone():
    b = Bottleneck(torch.ones(1, 2, 4, 4), (torch.zeros(1, 2, 8, 8),), torch.empty(0))
    assert list(b.features) == [BOTTLENECK]
    changed = b.with_features({BOTTLENECK: -b.h})
    assert torch.equal(changed.h, -b.h) and changed.skips is b.skips
    with pytest.raises(hsx.BackboneError, match="expected sites among h, got conv_in"):
        b.with_features({"conv_in": b.h})


# ------------------------------------------------------------------------------------------------------------- names
@pytest.mark.parametrize(
    "sites, found",
    [
        ("h", ["h"]),
        (["h"], ["h"]),
        (CONV, [CONV]),
        (("h", DEEPEST), ["h", DEEPEST]),
        ("skips@R", [CONV, RESNET]),
        ("skip@R", [RESNET]),
        ("skips@R/2", [DOWN, DEEPEST]),
        ("skip@R/2", [DEEPEST]),
        ("deepest:1", [DEEPEST]),
        (["h", "deepest:3"], ["h", RESNET, DOWN, DEEPEST]),
        ("deepest:4", [CONV, RESNET, DOWN, DEEPEST]),
    ],
    ids=str,
)
def test_sites_by_name_size_and_depth(net, sites, found):
    assert chosen_sites(sites, net) == dict.fromkeys(found, 1.0)


def test_factors_hold_for_all_that_a_name_stands_for(net):
    assert chosen_sites({"h": 1, "skips@R/2": 0.3}, net) == {"h": 1.0, DOWN: 0.3, DEEPEST: 0.3}
    config = hsx.TransferConfig(sites={"skip@R/2": 0.5}).resolved(net)
    assert config.sites == config.resolved(net).sites == {DEEPEST: 0.5}


@pytest.mark.parametrize(
    "sites, said",
    [
        ([], "expected names such as h or skip@R/4, got [] (of type list); see hsx inspect"),
        ({}, "expected names such as h or skip@R/4, got {} (of type dict); see hsx inspect"),
        ("", "expected one of the network's, such as h, "),
        (None, "expected names such as h or skip@R/4, got None"),
        (3, "expected names such as h or skip@R/4, got 3"),
        ({1: 0.5}, "expected names such as h or skip@R/4, got {1: 0.5}"),
        (["h", 1], "expected names such as h or skip@R/4, got ['h', 1]"),
        (["h", "h"], "expected each once, got h again by h; name it once"),
        (["deepest:2", DEEPEST], f"expected each once, got {DEEPEST} again by {DEEPEST}; name it once"),
        (["skip@R/2", "deepest:1"], f"expected each once, got {DEEPEST} again by deepest:1; name it once"),
        ("skip@R/4", "expected a size at which the network has skips (R/1, R/2), got skip@R/4; see hsx inspect"),
        ("skips@R/0", "deepest:1 to deepest:4, got skips@R/0; see hsx inspect"),
        ("deepest:0", "deepest:1 to deepest:4, got deepest:0; see hsx inspect"),
        ("deepest:5", "deepest:1 to deepest:4, got deepest:5; see hsx inspect"),
        ("deepest:" + "9" * 5000, "deepest:1 to deepest:4, got deepest:999"),
        ("down_blocks.0.resnet.0", f"expected one of the network's, such as h, {RESNET}, "),
        ("mid_block", "got mid_block; see hsx inspect"),
        ({"h": 2}, "expected 0 to 1 (the factor of gamma at h), got 2; take one of these"),
        ({"h": -0.1}, "expected 0 to 1 (the factor of gamma at h), got -0.1; take one of these"),
        ({"h": float("nan")}, "expected 0 to 1 (the factor of gamma at h), got nan; take one of these"),
        ({"h": "1"}, "expected 0 to 1 (the factor of gamma at h), got 1 (of type str); take one of these"),
        ({"h": True}, "expected 0 to 1 (the factor of gamma at h), got True (of type bool); take one of these"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_site_is_refused_in_one_line(net, sites, said):
    with pytest.raises(hsx.HsxError, match=f"^sites: .*{re.escape(said)}") as caught:
        hsx.Transfer(net, sites=sites)
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------------------------------------------- transfers there
def test_a_factor_of_0_or_an_unused_site_changes_nothing(net, pictures):
    alone = hsx.Transfer(net, Constant(0.8), sites="skip@R/2", **FEW)
    both = hsx.Transfer(net, Constant(0.8), sites={"skip@R/2": 1.0, "h": 0.0}, **FEW)
    assert torch.equal(alone(*pictures), both(*pictures))
    halved = hsx.Transfer(net, Constant(0.4), sites="skip@R/2", **FEW)
    assert torch.equal(halved(*pictures), hsx.Transfer(net, Constant(0.8), sites={"skip@R/2": 0.5}, **FEW)(*pictures))
    assert not torch.equal(halved(*pictures), alone(*pictures))


@pytest.mark.parametrize("options", [{}, {"donor": Renoised()}], ids=["inverted", "renoised"])
def test_results_do_not_depend_on_the_batch_and_no_argument_is_changed(net, pictures, options):
    net, pictures = copy.deepcopy(net).double(), [v.double() for v in pictures]
    transfer = hsx.Transfer(
        net, Constant(0.7), normalizer=AdaIN(), calibrator=Latent(0.3), sites=["h", "deepest:3"], **FEW, **options
    )
    content, style = transfer.contents(pictures[0]), transfer.invert(pictures[1], ())
    assert style.features == {} and set(content.features) == ({"h", RESNET, DOWN, DEEPEST} if not options else set())
    mask = torch.zeros(3, 1, 16, 16, dtype=torch.float64)
    mask[:, :, 3:13, 2:9] = 1
    kept = [v.clone() for v in (*pictures, mask, *content.features.values(), style.x_T)]
    whole = transfer.inject(content, style, mask)
    assert all(map(torch.equal, kept, (*pictures, mask, *content.features.values(), style.x_T)))
    for row in range(3):
        at = slice(row, row + 1)
        alone = transfer.inject(transfer.contents(pictures[0][at]), transfer.invert(pictures[1][at], ()), mask[at])
        torch.testing.assert_close(alone, whole[at], atol=1e-4, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_precisions_and_inference_mode(tiny_model, pictures, dtype):
    net = hsx.load_backbone(tiny_model).to(dtype)
    for donor in (None, Renoised()):
        with torch.inference_mode():
            transfer = hsx.Transfer(net, Constant(0.5), sites=["h", "skips@R/2"], donor=donor, **FEW)
            result = transfer(*(v.to(dtype) for v in pictures))
        assert result.dtype == dtype and torch.isfinite(result).all()


def test_a_mask_is_resized_to_each_site(net, pictures):
    """White in one quarter: at each site only that quarter is injected."""
    seen = []

    class Watched(Slerp):
        def __call__(self, h, content_h, gamma, mask=None):
            seen.append((tuple(h.shape[2:]), mask))
            return super().__call__(h, content_h, gamma, mask)

    transfer = hsx.Transfer(net, Constant(1.0), Watched(), sites=["h", CONV], **FEW)
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., :8, :8] = 1
    transfer.inject(transfer.contents(pictures[0]), transfer.invert(pictures[1], ()), mask)
    assert {size for size, _ in seen} == {(8, 8), (16, 16)}
    for (side, _), area in seen:
        assert area.shape == (1, 1, side, side) and bool((area[..., : side // 2, : side // 2] == 1).all())
        assert float(area.sum()) == side**2 / 4


def test_blends_of_several_pictures_work_at_every_site(net, pictures, tmp_path):
    path = str(picture(tmp_path / "m.png", 1))
    whole = hsx.Transfer(net, Constant(1.0), sites=["h", CONV], **FEW)(*pictures)
    for blend in (Masked(path), SphericalMean([path])):
        made = hsx.Transfer(net, Constant(1.0), blend, sites=["h", CONV], **FEW)(*pictures)
        assert torch.isfinite(made).all() and not torch.equal(made, whole)
    with pytest.raises(hsx.HsxError, match="SphericalMean: expected inverted contents, .* use the donor Inverted"):
        hsx.Transfer(net, Constant(1.0), SphericalMean([path]), donor=Renoised(), **FEW)(*pictures)


def test_contents_of_other_sites_are_refused(net, pictures):
    h_alone = hsx.Transfer(net, **FEW).contents(pictures[0])
    at_conv = hsx.Transfer(net, sites=CONV, **FEW)
    style = at_conv.invert(pictures[1], ())
    with pytest.raises(
        hsx.HsxError, match=r"expected a Trajectory with conv_in of \(8, 16, 16\), got .* none at 3 time"
    ):
        at_conv.inject(h_alone, style)
    with pytest.raises(
        hsx.HsxError, match="expected a Trajectory with h, got one with conv_in; name h among the sites"
    ):
        at_conv.contents(pictures[0]).h  # noqa: B018
    renoised = hsx.Transfer(net, donor=Renoised(), **FEW)
    with pytest.raises(hsx.HsxError, match=r"expected pictures \(3, 3, 16, 16\), which Renoised reads, got none; give"):
        renoised.inject(dataclasses.replace(h_alone, images=None), style)
    with pytest.raises(hsx.HsxError, match=r"expected a Trajectory with h of \(16, 8, 8\), got"):
        hsx.Transfer(net, **FEW).inject(renoised.contents(pictures[0]), style)
    with pytest.raises(hsx.HsxError, match="sites: expected one of the network's"):
        hsx.invert(net, pictures[0], 4, sites=["elsewhere"])


# ------------------------------------------------------------------------------------------ what tells results apart
def test_the_usual_sites_and_donor_have_the_identity_of_before_there_were_any():
    """The digests of the demo model's results and trajectories at the defaults of 0.1 before sites."""
    model = TransferModel("hsx://demo_faces", Constant(), Slerp(), Frobenius(), Latent(), sites={"h": 1})
    found = Fingerprints.of("a network", model.transfer.config, "32-true", "float16")
    assert found.settings == "0c068a8d1afec895747d9efa"
    assert not {"sites", "donor"} & model.transfer.config.record().keys()


def test_other_sites_factors_and_donors_tell_results_apart(net):
    def settings(**options):
        return Fingerprints.of("n", hsx.TransferConfig(**options).resolved(net), "32-true", "float16").settings

    assert settings() == settings(sites="h") == settings(sites=["h"]) == settings(sites={"h": 1.0})
    assert settings(sites="skip@R/2") == settings(sites=DEEPEST) == settings(sites={"deepest:1": 1})
    others = [{"sites": {"h": 0.5}}, {"sites": CONV}, {"sites": ["h", CONV]}, {"donor": Renoised()}]
    assert len({settings(), *(settings(**other) for other in others)}) == 5
    assert hsx.TransferConfig(sites=["h", "skip@R/2"]).resolved(net).as_model()["sites"] == ["h", DEEPEST]
    assert hsx.TransferConfig(sites={"skip@R/2": 0.5}).resolved(net).as_model()["sites"] == {DEEPEST: 0.5}
