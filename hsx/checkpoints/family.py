"""Families whose network is diffusers' UNet2DModel under other names, and where each of their facts comes from."""

from __future__ import annotations

import logging
import math
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import torch

from hsx.backbones.base import Backbone, Fact
from hsx.backbones.family import Family, State
from hsx.backbones.unet2d import UNet2DBackbone, make_unet
from hsx.checkpoints.options import Options, Unsaid
from hsx.checkpoints.published import Architecture, Published, called, published_name, recognise
from hsx.checkpoints.unet_config import DEFAULTS
from hsx.errors import BackboneError, HsxError, first_line
from hsx.schedule import NoiseSchedule

USE = ("image_size", "schedule", "num_train_timesteps", "rescale_timesteps", "prediction_type")
ASSUMED = {
    "attention_order": "legacy",
    "schedule": "linear",
    "num_train_timesteps": 1000,
    "rescale_timesteps": False,
    "prediction_type": "epsilon",
}

log = logging.getLogger("hsx")


class UNet2DFamily(Family):
    """A family whose network is a ``UNet2DModel`` under other names."""

    heads: ClassVar[int | None] = None  # the number of attention heads, where it is always the same
    asks: ClassVar[tuple[str, ...]] = ()  # the options beside USE that a file of this family leaves open
    tacit: ClassVar[tuple[str, ...]] = ()  # fields of UNet2DModel's config that it leaves at that class's defaults

    @abstractmethod
    def read(self, state: State) -> Architecture:
        """What names and shapes tell."""

    @abstractmethod
    def convert(self, state: State, architecture: Architecture, facts: dict[str, Any]) -> tuple[dict[str, Any], State]:
        """The configuration and the weights of the equal ``UNet2DModel``."""

    def build(self, state: State, options: Options, path: Path) -> Backbone:
        """See Family: what is read, then what is given, known or assumed, then the network."""
        foreign = [
            name
            for name in options.given()
            if name in ("num_heads", "num_head_channels", "attention_order")
            and name not in self.asks
            and (name, options.num_heads) != ("num_heads", self.heads)
        ]
        if foreign:
            raise BackboneError(
                f"{path}: expected no option {foreign[0]} for {self.name}, whose weights leave nothing "
                "open there; leave it out"
            )
        try:
            architecture = self.read(state)
            facts = self.settle(architecture, options, path)
            values = {name: fact.value for name, fact in facts.items()}
            config, weights = self.convert(state, architecture, values)
            unet = make_unet(config, weights, values.get("num_heads"))
            schedule = make_schedule(values["schedule"], values["num_train_timesteps"])
            scale = 1000 / len(schedule) if values["rescale_timesteps"] else 1.0
            backbone = UNet2DBackbone(unet, schedule, self.name, scale, options.class_label, values["prediction_type"])
        except Unsaid:
            raise
        except HsxError as error:
            text = str(error)
            raise BackboneError(text if text.startswith(str(path)) else f"{path}: {text}") from None
        except (LookupError, ValueError, RuntimeError, StopIteration) as error:
            raise BackboneError(
                f"{path}: expected the whole of a U-Net of family {self.name} that fits its options, "
                f"got one that does not fit ({first_line(error)}); check the options and the file"
            ) from None
        backbone.facts = facts
        return backbone

    def config(self, architecture: Architecture, facts: dict[str, Any]) -> dict[str, Any]:
        """What every family's ``UNet2DModel`` configuration says alike."""
        resnet, attention = architecture.resblock_updown, architecture.attention
        down, up = ("ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D") if resnet else ("DownBlock2D", "UpBlock2D")
        return dict(
            sample_size=facts["image_size"],
            block_out_channels=architecture.widths,
            layers_per_block=architecture.layers,
            down_block_types=tuple("AttnDownBlock2D" if a else down for a in attention),
            up_block_types=tuple("AttnUpBlock2D" if a else up for a in reversed(attention)),
            downsample_type="resnet" if resnet else "conv",
            upsample_type="resnet" if resnet else "conv",
            out_channels=6 if architecture.learned_variance else 3,
            attention_head_dim=self._head_dim(architecture, facts),
            num_class_embeds=architecture.classes,
            resnet_time_scale_shift="scale_shift" if architecture.scale_shift else "default",
            norm_num_groups=32,
            attn_norm_num_groups=32,
        )

    def _head_dim(self, architecture: Architecture, facts: dict[str, Any]) -> int | None:
        """Channels of a head: None is all of them; a fixed number of heads at several widths is set by make_unet."""
        heads, channels = facts.get("num_heads", self.heads), facts.get("num_head_channels")
        with_attention = {w for w, a in zip(architecture.widths, architecture.attention, strict=True) if a}
        widths = {architecture.widths[-1], *with_attention}  # the middle block's too
        for width in widths:
            if width % (heads or channels or 1):
                raise BackboneError(
                    f"expected heads that divide the {width} channels of an attention layer, got "
                    f"{f'num_heads {heads}' if heads else f'num_head_channels {channels}'}; correct it"
                )
        if heads == 1:
            return None
        return math.gcd(*widths) // heads if heads else channels

    def settle(self, architecture: Architecture, options: Options, path: Path) -> dict[str, Fact]:
        """Every fact with its origin: the options first, then the published model, then a stated assumption.

        Raises:
            Unsaid: where options are missing, with all of them.
        """
        facts = {name: Fact(value, "read") for name, value in architecture._asdict().items() if name != "family"}
        row, origin = _published(architecture, path)
        known, given = row.facts if row else {}, options.given()
        missing = []
        for name in (*USE, *self.asks):
            heads = name in ("num_heads", "num_head_channels")
            if name in given:
                facts[name] = Fact(given[name], "given")
            elif heads and (options.num_heads or options.num_head_channels):
                continue
            elif name in known:
                facts[name] = Fact(known[name], origin)
            elif name in ASSUMED:
                facts[name] = Fact(ASSUMED[name], "assumed")
            elif not heads:
                missing.append(name)
        if "num_heads" in self.asks and not {"num_heads", "num_head_channels"} & set(facts):
            missing += ["num_head_channels", "num_heads"]
        if isinstance(given.get("schedule"), list) and "num_train_timesteps" not in given:
            facts["num_train_timesteps"] = Fact(len(given["schedule"]), "given")
        if options.class_label is not None:
            facts["class_label"] = Fact(options.class_label, "given")
        elif architecture.classes:
            missing.append("class_label")
        facts |= {name: Fact(DEFAULTS[name], "assumed (diffusers' default)") for name in self.tacit}
        if missing:
            raise Unsaid(path, self.name, facts, missing, architecture.classes)
        tell(path, facts)
        return facts


def _published(architecture: Architecture, path: Path) -> tuple[Published | None, str]:
    """The published models whose facts hold for this file, and how surely."""
    row, alike = called(path.name), recognise(architecture)
    if row and row.architecture() == architecture:
        return row, f"known ({published_name(path.name)}, {row.source})"
    if row:
        log.warning(
            "%s: has the name of a model of %s, but another architecture; its facts are not taken over",
            path,
            row.source,
        )
    return alike, f"assumed (the architecture of {alike.files[0]})" if alike else ""


def make_schedule(schedule: str | list[float], num_timesteps: int) -> NoiseSchedule:
    """linear and cosine by OpenAI's rules for any number of timesteps, or betas as they are."""
    if schedule == "linear":
        return NoiseSchedule.linear(num_timesteps)
    if schedule == "cosine":
        return NoiseSchedule.cosine(num_timesteps)
    if isinstance(schedule, str):
        raise BackboneError(
            f"expected the option schedule as linear, cosine or a list of betas, got {schedule}; write the betas out"
        )
    betas = torch.as_tensor(schedule, dtype=torch.float64)
    if len(betas) != num_timesteps:
        raise BackboneError(
            f"num_train_timesteps: expected {len(betas)}, as many as there are betas, got {num_timesteps}; leave it out"
        )
    return NoiseSchedule.from_betas(betas)


def tell(path: Path, facts: dict[str, Fact]) -> None:
    """State in the log what was not read from the file: as a warning where it is only assumed."""

    def those(origin: str) -> dict[str, str]:
        told: dict[str, list[str]] = {}
        for name, fact in facts.items():
            if fact.origin.startswith(origin):
                told.setdefault(fact.origin, []).append(f"{name} {fact.value}")
        return {origin: ", ".join(each) for origin, each in told.items()}

    for origin, told in those("known").items():
        log.info("%s: %s: %s", path, origin, told)
    if those("assumed"):
        what = "; ".join(f"{origin}: {told}" for origin, told in those("assumed").items())
        remedy = ", or its folder with config.json" if "diffusers' default" in what and path.is_file() else ""
        log.warning("%s: does not tell all of its use, %s; give the options that differ%s", path, what, remedy)
