"""Solvers at work: the authors' loop, rows with a history of their own, and styles that come another way."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

import hsx
from hsx.backbones.counted import Counted
from hsx.method.course import Course
from hsx.method.inversion import Trajectory
from hsx.schedule import NoiseSchedule, timesteps
from hsx.strategies import DDIM, Constant, Interval, Multistep2M, MultistepV, Solver

LINEAR = NoiseSchedule.linear()
FEW = dict(inversion_steps=9, generation_steps=9, t_edit=0, t_boost=0)


@torch.no_grad()
def ddim(net, x, times):
    """The authors' step along these timesteps, -1 being the clean picture."""
    padded = torch.cat([LINEAR.alphas_cumprod, torch.ones(1, dtype=torch.float64)])
    for t, t_next in zip(times, times[1:], strict=False):
        a, a_next = padded[t], padded[t_next]
        eps = net(x, torch.full((len(x),), t))
        x0 = (x - (1 - a).sqrt().float() * eps) / a.sqrt().float()
        x = a_next.sqrt().float() * x0 + (1 - a_next).sqrt().float() * eps
    return x


def test_ddim_with_uniform_timesteps_is_the_authors_loop_bit_for_bit(net, images):
    transfer = hsx.Transfer(net, Constant(0.0), solver=DDIM(), spacing="uniform", **FEW)
    style = transfer.invert(images[1])
    x_T = ddim(net, images[1], timesteps(9))
    assert torch.equal(style.x_T, x_T)
    made = transfer.inject(transfer.contents(images[0]), style)
    assert torch.equal(made, ddim(net, x_T, [*reversed(timesteps(9)), -1]))


@pytest.mark.parametrize("solver", [Multistep2M(), MultistepV()], ids=lambda solver: type(solver).__name__)
def test_rows_that_inject_at_different_steps_are_as_if_alone(net, images, solver):
    """Of a gamma each; nan is the schedule's.  With 0 a row never injects, and keeps its history throughout."""
    net, images = deepcopy(net).double(), [v.double() for v in images]
    transfer = hsx.Transfer(net, Interval(0.6, 700, 300), solver=solver, spacing="mixed", t_start=999, **FEW)
    assert 2 <= sum(transfer.schedule.gamma(t) > 0 for t in transfer.timesteps) <= 4
    content, style = transfer.contents(images[0]), transfer.invert(images[1], ())
    gamma = torch.tensor([torch.nan, 0.0, 0.4, torch.nan])
    together = transfer.inject(content, style, gamma=gamma)
    for i in range(4):
        one = slice(i, i + 1)
        part = replace(content, x_T=content.x_T[one], features={"h": content.h[one]}, images=None)
        alone = transfer.inject(part, replace(style, x_T=style.x_T[one], images=None), gamma=gamma[one])
        torch.testing.assert_close(together[one], alone, atol=1e-4, rtol=0)
    plain = hsx.Transfer(net, Constant(0.0), solver=solver, spacing="mixed", **FEW).inject(content, style)
    torch.testing.assert_close(together[1], plain[1], atol=1e-4, rtol=0)
    assert float((together - plain)[[0, 2, 3]].abs().amax((1, 2, 3)).min()) > 1e-2


def test_a_course_keeps_a_history_for_each_row():
    x, x0, eps = torch.randn(3, 3, 3, 4, 4)
    course, t = Course(Multistep2M(), LINEAR, 3), torch.tensor([900, 900, 900])
    course.step(x, x0, eps, t=t, t_next=t - 300)
    course.forget(torch.tensor([False, True, False]))
    made = course.step(x, 0.5 * x0, eps, t=t - 300, t_next=t - 500)
    first = DDIM().step(x, 0.5 * x0, eps, t - 300, t - 500, ())
    assert torch.equal(made[1], first[1]) and not torch.equal(made[0], first[0])
    assert len(course.past) == 1 and course.known.tolist() == [1, 1, 1]


def test_a_solver_that_gives_anything_but_an_x_is_named_in_one_line(net, images):
    class Odd(Solver):
        gives = None

        def step(self, x, x0, eps, t, t_next, history):
            return self.gives

    for gives, got in (
        (None, "None"),
        (torch.zeros(1), r"torch.float32 of shape \(1,\)"),
        (images[1].long(), ".*int64"),
    ):
        solver = Odd()
        solver.gives = gives
        with pytest.raises(hsx.HsxError, match=rf"^Odd: expected an x of shape \(4, 3, 16, 16\) in floats, got {got}"):
            hsx.invert(net, images[1], 3, solver=solver)


def test_a_trajectory_tells_its_timesteps_and_its_solver(net, images):
    transfer = hsx.Transfer(net, Constant(0.3), solver=Multistep2M(), spacing="mixed", **FEW)
    contents, style = transfer.contents(images[0]), transfer.invert(images[1], ())
    assert style.grid == tuple(transfer.inversion_timesteps) and style.solver == Multistep2M().record()
    assert contents.timesteps == transfer.recorded_timesteps == style.grid[:-1] and contents.h.shape[1] == 8
    by_hand = hsx.invert(net, images[1], 9, spacing="mixed", solver=Multistep2M(), sites=())
    assert torch.equal(by_hand.x_T, style.x_T) and by_hand.grid == style.grid

    unknown = Trajectory(style.x_T, {}, (), 999)  # made by hand
    assert torch.equal(transfer.inject(contents, unknown), transfer.inject(contents, style))
    others = {
        "style: expected one inverted by Multistep2M, got one by DDIM; ": dict(spacing="mixed"),
        "style: expected one inverted by Multistep2M, got one by MultistepV; ": dict(
            spacing="mixed", solver=MultistepV()
        ),
        "style: expected one inverted on 9 timesteps 0, .* 999, got one on 9 timesteps 0, 124, .*; ": dict(
            solver=Multistep2M()
        ),
        "style: .* got one on 5 timesteps .*; ": dict(steps=5, spacing="mixed", solver=Multistep2M()),
        "expected styles inverted up to t_start 999, got 800; ": dict(t_start=800, solver=Multistep2M()),
    }
    for said, how in others.items():
        other = hsx.invert(net, images[1], **{"steps": 9, "sites": (), **how})
        with pytest.raises(hsx.HsxError, match=f"^{said}invert them with this transfer's own invert") as caught:
            transfer.inject(contents, other)
        assert "\n" not in str(caught.value)


class Own(DDIM):
    """Keeps the model's schedule, and counts its steps, in attributes that everybody sees."""

    def __init__(self, share: float = 1.0) -> None:
        self.share = share

    def prepare(self, noise):
        self.noise, self.steps = noise, 0
        super().prepare(noise)

    def step(self, x, x0, eps, t, t_next, history):
        self.steps += 1
        return super().step(x, x0, eps, t, t_next, history)


def test_what_a_solver_keeps_at_work_makes_it_no_other(net, images):
    contents, styles = (hsx.invert(net, one, 9, solver=Own()) for one in images)
    for _ in range(2):  # a style of an earlier process, and after work
        transfer = hsx.Transfer(net, Constant(0.3), solver=Own(), **FEW)
        assert torch.isfinite(transfer.inject(contents, styles)).all()
        styles = transfer.invert(images[1], ())
    with pytest.raises(hsx.HsxError, match="by Own, got one by another, of other options or code; "):
        hsx.Transfer(net, Constant(0.3), solver=Own(0.9), **FEW).inject(contents, styles)


@pytest.mark.parametrize("looks", [0, 1, 3])
def test_looks_cost_what_is_said_and_are_recorded_where_they_were(net, images, looks):
    counted = Counted(net)
    found = hsx.invert(counted, images[0][:1], 6, 500, inverter=looks)
    assert counted.evaluations == (1 + looks * 5 if looks else 5)
    assert found.timesteps == tuple(timesteps(6, 500)[: None if looks else -1]) and found.h.shape[1] == len(
        found.timesteps
    )
    transfer = hsx.Transfer(net, Constant(0.3), t_start=500, inverter=looks, **{**FEW, "inversion_steps": 6})
    assert transfer.recorded_timesteps == found.timesteps


def test_what_hsx_invert_cannot_do_is_refused(net, images):
    for how, said in (
        (dict(inverter=2, solver=MultistepV()), "inverter: expected the solver DDIM with it, .* got MultistepV; "),
        (dict(inverter=-1), "inverter: expected "),
        (dict(solver="DDIM"), "solver: expected a Solver, got DDIM"),
        (dict(spacing="split"), "spacing: expected injections .* for split, got none; "),
        (dict(spacing=[0, 9], t_start=10), "spacing: expected timesteps that ascend from 0 to 10, got "),
    ):
        with pytest.raises(hsx.HsxError, match="^" + said):
            hsx.invert(net, images[0], **{"steps": 5, **how})
