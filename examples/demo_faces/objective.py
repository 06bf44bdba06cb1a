"""What the demo model is taught: to denoise, and to take content from its bottleneck and style from its skips.

A small U-Net ignores its bottleneck unless it is taught not to. *Borrowed bottlenecks* keep style out of h: h is that
of the same face in another style (``borrow``). *Borrowed skips* teach content from h and style from the skips: where
noise is weak, x_t, and the skips with it, is another face's in the same style (``lend``), noised, or inverted as hsx
inverts it, or on the way from there after steps of hsx, where what earlier steps left of the other face's outlines is
still in it; these count by themselves where the style is plain. *Told colours* make those of small things count: the
palette is read, linearly, from the skips of 16 x 16, where attention gathers it (this reading is kept only while
training), and the mean colour of each tone is held to the truth's. *Mended faces* make samples from noise whole: in a
share of the batch (``mend``) noise is a little too strong, as it is when some was left before, and from a timestep on
x_t is of a face that lacks a lens, an eye or the mouth, where x_0 is of the whole one.
All four are how this demo model is trained and not part of the method, which stays training-free on a frozen network.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
import torch.nn.functional as F
from batches import PALETTE, apply_styles
from diffusers import UNet2DModel
from poster_faces import KNOTS, TEXTURES
from torch import Tensor, nn

from hsx.backbones.base import Bottleneck
from hsx.backbones.unet2d import decode, encode
from hsx.schedule import NoiseSchedule

WEAK = (25, 80)  # bounds of the timestep where skips are borrowed
MOVED, FROM, STEPS = (5, 45), 50, 2  # and where x_t is met on the way: from this at most, after so many steps
NOISY, EXCESS = (20, 500), 0.2  # bounds where noise is too strong, and by how much at most
FLAWED_FROM = 100  # the timestep from which on faces are flawed there
LENT = 4.0  # loss weight of what is lent: t is low there, and the weight of v with it
TOLD, COLOURS = 2.0, 3.0  # loss weights of the palette read from the skips and of each tone's mean colour
GHOSTS, FLAT = 1000.0, 0.05  # loss weight of outlines left on flat ground; tones that differ by less are flat
SPREAD = (0.07, 0.19, 0.24, 0.11)  # deviation of a palette's colours at KNOTS, from dark to light
TONES = np.linspace(0, 1, 8)
CHANNELS = {32: (16, 32, 64, 128), 64: (16, 32, 96, 128, 160)}  # by picture size: levels down to 4 x 4


class Objective(nn.Module):
    """The network, the average of its weights, and the loss.

    Args:
        size: of the pictures.
        borrow: the share of a batch whose h is that of the same face in another style, with skips of their own.
        lend: the share whose x_t is, or was before steps of hsx, that of another face in the same style, and h is not.
        mend: the share whose noise is a little too strong, and whose x_t, where noise is not weak, is of a flawed face.

    Shares are rounded to rows of a batch, see ``rows``.
    """

    alphas_cumprod: Tensor
    spread: Tensor
    tones: Tensor
    tone_spread: Tensor

    def __init__(self, size: int, borrow: float, lend: float, mend: float) -> None:
        super().__init__()
        self.borrow, self.lend, self.mend = borrow, lend, mend
        channels = CHANNELS[size]
        sizes = [size >> level for level in range(len(channels))]
        self.net = UNet2DModel(
            sample_size=size,
            block_out_channels=channels,
            layers_per_block=1,
            norm_num_groups=8,
            attention_head_dim=32,
            dropout=0.0,
            down_block_types=tuple("AttnDownBlock2D" if s in (8, 16) else "DownBlock2D" for s in sizes),
            up_block_types=tuple("AttnUpBlock2D" if s == 8 else "UpBlock2D" for s in reversed(sizes)),
        )
        self.palette = nn.Linear(channels[-3], PALETTE)  # of 16 x 16
        self.ema = copy.deepcopy(self.net).requires_grad_(False)
        constants = {
            "alphas_cumprod": NoiseSchedule.linear().alphas_cumprod,
            "spread": np.repeat(SPREAD, 3),
            "tones": TONES[:, None, None],
            "tone_spread": np.interp(TONES, KNOTS, SPREAD)[:, None],
        }
        for name, values in constants.items():
            self.register_buffer(name, torch.as_tensor(values).float(), persistent=False)

    def rows(self, n: int) -> tuple[int, int, int, int]:
        """How many of a batch's n rows are inverted, lent and borrowed, each among the next, and how many mended.

        The first three are counted from the start of the batch, the last from its end.
        """
        lent = round(n * self.lend)
        borrowed = min(n, lent + round(n * self.borrow))
        return (lent + 1) // 2, lent, borrowed, min(n - borrowed, round(n * self.mend))

    def draw(self, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Timesteps, those that hsx came from (later ones, where it comes at all), the noise's deviation: (n,)."""
        inverted, lent, _, mended = self.rows(n)
        t = ((torch.randperm(n, generator=rng) + torch.rand(n, generator=rng)) / n) ** 1.5 * 1000  # a row a stratum
        t[:lent] = torch.randint(*WEAK, (lent,), generator=rng)
        t[n - mended :] = NOISY[0] + torch.rand(mended, generator=rng) ** 1.5 * (NOISY[1] - NOISY[0])
        moved = torch.rand(n, generator=rng) < 0.65
        moved[inverted:] = False
        t = torch.where(moved, torch.randint(*MOVED, (n,), generator=rng), t)
        start = torch.where(moved, t + 1 + torch.rand(n, generator=rng) * (FROM - t), t)
        deviation = 1 + EXCESS * torch.rand(n, generator=rng)
        deviation[: n - mended] = 1
        last = 999  # in float32 the last stratum may be rounded to 1000
        return t.long().clamp_max(last), start.long().clamp_max(last), deviation

    def forward(
        self,
        tones: Tensor,
        styles: Tensor,
        t: Tensor,
        start: Tensor,
        deviation: Tensor,
        grain: Tensor,
        noise: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """The loss of a batch, and its parts before they are weighted: denoising, palette, colours, ghosts, (4,).

        Args:
            tones: those of x_0, and those shown, (2, B, 1, R, R) in [0, 1].
            styles: (B, 2, 20), see ``batches.numbers``.
            t, start, deviation: see ``draw``.
            grain, noise: standard normal, (2, B, 1, R, R) and (2, B, 3, R, R).
        """
        # casts that are kept would not outlive the capture of a graph
        with torch.autocast(tones.device.type, torch.bfloat16, cache_enabled=False):
            return self._losses(*tones, styles, t, start, deviation, grain, noise)

    def _losses(
        self,
        tones: Tensor,
        shown: Tensor,
        styles: Tensor,
        t: Tensor,
        start: Tensor,
        deviation: Tensor,
        grain: Tensor,
        noise: Tensor,
    ) -> tuple[Tensor, Tensor]:
        n = len(tones)
        inverted, lent, borrowed, _ = self.rows(n)
        plain, styles = slice(0, inverted, 2), styles.clone()
        styles[plain, 0, PALETTE] = TEXTURES.index("none")  # where outlines are seen
        x0, other = apply_styles(tones, styles[:, 0], grain[0]), apply_styles(tones, styles[:, 1], grain[1])
        peer_tones = tones.roll(1, 0)
        peer, bare = apply_styles(peer_tones, styles[:, 0], grain[0]), ghosts_at(tones, peer_tones)
        own = noise[0] * deviation.view(-1, 1, 1, 1)
        shown = torch.where(t.view(-1, 1, 1, 1) < FLAWED_FROM, tones, shown)
        seen = apply_styles(shown, styles[:, 0], grain[0])
        seen = torch.cat([peer[:lent], seen[lent:]])
        a = self.alphas_cumprod[t].view(-1, 1, 1, 1)
        x_t, other_t = self.noised(seen, own, t), self.noised(other, noise[1], t)
        if inverted:
            met = self.on_the_way(*(x[:inverted] for x in (peer, other, noise[1], x0, bare, start, t)))
            x_t = torch.cat([met, x_t[inverted:]])
        b = encode(self.net, x_t, t)
        h = b.h
        if borrowed:
            h = torch.cat([encode(self.net, other_t[:borrowed], t[:borrowed]).h, h[borrowed:]])
        out = decode(self.net, Bottleneck(h, b.skips, b.emb))
        weight = (1 - a) * (snr := a / (1 - a)) * (0.1 + snr) ** -0.5 + (1 - a) * 0.4
        weight = torch.cat([LENT * weight[:lent], weight[lent:]])
        # of another face's x_t, or a flawed one's, v leads to x_0 all the same
        error = out.float() - (a.sqrt() * x_t - x0) / (1 - a).sqrt()
        loss = (weight / weight.mean() * error**2).mean()
        gathered = [s for s in b.skips if s.shape[-1] == 16][-1]
        read = self.palette(gathered.float().mean((2, 3))).float()
        misread = (a.view(n, 1) * ((read - styles[:, 0, :PALETTE]) / self.spread) ** 2).mean()
        off = self.tone_colours(((1 - a).sqrt() * error / 2)[:lent], tones[:lent]).square().sum() / n
        left = ghosts(((1 - a).sqrt() * error)[plain], bare[plain]).sum() / n
        parts = torch.stack([loss, misread, off, left]).detach()
        return loss + TOLD * misread + COLOURS * off + GHOSTS * left, parts

    def tone_colours(self, x: Tensor, tones: Tensor) -> Tensor:
        """The mean of x (B, 3, R, R) over each of eight tones, (B, 8, 3), so that its square's sum is a mean square.

        In units of a palette's deviation at each tone; drawn towards 0 where a tone has but a few pixels.
        """
        of_tone = (1 - (len(TONES) - 1) * (tones - self.tones).abs()).clamp_min(0)
        sums = torch.einsum("nkhw,nchw->nkc", of_tone, x).float()
        return sums / (of_tone.sum((2, 3)) + 8)[..., None] / self.tone_spread / (3 * len(TONES)) ** 0.5

    @torch.no_grad()
    def on_the_way(
        self,
        style: Tensor,
        content: Tensor,
        noise: Tensor,
        truth: Tensor,
        bare: Tensor,
        start: Tensor,
        t: Tensor,
    ) -> Tensor:
        """x_t as hsx meets it, by the averaged weights: inverted to start, and in steps down to t with content's h.

        What DDIM inversion finds is not white: where a style has no texture, it is mostly outlines, and every step
        keeps some of them.  Of what x_0 is wrong there only these stay, what is fine where it is bare (see
        ``ghosts_at``): colours and edges could not be known better, and where they are asked for, pictures that are
        right are falsified.  (N, C, R, R), the last two (N,).
        """
        x = style
        for step in range(4):
            at, to = start * step // 4, start * (step + 1) // 4
            x = self.noised(*self.predicted(x, at), to)
        for step in range(STEPS):
            at, to = start + (t - start) * step // STEPS, start + (t - start) * (step + 1) // STEPS
            h = encode(self.ema, self.noised(content, noise, at), at).h
            x0, eps = self.predicted(x, at, h)
            x0 = torch.where((to == t).view(-1, 1, 1, 1), truth + bare * fine(x0 - truth), x0)
            x = torch.where((start > t).view(-1, 1, 1, 1), self.noised(x0, eps, to), x)
        return x

    @torch.no_grad()
    def predicted(self, x: Tensor, t: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x_0, or that of another h, and eps of x = x_t by the averaged weights; t (N,)."""
        a = self.alphas_cumprod[t].view(-1, 1, 1, 1)
        b = encode(self.ema, x, t)
        v = decode(self.ema, b).float()
        towards = v if h is None else decode(self.ema, Bottleneck(h, b.skips, b.emb)).float()
        return a.sqrt() * x - (1 - a).sqrt() * towards, a.sqrt() * v + (1 - a).sqrt() * x

    def noised(self, x0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """x_t, t (N,)."""
        a = self.alphas_cumprod[t].view(-1, 1, 1, 1)
        return a.sqrt() * x0 + (1 - a).sqrt() * eps


def fine(x: Tensor) -> Tensor:
    """x (B, C, R, R) less its mean over the square of 5 pixels around each."""
    return x - F.avg_pool2d(x, 5, 1, 2, count_include_pad=False)


def ghosts_at(tones: Tensor, others: Tensor) -> Tensor:
    """Where tones are flat and another face's are not, (B, 1, R, R), bool."""
    return (_range(tones, 5) < FLAT) * (_range(others, 3) > 2 * FLAT)


def ghosts(x: Tensor, bare: Tensor) -> Tensor:
    """The mean square (B,) of what is fine in x (B, 3, R, R) where it is bare (B, 1, R, R)."""
    return (bare * fine(x).square()).mean(1).sum((1, 2)) / (bare.sum((1, 2, 3)) + 8)


def _range(tones: Tensor, side: int) -> Tensor:
    """The largest difference of tones (B, 1, R, R) in the square around each pixel."""
    return F.max_pool2d(tones, side, 1, side // 2) + F.max_pool2d(-tones, side, 1, side // 2)
