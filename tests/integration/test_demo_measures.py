"""The measures, baselines and recognisers of the demo's evaluation."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import hsx

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "demo_faces"))


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_a_slope_is_one_for_the_truth_and_nothing_for_noise(generator):
    from measure import slope

    true, noise = (torch.randn(2000, 4, generator=generator) for _ in range(2))
    assert slope(true, true) == pytest.approx(1)
    assert slope(0.5 * true + noise, true) == pytest.approx(0.5, abs=0.1)
    assert slope(noise, true) == pytest.approx(0, abs=0.1)


def test_an_interval_is_that_of_the_mean(generator):
    from measure import interval

    values = torch.randn(400, generator=generator)
    value, low, high = interval(lambda rows: float(values[rows].mean()), 400)
    assert value == pytest.approx(float(values.mean()))
    assert high - low == pytest.approx(2 * 1.96 * float(values.std()) / 20, rel=0.15)


def test_matched_histograms_are_the_styles(generator):
    from baselines import match_histograms

    content, style = (torch.rand(2, 3, 8, 8, generator=generator) for _ in range(2))
    matched = match_histograms(content, style)
    assert torch.equal(matched.flatten(2).sort(2).values, style.flatten(2).sort(2).values)
    assert torch.equal(matched.flatten(2).argsort(2), content.flatten(2).argsort(2))


def test_a_picture_whose_skips_are_swapped_with_its_own_comes_back():
    from baselines import swap_skips
    from evaluate import held_out

    backbone = hsx.load_backbone("hsx://demo_faces")
    pictures = held_out(2, backbone.sample_size).content
    transfer = hsx.Transfer(backbone, inversion_steps=8, generation_steps=8, t_start=700,
                            t_edit=1000, t_boost=0)
    trajectory = transfer.invert(pictures)
    own = transfer.inject(trajectory, trajectory).clamp(-1, 1)  # nothing injected
    torch.testing.assert_close(swap_skips(transfer, trajectory.x_T, trajectory.x_T), own, atol=1e-3, rtol=0)


def test_recognisers_are_written_in_half_and_read_back(tmp_path, monkeypatch, capsys):
    import recognisers

    file = tmp_path / "recognisers.safetensors"
    monkeypatch.setattr(recognisers, "FACES", 8)
    monkeypatch.setattr(sys, "argv", ["recognisers.py", str(file), "--size", "32", "--iterations", "2"])
    recognisers.main()
    assert "style, distorted: texture" in capsys.readouterr().out
    assert file.stat().st_size < 2e6
    x, truth = recognisers.styled(recognisers.faces(3, 7, 32), np.random.default_rng(0))
    read = recognisers.load(file)["content"](x)
    assert read["hair"].shape == (3, 5) and read["content"].shape == truth["content"].shape == (3, 8)


def test_a_batch_is_painted_as_its_pictures_are(generator):
    from batches import apply_styles, numbers
    from poster_faces import PITCH, TEXTURES, apply_style, sample_content, sample_style, tone_image

    rng = np.random.default_rng(0)
    styles = [sample_style(rng, PITCH[64]) for _ in range(16)]
    assert {style.texture for style in styles} == set(range(len(TEXTURES)))
    tones = np.stack([tone_image(sample_content(rng), 64) for _ in styles])
    grain = np.stack([np.random.default_rng(style.seed).normal(size=(1, 64, 64)) for style in styles])
    painted = apply_styles(*(torch.from_numpy(x).float() for x in (
        tones[:, None], np.stack([numbers(style) for style in styles]), grain)))
    expected = np.stack([apply_style(tone, style) for tone, style in zip(tones, styles, strict=True)])
    difference = (painted + 1) * 127.5 - torch.from_numpy(expected).permute(0, 3, 1, 2)
    assert difference.abs().max() < 1.01 and (difference.abs() > 0.5).float().mean() < 1e-3  # one step, where rounded
