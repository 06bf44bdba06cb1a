"""What the plain model's evaluation says of pictures whose measures are known."""

import sys
from pathlib import Path

import pytest
import torch

from hsx.errors import HsxError

EXAMPLES = Path(__file__).parents[2] / "examples"
N = 24


@pytest.fixture(scope="module")
def plain():
    """The module ``evaluate`` of examples/plain_faces, which has the name of another's."""
    before, others = list(sys.path), sys.modules.pop("evaluate", None)
    sys.path[:0] = [str(EXAMPLES / "plain_faces"), str(EXAMPLES / "demo_faces")]
    import evaluate

    yield evaluate
    sys.path[:], sys.modules["evaluate"] = before, others or evaluate
    if others is None:
        del sys.modules["evaluate"]


@pytest.fixture(scope="module")
def drawn(plain):
    return plain.faces(N, 32, seed=5)


def values(plain, drawn, result):
    return {
        name: value for name, (value, _, _) in plain.measured(result, drawn.pairs.truth, drawn.truth, drawn.own).items()
    }


def test_the_true_answer_is_all_the_contents_and_all_the_styles(plain, drawn):
    found = values(plain, drawn, drawn.pairs.truth)
    assert found["layout, content's"] == pytest.approx(1, abs=0.04)
    assert found["layout, style's own"] == pytest.approx(0, abs=0.04)
    assert found["colour"] == pytest.approx(1)
    assert found["texture"] == pytest.approx(1, abs=0.06)


def test_the_style_picture_has_its_own_face_and_its_own_colours(plain, drawn):
    style = drawn.pairs.style
    found = values(plain, drawn, style)
    assert found["layout, content's"] == pytest.approx(0, abs=0.04)
    assert found["layout, style's own"] == pytest.approx(1, abs=0.04)
    back = plain.measured(style, style, drawn.own, drawn.truth)  # the ceilings, were it given back exactly
    assert back["colour"][0] == pytest.approx(1)
    assert back["texture"][0] == pytest.approx(1, abs=0.06)


def test_recolouring_keeps_the_layout_and_has_no_texture(plain, drawn):
    result = plain.recolour(drawn.pairs.content, drawn.pairs.style)
    found = values(plain, drawn, result)
    assert found["layout, content's"] > 0.9
    assert abs(found["texture"]) < 0.05
    gain = plain.gains(drawn.pairs.truth, result, drawn.pairs.truth)
    assert gain["PSNR"][0] > 50  # a truth that is met exactly counts as 100 dB


def test_half_a_texture_is_half_of_it(plain, drawn):
    half = drawn.truth.plain + 0.5 * drawn.truth.texture
    whole, found = (values(plain, drawn, v)["texture"] for v in (drawn.pairs.truth, half))
    assert found == pytest.approx(whole / 2, abs=0.02)


def test_regions_are_apart_and_a_bald_face_has_no_hair(drawn):
    regions = drawn.truth.regions
    assert int(regions.sum(1).max()) == 1
    hair = drawn.pairs.factors["hair"]
    assert not torch.any(regions[hair == 0, 2].sum((1, 2)) > 8)
    assert torch.all(regions[hair == 2, 2].sum((1, 2)) > 8)


def test_few_pairs_and_other_sizes_are_refused(plain):
    with pytest.raises(HsxError, match="16 or more"):
        plain.faces(3, 64)
    with pytest.raises(HsxError, match="32 or 64"):
        plain.faces(16, 48)
