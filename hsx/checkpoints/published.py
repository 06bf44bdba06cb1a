"""The published models that users bring: their files' names, the architecture, and the facts that shapes cannot tell.

The facts are from the publications' own READMEs and code, named in ``source``.  They are known of a file that bears
its published name; of a file of the same architecture under another name they are only assumed.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

WIDE = (1, 1, 2, 2, 4, 4)
ADM = "ADM, NeurIPS 2021, github.com/openai/guided-diffusion"
IDDPM = "iDDPM, ICML 2021, github.com/openai/improved-diffusion"


class Architecture(NamedTuple):
    """What the names and shapes of a checkpoint tell of its network."""

    family: str
    widths: tuple[int, ...]  # channels of each level, the full resolution first
    layers: int  # residual blocks a level
    attention: tuple[bool, ...]  # whether each level has attention
    scale_shift: bool
    classes: int | None = None
    learned_variance: bool = False
    resblock_updown: bool = False


class Published(NamedTuple):
    """Model files of one architecture."""

    files: tuple[str, ...]
    family: str
    channels: int
    multipliers: tuple[float, ...]
    layers: int
    attention: tuple[int, ...]  # at which resolutions
    facts: dict[str, Any]
    source: str
    scale_shift: bool = True
    classes: int | None = None

    def architecture(self) -> Architecture:
        """The fingerprint."""
        levels = tuple(self.facts["image_size"] >> i in self.attention for i in range(len(self.multipliers)))
        widths = tuple(int(self.channels * m) for m in self.multipliers)
        return Architecture(
            self.family,
            widths,
            self.layers,
            levels,
            self.scale_shift,
            self.classes,
            self.family != "ddpm",
            self.family == "adm",
        )


def facts(
    image_size: int, schedule: str = "linear", steps: int = 1000, rescaled: bool = False, **more: Any
) -> dict[str, Any]:
    """The facts of a row, by the names of the options."""
    return {
        "image_size": image_size,
        "schedule": schedule,
        "num_train_timesteps": steps,
        "rescale_timesteps": rescaled,
        "prediction_type": "epsilon",
        **more,
    }


PUBLISHED = (
    Published(
        ("celeba_hq.ckpt", "bedroom.ckpt", "church_outdoor.ckpt"),
        "ddpm",
        128,
        WIDE,
        2,
        (16,),
        facts(256),
        "SDEdit, ICLR 2022, github.com/ermongroup/SDEdit",
        scale_shift=False,
    ),
    Published(
        ("afhq_dog_4m.pt", "ffhq_10m.pt"),
        "adm",
        128,
        WIDE,
        1,
        (16,),
        facts(256, num_head_channels=64, attention_order="legacy"),
        "ILVR, ICCV 2021, github.com/jychoi118/ilvr_adm",
    ),
    Published(
        (
            "ffhq_p2.pt",
            "metface_p2.pt",
            "celebahq_p2.pt",
            "cub_p2.pt",
            "flower_p2.pt",
            "afhq_p2.pt",
            "ffhq_baseline.pt",
            "metface_baseline.pt",
            "cub_baseline.pt",
            "flower_baseline.pt",
            "afhq_baseline.pt",
        ),
        "adm",
        128,
        WIDE,
        1,
        (16,),
        facts(256, num_head_channels=64, attention_order="legacy"),
        "P2 weighting, CVPR 2022, github.com/jychoi118/P2-weighting",
    ),
    Published(
        ("256x256_diffusion_uncond.pt", "lsun_bedroom.pt", "lsun_cat.pt", "lsun_horse.pt", "lsun_horse_nodropout.pt"),
        "adm",
        256,
        WIDE,
        2,
        (32, 16, 8),
        facts(256, num_head_channels=64, attention_order="legacy"),
        ADM,
    ),
    Published(
        ("64x64_diffusion.pt",),
        "adm",
        192,
        (1, 2, 3, 4),
        3,
        (32, 16, 8),
        facts(64, "cosine", num_head_channels=64, attention_order="new"),
        ADM,
        classes=1000,
    ),
    Published(
        ("128x128_diffusion.pt",),
        "adm",
        256,
        (1, 1, 2, 3, 4),
        2,
        (32, 16, 8),
        facts(128, num_heads=4, attention_order="legacy"),
        ADM,
        classes=1000,
    ),
    Published(
        ("256x256_diffusion.pt",),
        "adm",
        256,
        WIDE,
        2,
        (32, 16, 8),
        facts(256, num_head_channels=64, attention_order="legacy"),
        ADM,
        classes=1000,
    ),
    Published(
        ("512x512_diffusion.pt",),
        "adm",
        256,
        (0.5, *WIDE),
        2,
        (32, 16, 8),
        facts(512, num_head_channels=64, attention_order="legacy"),
        ADM,
        classes=1000,
    ),
    Published(
        ("imagenet64_uncond_100M_1500K.pt", "imagenet64_uncond_vlb_100M_1500K.pt"),
        "iddpm",
        128,
        (1, 2, 3, 4),
        3,
        (16, 8),
        facts(64, "cosine", 4000, True, num_heads=4, attention_order="legacy"),
        IDDPM,
    ),
    Published(
        ("cifar10_uncond_50M_500K.pt",),
        "iddpm",
        128,
        (1, 2, 2, 2),
        3,
        (16, 8),
        facts(32, "cosine", 4000, True, num_heads=4, attention_order="legacy"),
        IDDPM,
    ),
    Published(
        ("imagenet64_cond_270M_250K.pt",),
        "iddpm",
        192,
        (1, 2, 3, 4),
        3,
        (16, 8),
        facts(64, "cosine", 4000, num_heads=4, attention_order="legacy"),
        IDDPM,
        classes=1000,
    ),
    Published(
        ("lsun_uncond_100M_1200K_bs128.pt", "lsun_uncond_100M_2400K_bs64.pt"),
        "iddpm",
        128,
        WIDE,
        2,
        (16,),
        facts(256, num_heads=1, attention_order="legacy"),
        IDDPM,
        scale_shift=False,
    ),
)


def recognise(architecture: Architecture) -> Published | None:
    """The published models of this architecture; the first row where several share one, and with it all facts."""
    return next((row for row in PUBLISHED if row.architecture() == architecture), None)


def published_name(file: str) -> str:
    """A file's name as it was published: without a cache's hash before it, a browser's (1) behind it, in lower case."""
    return re.sub(r"^[0-9a-f]{12}-|[ _]?\(\d+\)(?=\.\w+$)", "", file.lower())


def called(file: str) -> Published | None:
    """The published models of which one has this file name."""
    return next((row for row in PUBLISHED if published_name(file) in map(str.lower, row.files)), None)


def home(file: str) -> str | None:
    """Where a published model of this file name comes from."""
    row = called(file)
    return row.source if row else None
