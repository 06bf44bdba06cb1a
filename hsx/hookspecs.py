"""What a plugin may supply: a module named by an entry point of the group ``hsx``, whose hooks return classes.

In it: ``from hsx.hookspecs import hookimpl``, and functions of these names marked with ``@hookimpl``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from hsx.backbones.family import Family

hookspec, hookimpl = pluggy.HookspecMarker("hsx"), pluggy.HookimplMarker("hsx")


@hookspec
def hsx_backbones() -> list[type[Family]]:  # type: ignore[empty-body]
    """Families of checkpoint files, see ``hsx.backbones.family.Family``."""
