"""Train what reads a picture's content and style: two small timm networks for poster faces.

    python examples/demo_faces/recognisers.py hsx/assets/demo_faces/recognisers.safetensors

Every picture's style is drawn anew.  Pictures are blurred and noisy, and for the content network their colours
are distorted, so that results which are not quite in the domain are read as well.  Prints the accuracy on held-out
pictures, clean and distorted.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import timm
import torch
import torch.nn.functional as F
from poster_faces import HAIR, PITCH, TEXTURES, Content, Style, apply_style, sample_content, sample_style, tone_image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision.transforms.v2.functional import gaussian_blur

GEOMETRY = ("cx", "cy", "rx", "ry", "roll", "yaw", "smile", "mouth")
POSE = slice(0, 6)  # of GEOMETRY: what the geometry slope is the mean of
FACES = 8000  # to train on
KINDS = {"content": {"hair": len(HAIR), "glasses": 2}, "style": {"texture": len(TEXTURES)}}
NUMBERS = {"content": len(GEOMETRY), "style": 14}  # a style's: the palette's 12, the light's x and y


def factors(content: Content, style: Style) -> dict[str, np.ndarray]:
    """What is to be read: classes ``hair``, ``glasses``, ``texture``, and the numbers of ``content`` and ``style``."""
    light = style.light * np.array([np.cos(style.light_angle), np.sin(style.light_angle)])
    return {
        "hair": np.array(content.hair),
        "glasses": np.array(content.glasses),
        "texture": np.array(style.texture),
        "content": np.array([getattr(content, name) for name in GEOMETRY], np.float32),
        "style": np.concatenate([style.palette.ravel(), 10 * light]).astype(np.float32),
    }


class Recogniser(nn.Module):
    """Reads the content or the style of pictures (B, 3, R, R) in [-1, 1]."""

    def __init__(self, what: str, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.what = what
        self.net = timm.create_model("test_resnet", num_classes=sum(KINDS[what].values()) + NUMBERS[what])
        self.net.maxpool = nn.Identity()  # the pictures are small
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Class scores (B, K) by name, and under the network's own name the numbers (B, N)."""
        *scores, numbers = self.net(x).split([*KINDS[self.what].values(), NUMBERS[self.what]], dim=1)
        return dict(zip(KINDS[self.what], scores)) | {self.what: numbers * self.std + self.mean}

    def loss(self, x: Tensor, truth: dict[str, Tensor]) -> Tensor:
        """Cross-entropy of the classes and squared error of the numbers in units of their deviation."""
        read = self(x)
        classes = sum(F.cross_entropy(read[name], truth[name]) for name in KINDS[self.what])
        return classes + 4 * ((read[self.what] - truth[self.what]) / self.std).square().mean()


def faces(n: int, seed: int, size: int) -> list[tuple[Content, np.ndarray]]:
    """``n`` random faces with their tone images."""
    rng = np.random.default_rng(seed)
    contents = [sample_content(rng) for _ in range(n)]
    return [(content, tone_image(content, size)) for content in contents]


def styled(chosen: list[tuple[Content, np.ndarray]], rng: np.random.Generator) -> tuple[Tensor, dict[str, Tensor]]:
    """Each of these faces in a random style: pictures (N, 3, R, R) in [-1, 1] and their factors."""
    styles = [sample_style(rng, PITCH[tone.shape[0]]) for _, tone in chosen]
    pictures = np.stack([apply_style(tone, style) for (_, tone), style in zip(chosen, styles)])
    rows = [factors(content, style) for (content, _), style in zip(chosen, styles)]
    truth = {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1, truth


def distorted(x: Tensor, what: str, rng: torch.Generator) -> Tensor:
    """Blurred and noisy; where the content is to be read, with other colours too.  Style bears less blur."""
    n, most = len(x), {"content": 1.5, "style": 0.6}[what]
    blurred = gaussian_blur(x, 9, most * float(torch.rand((), generator=rng)) + 0.05)
    x = torch.where(torch.rand(n, 1, 1, 1, generator=rng) < 0.5, blurred, x)
    if what == "content":
        mix = torch.eye(3) + 0.25 * torch.randn(n, 3, 3, generator=rng)
        x = torch.einsum("nij,njhw->nihw", mix, x) + 0.2 * torch.randn(n, 3, 1, 1, generator=rng)
    return (x + 0.15 * torch.rand(n, 1, 1, 1, generator=rng) * torch.randn(x.shape, generator=rng)).clamp(-1, 1)


def train(size: int, iterations: int, batch: int = 48) -> dict[str, Recogniser]:
    """Recognisers of the content and of the style, trained on the same pictures."""
    drawn, rng, noise = faces(FACES, 3, size), np.random.default_rng(3), torch.Generator().manual_seed(0)
    truth = styled(drawn, rng)[1]
    models = nn.ModuleDict({what: Recogniser(what, truth[what].mean(0), truth[what].std(0)) for what in KINDS})
    optimizer = torch.optim.AdamW(models.parameters(), 3e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, iterations)
    for _ in range(iterations):
        x, truth = styled([drawn[i] for i in rng.integers(len(drawn), size=batch)], rng)
        optimizer.zero_grad()
        for what, model in models.items():
            model.loss(distorted(x, what, noise), truth).backward()
        optimizer.step()
        schedule.step()
    return dict(models.eval())


@torch.no_grad()
def accuracy(model: Recogniser, x: Tensor, truth: dict[str, Tensor]) -> str:
    """Shares of classes read rightly, and the mean correlation of the numbers."""
    read = model(x)
    shares = [f"{name} {(read[name].argmax(1) == truth[name]).float().mean():.3f}" for name in KINDS[model.what]]
    a, b = (v - v.mean(0) for v in (read[model.what], truth[model.what]))
    correlation = (a * b).sum(0) / (a.norm(dim=0) * b.norm(dim=0))
    return ", ".join([*shares, f"correlation {correlation.mean():.3f} (lowest {correlation.min():.3f})"])


def load(path: Path) -> dict[str, Recogniser]:
    """The two recognisers, ready to read."""
    weights = load_file(path)
    models = nn.ModuleDict(
        {what: Recogniser(what, weights[f"{what}.mean"].float(), weights[f"{what}.std"].float()) for what in KINDS}
    )
    models.load_state_dict(weights)
    return dict(models.eval().requires_grad_(False))


def main() -> None:
    """Train both, write their weights in fp16, print how well they read."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=1500)
    args = parser.parse_args()
    save_file(nn.ModuleDict(train(args.size, args.iterations)).half().state_dict(), args.file)
    x, truth = styled(faces(min(FACES, 1000), 4, args.size), np.random.default_rng(5))
    for what, model in load(args.file).items():
        print(f"{what}, clean: {accuracy(model, x, truth)}")
        print(f"{what}, distorted: {accuracy(model, distorted(x, what, torch.Generator().manual_seed(1)), truth)}")


if __name__ == "__main__":
    main()
