"""Measures without weights: against known values and computations written anew, and in the order of corruptions."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.spatial import cKDTree
from scipy.stats import wasserstein_distance

from hsx import metrics
from hsx.metrics import statistics
from hsx.testing import check_metric

PLAIN = {"EdgeSSIM", "InversionPSNR", "InversionSSIM", "Layout", "Look", "Overall", "Palette", "SSIM"}
PLAIN |= {"TruthPSNR", "TruthSSIM"}


def drawn(shape: int, palette: int, side: int = 48, period: float = 4.0) -> torch.Tensor:
    """A disc, a cross or a frame in two colours, under stripes for odd palettes: (1, 3, side, side) in [-1, 1]."""
    y, x = torch.meshgrid(*(2 * [torch.linspace(-1, 1, side)]), indexing="ij")
    shapes = [(x**2 + y**2) < 0.3, (x.abs() < 0.2) | ((y - 0.3).abs() < 0.2), torch.maximum(x.abs(), y.abs()) > 0.6]
    rng = torch.Generator().manual_seed(palette)
    dark, light = torch.rand(3, 1, 1, generator=rng) * 0.8 - 1, torch.rand(3, 1, 1, generator=rng) * 0.6 + 0.2
    stripes = torch.sin((0.8 * x + 0.6 * y) * side * torch.pi / period)
    return (torch.where(shapes[shape], light, dark) + 0.15 * (palette % 2) * stripes)[None].clamp(-1, 1)


CONTENT = torch.cat([drawn(0, 2), drawn(1, 6)])
STYLE, TRUTH = torch.cat([drawn(1, 7), drawn(2, 3)]), torch.cat([drawn(0, 7), drawn(1, 3)])


def noise(x, much):
    return (x + much * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))).clamp(-1, 1)


def blur(x, much):
    return statistics._blurred(x.flatten(0, 1)[:, None], 3 * much + 1e-3).view_as(x)


def shift(x, much):
    return (x + much * torch.tensor([1.0, -0.5, -1.0]).reshape(3, 1, 1)).clamp(-1, 1)


def of(name, result):
    """The measure of a result of these pairs, by the pictures that it takes."""
    metric = getattr(metrics, name)()
    given = {"result": result, "reconstruction": result, "content": CONTENT, "style": STYLE, "truth": TRUTH}
    return metric, metric.each(*(given[picture] for picture in metric.takes))


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_the_contract(name):
    check_metric(getattr(metrics, name))


def test_all_others_look_through_a_network():
    assert {name for name in metrics.__all__ if name not in PLAIN} - {"Metric", "MeanMetric"} == {
        *("LPIPS", "TruthLPIPS", "SelfSimilarity", "Gram", "Moments", "StyleDescriptor", "FID", "KID")
    }


BEST = {"InversionPSNR": (STYLE, 100), "InversionSSIM": (STYLE, 1), "Palette": (STYLE, 0), "SSIM": (CONTENT, 1)}
BEST |= {"EdgeSSIM": (CONTENT, 1), "TruthPSNR": (TRUTH, 100), "TruthSSIM": (TRUTH, 1)}


@pytest.mark.parametrize("corrupt", [noise, blur, shift])
@pytest.mark.parametrize("name", BEST)
def test_equal_pictures_are_best_and_corruption_is_worse_and_worse(name, corrupt):
    picture, best = BEST[name]
    metric, same = of(name, picture)
    torch.testing.assert_close(same, torch.full_like(same, best), atol=1e-5, rtol=0)
    if corrupt is shift and name in ("SSIM", "EdgeSSIM"):
        return  # which are of luminance
    sign = 1 if metric.higher_is_better else -1
    means = [sign * float(of(name, corrupt(picture, much))[1].mean()) for much in (0, 0.1, 0.3, 0.9)]
    assert means == sorted(means, reverse=True) and len(set(means)) == 4


def leak(x, much):
    return (1 - much) * x + much * STYLE


@pytest.mark.parametrize(
    "name, corrupt",
    [("Layout", leak), ("Look", noise), ("Look", blur), ("Look", shift), ("Look", leak), ("Overall", noise)],
)
def test_a_corrupted_truth_is_worse_and_worse(name, corrupt):
    means = [float(of(name, corrupt(TRUTH, much))[1].mean()) for much in (0, 0.3, 0.6, 0.9)]
    assert means == sorted(means, reverse=True) and len(set(means)) == 4


def test_neither_copy_wins():
    layout, look, overall = ({k: of(n, x)[1] for k, x in ANSWERS.items()} for n in ("Layout", "Look", "Overall"))
    assert (layout["truth"] == 1).all() and (layout["content"] == 1).all() and layout["style"].max() < 0.01
    assert layout["average"].max() < 0.6
    assert look["truth"].min() > 0.6 > 0.1 > max(look[k].max() for k in ("content", "style", "average"))
    for name in ANSWERS:
        torch.testing.assert_close(overall[name], layout[name] * look[name])


ANSWERS = {"truth": TRUTH, "content": CONTENT, "style": STYLE, "average": (CONTENT + STYLE) / 2}


def test_edges_do_not_depend_on_which_side_is_light():
    _, numbers = of("EdgeSSIM", -CONTENT)
    torch.testing.assert_close(numbers, torch.ones(2))
    assert of("SSIM", -CONTENT)[1].max() < 0.1


def test_ssim_is_the_formula():
    """Of Gaussian windows, by their moments; the border is mirrored."""
    pictures = (statistics.luminance(F.interpolate(x, size=24)).double() for x in (noise(CONTENT, 0.3), CONTENT))
    x, y = (np.pad(picture.numpy()[0, 0], 5, mode="reflect") for picture in pictures)
    k = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    w = np.outer(k, k) / np.outer(k, k).sum()
    c1, c2, means = (0.01 * 2) ** 2, (0.03 * 2) ** 2, []
    for i in range(5, 29):
        for j in range(5, 29):
            a, b = (z[i - 5 : i + 6, j - 5 : j + 6] for z in (x, y))
            m, n = (w * a).sum(), (w * b).sum()
            v, u, cov = (w * a * a).sum() - m * m, (w * b * b).sum() - n * n, (w * a * b).sum() - m * n
            means.append((2 * m * n + c1) * (2 * cov + c2) / ((m * m + n * n + c1) * (v + u + c2)))
    found = metrics.SSIM().each(*(F.interpolate(x, size=24) for x in (noise(CONTENT, 0.3), CONTENT)))
    assert float(found[0]) == pytest.approx(np.mean(means), abs=1e-4)


def test_psnr_is_the_formula():
    for name, best in (("TruthPSNR", TRUTH), ("InversionPSNR", STYLE)):
        _, numbers = of(name, best * 0.9)
        mse = ((0.1 * best.double().numpy()) ** 2).mean((1, 2, 3))
        np.testing.assert_allclose(numbers, 10 * np.log10(4 / mse), rtol=1e-5)


def test_the_palette_is_scipys_distance_along_each_direction():
    directions = torch.randn(64, 3, generator=torch.Generator().manual_seed(0)).double().numpy()
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    one, two = (x[0].flatten(1).double().numpy() for x in (CONTENT, STYLE))
    expected = np.mean([wasserstein_distance(d @ one, d @ two) for d in directions])
    assert float(of("Palette", CONTENT)[1][0]) == pytest.approx(expected, rel=1e-4)


def test_colours_apart_is_the_chamfer_distance():
    small = [F.interpolate(x, size=32, mode="nearest") for x in (noise(CONTENT, 0.1), noise(STYLE, 0.1))]
    for one, two, found in zip(*small, statistics.colours_apart(*small), strict=True):
        a, b = (x.flatten(1).T.numpy() for x in (one, two))
        expected = (cKDTree(a).query(b)[0].mean() + cKDTree(b).query(a)[0].mean()) / 2
        assert float(found) == pytest.approx(expected, rel=1e-4)


def test_the_texture_of_stripes_is_half_their_amplitude_at_their_frequency():
    across = 0.6 * torch.cos(torch.arange(64) * 2 * torch.pi / 4).expand(1, 3, 64, 64)  # 2 cycles a window of 8
    assert float(statistics.texture(across).max()) == pytest.approx(0.3, rel=0.05)
    flat = torch.full((1, 3, 64, 64), 0.4)
    assert float(statistics.textures_apart(flat, flat + 0.2)) == pytest.approx(0, abs=1e-6)


def test_a_joint_fit_is_least_squares():
    rows = [torch.randn(2, 500, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    result, content, style = (row / row.norm(dim=1, keepdim=True) for row in (rows[0] + rows[1], rows[1], rows[2]))
    for i, found in enumerate(torch.stack(statistics.fit(result, content, style), 1)):
        expected = np.linalg.lstsq(np.stack([content[i], style[i]], 1), result[i].numpy(), rcond=None)[0]
        np.testing.assert_allclose(found, expected, atol=1e-5)
    alike = statistics.fit(content, content, content)
    assert torch.isfinite(torch.stack(alike)).all()


class Shared(metrics.MeanMetric):
    about, takes, higher_is_better = "content", ("result", "content"), True

    def each(self, result, content):
        return (result - result.mean()).abs().mean((1, 2, 3))


class Whole(Shared):
    def each(self, result, content):
        return result.mean()


class Changing(Shared):
    def each(self, result, content):
        return result.add_(1).mean((1, 2, 3))


class Undecided(Shared):
    higher_is_better = None


class Elsewhere(Shared):
    about = "beauty"


class Greedy(Shared):
    takes = ("result", "mask")


class Forgetful(metrics.Metric):
    higher_is_better = True

    def update(self, result, content, style):
        self.last = result.mean()

    def compute(self):
        return self.last


class Private(metrics.Metric):
    """Keeps what the processes do not put together."""

    higher_is_better = True

    def __init__(self):
        super().__init__()
        self.sum, self.n = 0.0, 0

    def update(self, result, content, style):
        self.sum, self.n = self.sum + result.sum(), self.n + result.numel()

    def reset(self):
        super().reset()
        self.sum, self.n = 0.0, 0

    def compute(self):
        return self.sum / self.n


@pytest.mark.parametrize(
    "wrong, said",
    [
        (Shared, "gives a row another number among other rows"),
        (Whole, r"gives numbers of shape \(\) for 6 rows; expected one a row"),
        (Changing, "changes its arguments in place; work on a copy"),
        (Undecided, "has higher_is_better = None; expected True or False"),
        (Elsewhere, "is about 'beauty'; expected one of content, style, both, realism, inversion, truth"),
        (Greedy, r"takes \('result', 'mask'\); expected a tuple of some of result, content, style"),
        (Forgetful, "computes another number of two halves than of the whole"),
        (Private, "computes another number of two processes than of one; add_state"),
    ],
)
def test_what_is_wrong_is_said(wrong, said):
    with pytest.raises(AssertionError, match=f"^{wrong.__name__} {said}"):
        check_metric(wrong)
