"""Donors: what they give, what they cost, and the command line that names them and the sites."""

from dataclasses import replace

import pytest
import torch
import yaml

import hsx
from hsx.backbones.counted import Counted
from hsx.backbones.hooked import HookedBackbone
from hsx.backbones.unet2d import UNet2DBackbone
from hsx.cli import main
from hsx.method.inversion import Trajectory
from hsx.schedule import NoiseSchedule
from hsx.strategies import Constant, Donor, Interval, Inverted, Latent, Renoised
from hsx.strategies.base import StyleState

from ..reference import naive
from .test_unet2d import tiny

LINEAR = NoiseSchedule.linear()
FEW = dict(inversion_steps=5, generation_steps=6, t_boost=0, t_edit=0)


@torch.no_grad()
def test_what_they_give_is_the_formula():
    net = UNet2DBackbone(tiny(), LINEAR)
    x, pictures = torch.randn(2, 3, 16, 16), torch.rand(2, 3, 16, 16) * 2 - 1
    t = torch.tensor([400, 900])
    b = net.encode(x, t)
    state = StyleState(net, x, t, net.schedule.at(t), net.decode(b), b)
    content = hsx.invert(net, pictures, 5, sites=["h", "conv_in"])
    given = Inverted()(content, state)
    for row, nearest in enumerate((499, 749)):  # of 0, 249, 499 and 749
        for site in ("h", "conv_in"):
            assert torch.equal(given[site][row], content.features[site][row, content.timesteps.index(nearest)])
    given = Renoised()(Trajectory.of_pictures(pictures, 999), state)
    for row, at in enumerate((400, 900)):
        a = naive.abar(at)
        noised = a**0.5 * pictures[row] + (1 - a) ** 0.5 * state.eps[row]
        expected = naive.encode(net, noised, at)
        torch.testing.assert_close(given["h"][row], expected.h[0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(given["conv_in"][row], expected.skips[0][0], atol=1e-4, rtol=1e-4)


def test_renoised_contents_are_not_inverted():
    pictures = torch.zeros(2, 3, 16, 16)
    net = Counted(UNet2DBackbone(tiny(), LINEAR))
    content = hsx.Transfer(net, donor=Renoised(), sites="skip@R/2", **FEW).contents(pictures)
    assert net.evaluations == 0 and len(content) == 2 and content.features == {} and content.timesteps == ()
    assert torch.equal(content.images, pictures)
    hsx.Transfer(net, sites="skip@R/2", **FEW).contents(pictures)
    assert net.evaluations == 2 * (FEW["inversion_steps"] - 1)


@pytest.mark.parametrize("hooked", [False, True])
@pytest.mark.parametrize("omega", [0.0, 0.3])
def test_a_donor_costs_one_more_encode_a_step_that_injects(hooked, omega):
    def counted():
        return Counted(HookedBackbone(tiny(), sample_size=16) if hooked else UNet2DBackbone(tiny(), LINEAR))

    costs, images = [], torch.zeros(2, 3, 16, 16)
    for donor in (Inverted(), Renoised()):
        net = counted()
        transfer = hsx.Transfer(net, Interval(0.5, 900, 300), calibrator=Latent(omega), donor=donor, **FEW)
        content, style = transfer.contents(images), transfer.invert(images, ())
        net.evaluations = 0.0
        transfer.inject(content, style)
        costs.append(net.evaluations)
    injecting = sum(300 <= t <= 900 for t in transfer.timesteps)
    assert injecting == 3 and costs[1] - costs[0] == 2 * injecting * (1.0 if hooked else 0.5)


def test_of_a_transfer_that_injects_nothing_the_donor_is_not_asked():
    class Silent(Donor):
        inverts = False

        def __call__(self, content, state):
            raise AssertionError("asked")

    images = torch.zeros(1, 3, 16, 16)
    net = UNet2DBackbone(tiny(), LINEAR)
    assert torch.isfinite(hsx.Transfer(net, Constant(0.0), donor=Silent(), **FEW)(images, images)).all()
    with pytest.raises(AssertionError, match="asked"):
        hsx.Transfer(net, Constant(0.5), donor=Silent(), **FEW)(images, images)


@pytest.mark.parametrize("given, said", [(Renoised, r"give an object, Renoised\(…\)"), ("Renoised", "not a name")])
def test_what_is_no_donor_is_refused(given, said):
    with pytest.raises(hsx.HsxError, match=f"^donor: expected a Donor, got .*{said}"):
        hsx.TransferConfig(donor=given)


# -------------------------------------------------------------------------------------------------- the command line
def printed(capsys, *argv):
    """The section ``model`` of a run with these options."""
    data = ["--data.contents", "hsx://demo_faces/contents", "--data.styles", "hsx://demo_faces/styles"]
    assert main(["predict", "--model.backbone", "hsx://demo_faces", *data, *argv, "--print_config"]) == 0
    return yaml.safe_load(capsys.readouterr().out)["model"]


@pytest.mark.parametrize(
    "written, sites",
    [
        ("skip@R/4", "skip@R/4"),
        ("[h,skip@R/4]", ["h", "skip@R/4"]),
        ("deepest:3", "deepest:3"),
        ("{h: 1, skip@R/4: 0.7}", {"h": 1.0, "skip@R/4": 0.7}),
    ],
)
def test_sites_and_donors_on_the_command_line(capsys, tmp_path, written, sites):
    assert printed(capsys, "--model.sites", written, "--model.donor", "Renoised")["sites"] == sites
    (tmp_path / "a.yaml").write_text(f"model: {{sites: {written}, donor: Renoised}}")
    model = printed(capsys, "--config", str(tmp_path / "a.yaml"))
    assert model["sites"] == sites and model["donor"]["class_path"].rpartition(".")[2] == "Renoised"


def test_without_them_they_are_the_papers(capsys):
    model = printed(capsys)
    assert model["sites"] == ["h"] and model["donor"]["class_path"].rpartition(".")[2] == "Inverted"


@pytest.mark.parametrize(
    "section, said",
    [
        ("sites: 3", "model.sites: expected Sequence"),
        ("sites: [h, 3]", "model.sites: expected str, got 3"),
        ("sites: {h: much}", "model.sites: expected float, got much"),
        ("donor: Renoise", "model.donor: expected one of Renoised, Inverted, got Renoise; see hsx plugins"),
    ],
)
def test_wrong_ones_in_a_config_are_refused_in_one_line(capsys, tmp_path, section, said):
    (tmp_path / "a.yaml").write_text(f"model: {{backbone: hsx://demo_faces, {section}}}")
    assert main(["predict", "--config", str(tmp_path / "a.yaml"), "--print_config"]) == 2
    told = capsys.readouterr().err
    assert said in told and "Traceback" not in told and len(told.strip().splitlines()) == 1


class Sparse(Renoised):
    """Gives h alone."""

    def __call__(self, content, state):
        return {"h": super().__call__(content, state)["h"]}


def test_what_a_donor_takes_and_gives_is_checked():
    net, images = UNet2DBackbone(tiny(), LINEAR), torch.zeros(2, 3, 16, 16)
    transfer = hsx.Transfer(net, donor=Renoised(), **FEW)
    styles = transfer.invert(images, ())
    for wrong, found in (
        (replace(styles, images=None), "none"),
        (replace(styles, images=images[..., :8]), r"\(2, 3, 16"),
    ):
        with pytest.raises(hsx.HsxError, match=f"^content: expected pictures .*, which Renoised reads, got {found}"):
            transfer.inject(wrong, styles)
    sparse = hsx.Transfer(net, donor=Sparse(), sites=["h", "conv_in"], **FEW)
    with pytest.raises(hsx.HsxError, match="^Sparse: expected a feature at conv_in, got those of h; take another"):
        sparse.inject(sparse.contents(images), styles)
    config = hsx.TransferConfig(sites="skip@R/2")
    assert config.as_model()["sites"] == "skip@R/2" and {"t_edit", "sites"} <= config.record().keys()
    assert list(transfer.invert(images, "skip@R/2").features) == list(hsx.Transfer(net, sites="skip@R/2").sites)


class Cut(Renoised):
    """Gives something else than a feature."""

    def __init__(self, how="row"):
        self.how = how

    def __call__(self, content, state):
        h = super().__call__(content, state)["h"]
        return {"row": {"h": h[:1]}, "int": {"h": h.int()}, "numpy": {"h": h.numpy()}, "none": None}[self.how]


@pytest.mark.parametrize("how, found", [("row", r"\(1, 16"), ("int", "torch.int32"), ("numpy", ".*"), ("none", "None")])
def test_what_is_no_feature_is_refused(how, found):
    net, images = UNet2DBackbone(tiny(), LINEAR), torch.zeros(2, 3, 16, 16)
    transfer = hsx.Transfer(net, donor=Cut(how), **FEW)
    with pytest.raises(hsx.HsxError, match=f"^Cut: expected a feature at h.* got .*{found}.*; take another donor"):
        transfer(images, images)


def test_factors_of_zero_alone_inject_nothing_and_are_refused():
    with pytest.raises(hsx.HsxError, match="^sites: expected a factor above 0 at one of them, got 0 at all"):
        hsx.Transfer(UNet2DBackbone(tiny(), LINEAR), sites={"h": 0})
