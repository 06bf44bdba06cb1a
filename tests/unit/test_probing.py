"""Which sites carry: the measures on pictures whose transfer is known, and networks whose sites are known."""

import pytest
import torch
from diffusers import UNet2DModel
from torch import nn

from hsx import HsxError, NoiseSchedule
from hsx.backbones import HookedBackbone
from hsx.backbones.unet2d import UNet2DBackbone
from hsx.probing import probe
from hsx.probing.measures import Score, measure
from hsx.probing.probing import LIMIT
from hsx.probing.spans import spans
from hsx.strategies import Renoised

SIDE = 32


def drawn(shape: int, palette: int, side: int = 64, period: float = 4.0) -> torch.Tensor:
    """A disc, a cross or a frame in two colours, under stripes: (1, 3, side, side) in [-1, 1]."""
    y, x = torch.meshgrid(*(2 * [torch.linspace(-1, 1, side)]), indexing="ij")
    shapes = [(x**2 + y**2) < 0.3, (x.abs() < 0.2) | ((y - 0.3).abs() < 0.2), torch.maximum(x.abs(), y.abs()) > 0.6]
    rng = torch.Generator().manual_seed(palette)
    dark, light = torch.rand(3, 1, 1, generator=rng) * 0.8 - 1, torch.rand(3, 1, 1, generator=rng) * 0.6 + 0.2
    angle = torch.rand((), generator=rng) * 3
    stripes = torch.sin((x * angle.cos() + y * angle.sin()) * side * torch.pi / period)
    return (torch.where(shapes[shape], light, dark) + 0.15 * (palette % 2) * stripes)[None].clamp(-1, 1)


def score(result: torch.Tensor, content: torch.Tensor, style: torch.Tensor) -> Score:
    return Score.of([measure(result, content, style)])


def test_a_transfer_scores_above_all_that_is_none():
    content, style, truth = drawn(0, 2), drawn(1, 7), drawn(0, 7)
    right = score(truth, content, style)
    assert right.content > 0.9 > 0.1 > abs(right.leak) and right.palette > 0.9 and right.texture > 0.8
    assert right.total > 0.8
    noise = torch.rand(content.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    flat = style.mean((2, 3), keepdim=True).expand_as(style)
    for other in (content, style, noise, flat, (content + style) / 2, drawn(2, 7)):
        assert score(other, content, style).total < 0.4
    assert score(content, content, style).structure > 0.99 and score(content, content, style).kept == 0
    assert score(style, content, style).structure < 0.01 and score(style, content, style).kept > 0.99


def test_structure_is_where_edges_are_and_not_which_side_is_light():
    content, style = drawn(0, 2), drawn(1, 7)
    assert score(-content, content, style).content > 0.99


def test_a_score_of_pairs_weighs_them_by_what_they_can_tell():
    alike = measure(drawn(0, 7), drawn(0, 7), drawn(1, 7))  # content and style have the same colours and texture
    apart = measure(drawn(0, 7), drawn(0, 2), drawn(1, 7))
    assert abs(Score.of([alike, apart]).palette - Score.of([apart]).palette) < 0.05
    assert Score.of([measure(*3 * [drawn(0, 2)])]).n == 1  # of equal pictures too, with no division by zero


class TwoTone(nn.Module):
    """Finds the picture below the noise: two colours, and where each of them is; both are taken from the clean one."""

    def __init__(self, pictures: torch.Tensor, blocks: int) -> None:
        super().__init__()
        self.colours, self.unused = nn.Identity(), nn.ModuleList([nn.Identity() for _ in range(blocks)])
        self.layout = nn.Identity()
        self.register_buffer("pictures", pictures)
        self.register_buffer("alphas", NoiseSchedule.linear().alphas_cumprod.float())

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        a = self.alphas[t].reshape(-1, 1, 1, 1)
        distances = (x[:, None] / a.sqrt()[:, None] - self.pictures[None]).square().mean((2, 3, 4))
        clean = self.pictures[distances.argmin(1)]
        light = (clean.mean(1, keepdim=True) > 0).float()
        dark_and_light = [(clean * part).sum((2, 3)) / part.sum((2, 3)) for part in (1 - light, light)]
        dark, bright = self.colours(torch.cat(dark_and_light, 1)[..., None, None]).chunk(2, 1)
        for block in self.unused:
            block(x)
        light = self.layout(light)
        return (x - a.sqrt() * (dark + (bright - dark) * light)) / (1 - a).sqrt()


def known(blocks: int = 0) -> tuple[HookedBackbone, torch.Tensor, torch.Tensor]:
    """A network that has layout and colours apart, and four pairs of pictures."""
    everything = {(i, k): drawn(i, k, SIDE) for i in range(3) for k in range(8)}
    contents, styles = (torch.cat([everything[(i + of) % 3, i + 4 * of] for i in range(4)]) for of in (0, 1))
    names = ["colours", *(f"unused.{i}" for i in range(blocks))]
    network = TwoTone(torch.cat([*everything.values()]), blocks)
    return HookedBackbone(network, "layout", skips=names, sample_size=SIDE), contents, styles


def test_the_site_that_has_the_layout_is_found_with_any_number_of_sites():
    for blocks in (0, 12):
        backbone, contents, styles = known(blocks)
        told: list[None] = []
        probed = probe(backbone, contents, styles, on_pair=lambda told=told: told.append(None))
        assert probed.best is not None and probed.best.sites == ("h",) and probed.best.donor is Renoised
        assert probed.carries and probed.verdict.startswith("Content is carried by h (donor Renoised, t ")
        assert max(probed.evaluations) <= LIMIT == 60 and len(told) == 8
        assert probed.settings is not None and tuple(probed.settings.sites) == ("h",)
        assert (probed.settings.t_edit, probed.settings.generation_steps) == (0, 50)


def test_where_only_colours_come_in_nothing_carries():
    backbone, contents, styles = known()
    swapped = HookedBackbone(backbone.module, "colours", sample_size=SIDE)
    probed = probe(swapped, contents, styles)
    assert probed.sites == ("h",) and not probed.carries
    assert probed.verdict.startswith("Nothing carries") and "the nearest thing is h (donor " in probed.verdict


def test_of_random_weights_nothing_can_be_said():
    torch.manual_seed(0)
    shape = {"block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4, "attention_head_dim": 8}
    blocks = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
    backbone = UNet2DBackbone(UNet2DModel(sample_size=SIDE, **shape, **blocks), NoiseSchedule.linear())
    _, contents, styles = known()
    probed = probe(backbone, contents[:2], styles[:2])
    assert (probed.best, probed.settings, probed.carries) == (None, None, False) and not probed.ran
    assert probed.verdict.startswith("Nothing carries") and max(probed.evaluations) <= LIMIT


def test_the_same_seed_gives_the_same_numbers():
    backbone, contents, styles = known()
    one, two = (probe(backbone, contents[:2], styles[:2], seed=3) for _ in range(2))
    assert one.looked == two.looked and one.ran == two.ran


def test_larger_pictures_are_probed_at_more_noise():
    def found(size: int, schedule: NoiseSchedule) -> list[tuple[int, int]]:
        network = HookedBackbone(nn.Sequential(nn.Identity()), "0", sample_size=size, schedule=schedule)
        return [(span.t_hi, span.t_lo) for span in spans(network)]

    assert found(64, NoiseSchedule.linear()) == found(16, NoiseSchedule.linear()) == [(50, 0), (395, 51), (600, 396)]
    (low, _), (middle, _), (high, _) = found(256, NoiseSchedule.linear())
    assert 150 < low < 250 and 600 < middle < 700 and 750 < high < 850
    assert all(hi > lo for hi, lo in found(256, NoiseSchedule.cosine(20)))
    with pytest.raises(HsxError, match="expected a noise schedule of 20 timesteps or more, got 10"):
        found(64, NoiseSchedule.cosine(10))


def test_fewer_than_two_pairs_are_refused():
    backbone, contents, styles = known()
    with pytest.raises(HsxError, match="expected two or more pairs of pictures, got 1"):
        probe(backbone, contents[:1], styles[:1])
