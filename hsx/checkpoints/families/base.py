"""What all families of ``UNet2DModel`` share: the facts with their origins, the configuration, the network."""

from __future__ import annotations

import logging
import math
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from hsx.backbones.base import Backbone, Fact
from hsx.backbones.family import Family, State
from hsx.backbones.unet2d import UNet2DBackbone, make_unet
from hsx.checkpoints.cards import Architecture, card_of_architecture, card_of_name, published_name
from hsx.checkpoints.families.names import count, first_sizes, has, majority
from hsx.checkpoints.folders.unet import DEFAULTS
from hsx.checkpoints.options import ASSUMED, MissingOptions, Options, log_facts, make_schedule
from hsx.errors import BackboneError, HsxError, first_line

USE = ("image_size", "schedule", "num_train_timesteps", "rescale_timesteps", "prediction_type")
HEADS = ("num_head_channels", "num_heads")  # one of the two is needed

log = logging.getLogger("hsx")


class UNet2DFamily(Family):
    """A family whose network is a ``UNet2DModel`` under other names."""

    heads: ClassVar[int | None] = None  # the number of attention heads, where it is always the same
    blocks: ClassVar[tuple[str, ...]]  # what names of its tensors begin with, as patterns: all of them must occur
    asks: ClassVar[tuple[str, ...]] = ()  # the options beside USE that a file of this family leaves open
    defaults: ClassVar[tuple[str, ...]] = ()  # fields of UNet2DModel's config that it leaves at that class's defaults

    def recognises(self, state: State) -> bool:
        """See Family."""
        return all(has(state, block) for block in self.blocks)

    @abstractmethod
    def read(self, state: State) -> Architecture:
        """What names and shapes tell."""

    @abstractmethod
    def convert(self, state: State, architecture: Architecture, facts: dict[str, Any]) -> tuple[dict[str, Any], State]:
        """The configuration and the weights of the equal ``UNet2DModel``."""

    def build(self, state: State, options: Options, path: Path) -> Backbone:
        """See Family: what is read, then what is given, known or assumed, then the network."""
        closed = [name for name in ("attention_order", *HEADS) if name in options.given() and name not in self.asks]
        if closed and (closed, options.num_heads) != (["num_heads"], self.heads):
            raise BackboneError(f"{path}: expected no option {closed[0]} for {self.name}; leave it out")
        try:
            architecture = self.read(state)
            facts = self.facts(architecture, options, path)
            values = {name: fact.value for name, fact in facts.items()}
            config, weights = self.convert(state, architecture, values)
            unet = make_unet(config, weights, values.get("num_heads"))
            schedule = make_schedule(values["schedule"], values["num_train_timesteps"])
            scale = 1000 / len(schedule) if values["rescale_timesteps"] else 1.0
            backbone = UNet2DBackbone(unet, schedule, self.name, scale, options.class_label, values["prediction_type"])
        except MissingOptions:
            raise
        except HsxError as error:
            raise BackboneError(f"{path}: {error}") from None
        except (LookupError, ValueError, RuntimeError) as error:  # of UNet2DModel, for options that do not fit it
            wanted, why = f"expected a U-Net of family {self.name} that fits its options", first_line(error)
            raise BackboneError(f"{path}: {wanted}, got another ({why}); check the options and the file") from None
        backbone.facts = facts
        return backbone

    def facts(self, architecture: Architecture, options: Options, path: Path) -> dict[str, Fact]:
        """Every fact with its origin: the options first, then the published model, then a logged assumption.

        Raises:
            MissingOptions: where options are missing, with all of them.
        """
        facts = {name: Fact(value, "read") for name, value in architecture._asdict().items() if name != "family"}
        known, given, missing = _known(architecture, path), options.given(), []
        for name in (*USE, *self.asks):
            if name in given:
                facts[name] = Fact(given[name], "given")
            elif name in HEADS and not given.keys().isdisjoint(HEADS):
                continue
            elif name in known:
                facts[name] = known[name]
            elif name in ASSUMED:
                facts[name] = Fact(ASSUMED[name], "assumed")
            elif name not in HEADS:
                missing.append(name)
        if "num_heads" in self.asks and facts.keys().isdisjoint(HEADS):
            missing += HEADS
        if isinstance(given.get("schedule"), list) and "num_train_timesteps" not in given:
            facts["num_train_timesteps"] = Fact(len(given["schedule"]), "given")
        if options.class_label is not None:
            facts["class_label"] = Fact(options.class_label, "given")
        elif architecture.classes:
            missing.append("class_label")
        facts |= {name: Fact(DEFAULTS[name], "assumed (diffusers' default)") for name in self.defaults}
        if missing:
            raise MissingOptions(path, self.name, facts, missing, architecture.classes)
        log_facts(path, facts)
        return facts

    def config(self, architecture: Architecture, facts: dict[str, Any]) -> dict[str, Any]:
        """The fields of ``UNet2DModel``'s configuration that are made alike in every family."""
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
                given = f"num_heads {heads}" if heads else f"num_head_channels {channels}"
                wanted = f"heads that divide the {width} channels of an attention layer"
                raise BackboneError(f"expected {wanted}, got {given}; correct it")
        if heads == 1:
            return None
        return math.gcd(*widths) // heads if heads else channels

    def read_widths(self, state: State, layers: Sequence[str], first: str) -> tuple[int, ...]:
        """The channels of each level.

        Args:
            layers: for each level the pattern of the names of layers whose first dimension is the level's width.
            first: the name of a level's first block, for the error, with {} for the level's number.
        """
        widths = [majority(first_sizes(state, pattern)) for pattern in layers]
        if not widths or not all(widths):
            raise self.incomplete(first.format(next((i for i, width in enumerate(widths) if not width), 0)))
        return tuple(width for width in widths if width)

    def read_layers(self, state: State, blocks: Sequence[tuple[str, str]], first: str) -> int:
        """The residual blocks of a level, by the patterns of its blocks' names going down and, one more, going up."""
        counts = [(count(state, down), count(state, up) - 1) for down, up in blocks]
        layers = majority(number for pair in counts for number in pair if number > 0)
        if not layers:
            raise self.incomplete(first.format(0))
        return layers

    def incomplete(self, block: str) -> BackboneError:
        """The error for a state that lacks a block by which its architecture would be read."""
        whole = f"the whole of a U-Net of family {self.name}"
        return BackboneError(f"expected {whole}, got one without blocks such as {block}; check the option family")


def _known(architecture: Architecture, path: Path) -> dict[str, Fact]:
    """The settings of the published model that this file is, or is built like, with their origin."""
    card, origin = card_of_name(path.name), ""
    if card and card.architecture == architecture:
        origin = f"known ({published_name(path.name)}, {card.source})"
    else:
        if card:
            log.warning("%s: has the name of a model of %s, but not its architecture", path, card.source)
        card = card_of_architecture(architecture)
        origin = f"assumed (the architecture of {card.files[0]})" if card else ""
    return {name: Fact(value, origin) for name, value in (card.settings if card else {}).items()}
