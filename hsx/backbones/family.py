"""Families of checkpoint files: recognised by the names of their tensors, made into a Backbone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from hsx.backbones.base import Backbone

if TYPE_CHECKING:
    from hsx.checkpoints.options import Options

State = dict[str, Tensor]


class Family(ABC):
    """One world of checkpoint files.  A plugin adds one by the hook ``hsx_backbones``."""

    name: ClassVar[str]

    @abstractmethod
    def recognises(self, state: State) -> bool:
        """Whether the names of these tensors are this family's."""

    @abstractmethod
    def build(self, state: State, options: Options, path: Path) -> Backbone:
        """The Backbone; raises BackboneError, with the file's name, for a state that is broken or an option missing."""
