"""Noise is keyed by (seed, sample): no batch size, order or device changes it."""

import pytest
import torch

from hsx.method.noise import SampleNoise


def test_noise_does_not_depend_on_the_batch_or_its_order():
    x = torch.zeros(3, 3, 5, 4)
    together = SampleNoise(0, ["a", "b", "c"])
    first, second = together(x), together(x)
    for row, name in [(2, "c"), (0, "a"), (1, "b")]:
        alone = SampleNoise(0, [name])
        assert torch.equal(alone(x[:1])[0], first[row]) and torch.equal(alone(x[:1])[0], second[row])
    assert not torch.equal(first, second)


def test_seeds_and_samples_differ_and_the_global_generator_is_left_alone():
    x, state = torch.zeros(1, 3, 4, 4), torch.get_rng_state()
    draws = [SampleNoise(seed, [name])(x) for seed in (0, 1) for name in ("a", ("a", "b"), 7)]
    assert all(not torch.equal(a, b) for i, a in enumerate(draws) for b in draws[:i])
    assert torch.equal(state, torch.get_rng_state())


def test_dtype_follows_and_a_wrong_batch_is_refused():
    noise = SampleNoise(0, ["a"])
    assert noise(torch.zeros(1, 2, dtype=torch.bfloat16)).dtype == torch.bfloat16
    with pytest.raises(ValueError, match="expected a batch of 1 samples, got 2"):
        noise(torch.zeros(2, 2))
