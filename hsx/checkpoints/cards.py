"""The cards of published models (``cards.yaml``): what is known of a file by its published name and its architecture.

What a card says is *known* of a file that bears its published name; of a file of the same architecture under another
name it is only assumed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml


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


@dataclass(frozen=True)
class Card:
    """Published files of one architecture; ``cards.yaml`` says what each field means."""

    files: list[str]
    source: str
    family: str
    channels: int
    multipliers: list[float]
    layers: int
    attention: list[int]
    settings: dict[str, Any]
    scale_shift: bool = True
    classes: int | None = None
    url: str | None = None
    licence: str | None = None

    @property
    def architecture(self) -> Architecture:
        """What a family reads off such a file."""
        return Architecture(
            self.family,
            widths=tuple(int(self.channels * m) for m in self.multipliers),
            layers=self.layers,
            attention=tuple(self.settings["image_size"] >> i in self.attention for i in range(len(self.multipliers))),
            scale_shift=self.scale_shift,
            classes=self.classes,
            learned_variance=self.family != "ddpm",
            resblock_updown=self.family == "adm",
        )


CARDS = [Card(**card) for card in yaml.safe_load(Path(__file__).with_name("cards.yaml").read_text("utf-8"))]


def card_of_architecture(architecture: Architecture) -> Card | None:
    """The first card of this architecture: all of one architecture have the same settings."""
    return next((card for card in CARDS if card.architecture == architecture), None)


def card_of_name(file: str) -> Card | None:
    """The card of the published model that has this file name."""
    return next((card for card in CARDS if published_name(file) in map(str.lower, card.files)), None)


def published_name(file: str) -> str:
    """A file's name as it was published: without a cache's hash before it, a browser's (1) behind it, in lower case."""
    return re.sub(r"^[0-9a-f]{12}-|[ _]?\(\d+\)(?=\.\w+$)", "", file.lower())
