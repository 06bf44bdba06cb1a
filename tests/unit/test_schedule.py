"""Schedules against the numbers of the original repositories, and the authors' list of timesteps."""

import json
from pathlib import Path

import pytest
import torch

from hsx.errors import HsxError
from hsx.schedule import NoiseSchedule, timesteps

GOLDEN = json.loads((Path(__file__).parent.parent / "reference" / "schedules.json").read_text())
MAKERS = {
    "openai_linear_1000": lambda: NoiseSchedule.linear(1000),
    "openai_linear_4000": lambda: NoiseSchedule.linear(4000),
    "openai_cosine_1000": lambda: NoiseSchedule.cosine(1000),
    "openai_cosine_4000": lambda: NoiseSchedule.cosine(4000),
    "ddpm_linear_1000": lambda: NoiseSchedule.linear(1000),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_alphas_cumprod_are_the_originals(name):
    golden, schedule = GOLDEN[name], MAKERS[name]()
    assert schedule.alphas_cumprod.dtype == torch.float64
    expected = torch.tensor(golden["alphas_cumprod"], dtype=torch.float64)
    torch.testing.assert_close(schedule.alphas_cumprod[golden["t"]], expected, rtol=1e-9, atol=0)


def test_the_clean_image_has_alpha_bar_one_and_rows_may_differ():
    schedule = NoiseSchedule.linear()
    values = schedule.at(torch.tensor([-1, 0, 999]))
    assert values.shape == (3, 1, 1, 1) and values[0].item() == 1
    assert values[1].item() == schedule.alphas_cumprod[0].item()
    assert values[2].item() == schedule.alphas_cumprod[999].item()


def test_the_authors_list_of_timesteps():
    assert timesteps(10) == [0, 111, 222, 333, 444, 555, 666, 777, 888, 999]
    assert timesteps(1000) == list(range(1000))
    assert timesteps(50, t_start=700)[-1] == 700


@pytest.mark.parametrize("steps", [-1, 0, 1, 1001])
def test_impossible_numbers_of_steps_are_refused_by_value(steps):
    with pytest.raises(HsxError, match=f"got {steps}; take fewer steps"):
        timesteps(steps)


@pytest.mark.parametrize("betas", [[], [0.0, 0.1], [0.1, 1.0], [float("nan")]])
def test_impossible_betas_are_refused(betas):
    with pytest.raises(HsxError, match="check the schedule's betas"):
        NoiseSchedule.from_betas(torch.tensor(betas))
