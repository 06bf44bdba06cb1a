"""The contract suite passes for all that is listed, and fails for what is wrong, saying why."""

import pytest
import torch
from PIL import Image

from hsx.plugins import registry as plugins
from hsx.strategies import (
    DDIM,
    Blend,
    BlendingSchedule,
    Calibrator,
    Identity,
    Inverted,
    Lerp,
    Multistep2M,
    MultistepV,
    Normalizer,
    Renoised,
    Slerp,
    Solver,
    Strategy,
)
from hsx.strategies.base import KINDS
from hsx.testing import check_strategy

GIVEN = {  # options of those that cannot do without
    "Table": lambda folder: {"values": [0.1, 0.9, 0.4]},
    "Masked": lambda folder: {"mask": picture(folder), "feather": 0.1},
    "SphericalMean": lambda folder: {"contents": [picture(folder)], "weights": [2.0, 1.0]},
}


def picture(folder):
    Image.radial_gradient("L").convert("RGB").save(folder / "picture.png")
    return str(folder / "picture.png")


@pytest.mark.parametrize("name", plugins.load().of(*KINDS))
def test_everything_listed_passes(name, tmp_path):
    cls = plugins.load().of(*KINDS)[name]
    check_strategy(cls(**GIVEN.get(name, lambda folder: {})(tmp_path)))


@pytest.mark.parametrize(
    "name, options",
    [
        ("Linear", {"start": 0.0, "end": 1.0}),
        ("Interval", {"t_hi": 5, "t_lo": 5}),
        ("SignalToNoise", {"k": 1e-6}),
        ("Latent", {"omega": 0.3}),
        ("IteratedLatent", {"omega": 0.0, "max_iterations": 1}),
        ("Masked", {"invert": True}),
        ("Masked", {"blend": Lerp()}),
    ],
)
def test_with_other_options(name, options, tmp_path):
    given = {"mask": picture(tmp_path)} if name == "Masked" else {}
    check_strategy(plugins.load().of(*KINDS)[name](**given, **options))


class MutatesH(Slerp):
    def __call__(self, h, content_h, gamma, mask=None):
        out = super().__call__(h, content_h, gamma, mask)
        h.mul_(1.5)
        return out


class MutatesContent(Lerp):
    def __call__(self, h, content_h, gamma, mask=None):
        out = super().__call__(h, content_h, gamma, mask)
        content_h.zero_()
        return out


class IgnoresBatch(Blend):
    """One angle, or one gamma, for all."""

    def __call__(self, h, content_h, gamma, mask=None):
        weight = gamma.mean() * (1 if mask is None else mask)
        return torch.where(gamma > 0, h + weight * (content_h - h), h)


class NanAtZero(Lerp):
    def __call__(self, h, content_h, gamma, mask=None):
        return super().__call__(h, content_h, gamma, mask) * (gamma / gamma)


class ChangesDtype(Lerp):
    def __call__(self, h, content_h, gamma, mask=None):
        return super().__call__(h, content_h, gamma, mask).double()


class UnguardedSlerp(Blend):
    """The authors' own."""

    def __call__(self, h, content_h, gamma, mask=None):
        u, v = h.flatten(1).float(), content_h.flatten(1).float()
        cosine = (u * v).sum(1) / (u.norm(dim=1) * v.norm(dim=1))
        theta, m = cosine.acos().reshape(-1, 1, 1, 1), 1.0 if mask is None else mask
        out = (((1 - gamma) * theta).sin() * h + (gamma * theta).sin() * content_h) / theta.sin()
        return torch.where(gamma > 0, m * out + (1 - m) * h, h).to(h.dtype)


class DropsMask(Slerp):
    def __call__(self, h, content_h, gamma, mask=None):
        return super().__call__(h, content_h, gamma)


class NotTheStyleAtZero(Blend):
    def __call__(self, h, content_h, gamma, mask=None):
        return (0.5 * h + 0.5 * content_h).to(h.dtype)


class Forgetful(Slerp):
    """Keeps something from one call to the next."""

    def __call__(self, h, content_h, gamma, mask=None):
        self.calls = getattr(self, "calls", 0) + 1
        return super().__call__(h, content_h, gamma * min(1, self.calls / 100), mask)


class PreparesInPlace(Slerp):
    def prepare(self, content, invert):
        content.h.mul_(0.5)
        return content


class Crops(Identity):
    def __call__(self, content_h, h):
        return content_h[:, :, 1:, 1:].clone()


class BatchStatistics(Normalizer):
    def __call__(self, content_h, h):
        return (content_h / content_h.float().std().clamp_min(1e-6) * h.float().std()).to(h.dtype)


class NanForZeros(Normalizer):
    def __call__(self, content_h, h):
        norm, own = (v.flatten(1).float().norm(dim=1).reshape(-1, 1, 1, 1) for v in (h, content_h))
        return (content_h.float() / own * norm).to(h.dtype)


class NoIdentity(Normalizer):
    def __call__(self, content_h, h):
        return content_h * 0.9


class TooMuch(BlendingSchedule):
    def gamma(self, t):
        return 1.5


class NoNumber(BlendingSchedule):
    def gamma(self, t):
        return torch.tensor([0.5])


class Counts(BlendingSchedule):
    n = 0

    def gamma(self, t):
        self.n += 1
        return min(1.0, self.n / 50)


class SortsItsArgument(BlendingSchedule):
    def prepare(self, timesteps, noise):
        timesteps.sort()

    def gamma(self, t):
        return 0.5


class MovesXInPlace(Calibrator):
    def __call__(self, state):
        return state.x.add_(0.1)


class FirstTimestepForAll(Calibrator):
    def __call__(self, state):
        return state.x + state.a[0].sqrt().to(state.x)


class NanX(Calibrator):
    def __call__(self, state):
        return state.x * float("nan")


class HalvesContents(Inverted):
    def __call__(self, content, state):
        for feature in content.features.values():
            feature.mul_(0.5)
        return super().__call__(content, state)


class NoisesPicturesInPlace(Renoised):
    def __call__(self, content, state):
        content.images.add_(0.1)
        return super().__call__(content, state)


class AtHAlone(Inverted):
    def __call__(self, content, state):
        return {"h": super().__call__(content, state)["h"]}


class ATensor(Inverted):
    def __call__(self, content, state):
        return super().__call__(content, state)["h"]


class MeanOfTheBatch(Inverted):
    """Every content is given the mean of all."""

    def __call__(self, content, state):
        given = super().__call__(content, state)
        return {site: feature.mean(0, keepdim=True).expand_as(feature) for site, feature in given.items()}


class FirstTimestepOfAll(Inverted):
    def __call__(self, content, state):
        return content.features_at(state.t[:1].expand_as(state.t))


class NanFeatures(Renoised):
    def __call__(self, content, state):
        return {site: feature * float("nan") for site, feature in super().__call__(content, state).items()}


class ChangesTheState(Renoised):
    def __call__(self, content, state):
        state.x.add_(0.1)
        return super().__call__(content, state)


class OfTheSizeOfH(Lerp):
    """A mask of its own that fits the bottleneck alone."""

    def __call__(self, h, content_h, gamma, mask=None):
        own = torch.ones(1, 1, 8, 8).to(h)
        return super().__call__(h, content_h, gamma, own if mask is None else own * mask)


class OfOrderTwoItSays(DDIM):
    order = 2


class MixesRows(DDIM):
    def step(self, x, x0, eps, t, t_next, history):
        return super().step(x, x0, eps - eps.mean(0), t, t_next, history)


class FirstWayForAll(DDIM):
    def step(self, x, x0, eps, t, t_next, history):
        return super().step(x, x0, eps, t, t_next[:1].expand_as(t_next), history)


class AddsInPlace(DDIM):
    def step(self, x, x0, eps, t, t_next, history):
        alpha, sigma = self.alpha_sigma(t_next)
        return x0.mul_(alpha.to(x)).add_(sigma.to(x) * eps)


class ForgetsInPlace(Multistep2M):
    def step(self, x, x0, eps, t, t_next, history):
        for past in history:
            past.x0.mul_(0.5)
        return super().step(x, x0, eps, t, t_next, history)


class NeverClean(DDIM):
    """Takes the clean picture for timestep 0."""

    def step(self, x, x0, eps, t, t_next, history):
        return super().step(x, x0, eps, t, t_next.clamp_min(0), history)


class InfiniteAtTheEnd(Multistep2M):
    """Its weight is not guarded where sigma is 0."""

    def step(self, x, x0, eps, t, t_next, history):
        if not history:
            return super().step(x, x0, eps, t, t_next, history)
        ((a, s), (b, r)), (c, q) = map(self.alpha_sigma, (t, t_next)), self.alpha_sigma(history[-1].t)
        now = (a / s).log()
        w = ((b / r).log() - now) / (2 * (now - (c / q).log()))
        return (b - r * a / s).to(x) * (x0 + w.to(x) * (x0 - history[-1].x0)) + (r / s).to(x) * x


class StaysWhereItIs(Solver):
    """Comes back exactly."""

    def step(self, x, x0, eps, t, t_next, history):
        return torch.where((t_next < 0).reshape(-1, 1, 1, 1), x0, x.clone())


class StaysAfterAStep(DDIM):
    memory = 1

    def step(self, x, x0, eps, t, t_next, history):
        ends = (t_next < 0).reshape(-1, 1, 1, 1)
        return torch.where(ends, x0, x) if history else super().step(x, x0, eps, t, t_next, history)


class LooksFartherBack(Multistep2M):
    def step(self, x, x0, eps, t, t_next, history):
        return super().step(x, x0, eps, t, t_next, history[-2:-1] or [history[-2]] if history else history)


class ForeverMidway(MultistepV):
    """Half of what the second order adds."""

    def step(self, x, x0, eps, t, t_next, history):
        return 0.5 * super().step(x, x0, eps, t, t_next, history) + 0.5 * super().step(x, x0, eps, t, t_next, ())


class RemembersEverything(DDIM):
    memory = float("inf")


class NoKind(Strategy):
    pass


class NoRecord(Slerp):
    def record(self):
        return {"class": object()}


@pytest.mark.parametrize(
    "wrong, said",
    [
        (MutatesH, "changes its arguments in place"),
        (MutatesContent, "changes content_h in place"),
        (IgnoresBatch, "row 2 another result when it is alone"),
        (NanAtZero, "is not finite"),
        (ChangesDtype, "returns torch.float64 for torch.float32"),
        (UnguardedSlerp, "is not finite for ordinary"),
        (DropsMask, "changes h where the mask is 0"),
        (NotTheStyleAtZero, "does not give h back at gamma 0"),
        (Forgetful, "another result|keeps something"),
        (PreparesInPlace, "changes the trajectory that prepare is given"),
        (Crops, r"returns \(3, 6, 7, 7\); expected a tensor of shape \(3, 6, 8, 8\)"),
        (BatchStatistics, "row 0 another result"),
        (NanForZeros, "is not finite with a content_h of zeros"),
        (NoIdentity, "does not give h back where content_h is h"),
        (TooMuch, "not a number from 0 to 1"),
        (NoNumber, "not a number from 0 to 1"),
        (Counts, "another gamma when"),
        (SortsItsArgument, "changes the timesteps"),
        (MovesXInPlace, "changes the state in place"),
        (FirstTimestepForAll, "row 1 another result"),
        (NanX, "is not finite"),
        (HalvesContents, "changes the contents in place"),
        (NoisesPicturesInPlace, "changes the contents in place"),
        (AtHAlone, "gives no feature at conv_in; give one at each site"),
        (ATensor, "returns a Tensor; expected a mapping from sites to features"),
        (MeanOfTheBatch, "row 0 another result"),
        (FirstTimestepOfAll, "row 1 another result"),
        (NanFeatures, "is not finite"),
        (ChangesTheState, "changes its arguments in place"),
        (OfTheSizeOfH, r"raises RuntimeError at sites other than h \(.+\); h may be of any size there"),
        (OfOrderTwoItSays, "error that falls from .* up, as inversion goes; expected it to fall by 4"),
        (MixesRows, "row 0 another result"),
        (FirstWayForAll, "row 1 another result"),
        (AddsInPlace, "changes its arguments in place"),
        (ForgetsInPlace, "changes its arguments in place"),
        (NeverClean, "does not end in x0 where t_next is -1"),
        (InfiniteAtTheEnd, "is not finite"),
        (StaysWhereItIs, "is not DDIM where there is no history"),
        (StaysAfterAStep, "error that falls .*; expected it to fall by 2"),
        (LooksFartherBack, r"raises IndexError with a history of 1 \(.+\); it has a memory of 1"),
        (ForeverMidway, "error that falls .*; expected it to fall by 4"),
        (RemembersEverything, "has a memory of inf; expected a whole number from 0"),
        (NoKind, "is of no kind"),
        (NoRecord, "record.. is not plain data"),
    ],
)
def test_everything_wrong_fails_in_one_line(wrong, said):
    with pytest.raises(AssertionError, match=f"^{wrong.__name__} .*({said})") as raised:
        check_strategy(wrong)
    assert "\n" not in str(raised.value)
