"""What a plugin may supply: a module named by an entry point of the group ``hsx``, whose hooks return classes.

In it: ``from hsx import hookimpl``, and functions of these names marked with ``@hookimpl``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from hsx.backbones.family import Family
    from hsx.metrics.base import Metric
    from hsx.strategies.base import Strategy

hookspec, hookimpl = pluggy.HookspecMarker("hsx"), pluggy.HookimplMarker("hsx")


@hookspec
def hsx_strategies() -> list[type[Strategy]]:  # type: ignore[empty-body]
    """Schedules, blends, normalizers and calibrators, see ``hsx.strategies.base``; a config names each by its class."""


@hookspec
def hsx_backbones() -> list[type[Family]]:  # type: ignore[empty-body]
    """Families of checkpoint files, see ``hsx.backbones.family.Family``; each is known by its ``name``."""


@hookspec
def hsx_metrics() -> list[type[Metric]]:  # type: ignore[empty-body]
    """Measures of a transfer, see ``hsx.metrics.base.Metric``."""
