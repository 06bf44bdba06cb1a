"""The sites of a network by name: where the content's features go in."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

from hsx.backbones.base import BOTTLENECK, Backbone
from hsx.checks import got, in_range
from hsx.errors import HsxError

Sites = Sequence[str] | Mapping[str, float] | str
BY_SIZE, DEEPEST = re.compile(r"(skips?)@R(?:/([1-9]\d{0,5}))?"), re.compile(r"deepest:([1-9]\d{0,5})")


def chosen_sites(sites: Sites, backbone: Backbone) -> dict[str, float]:
    """The sites of this network under their own names, each with the factor of the schedule's gamma there.

    Args:
        sites: a name, several, or names with factors in [0, 1]: ``h``; a skip by the module that pushes it, as
            ``hsx inspect`` lists them; ``skips@R/4``, all skips at a quarter of the picture's side, or ``skip@R/4``,
            the last of them alone; ``deepest:3``, the last three skips.

    Raises:
        HsxError: for no site, a name that is none of the network's, a site that is named twice, or a factor out of
            range.
    """
    listed = [sites] if isinstance(sites, str) else sites
    if not isinstance(listed, (Sequence, Mapping)) or not listed or not all(isinstance(name, str) for name in listed):
        raise HsxError(f"sites: expected names such as h or skip@R/4, got {got(sites)}; see hsx inspect")
    found: dict[str, float] = {}
    for name, factor in listed.items() if isinstance(listed, Mapping) else ((name, 1.0) for name in listed):
        in_range("sites", factor, 0, 1, f"the factor of gamma at {name}")
        for site in _named(name, backbone):
            if site in found:
                raise HsxError(f"sites: expected each once, got {site} again by {name}; name it once")
            found[site] = float(factor)
    if not any(found.values()):
        raise HsxError(
            "sites: expected a factor above 0 at one of them, got 0 at all, which injects nothing; raise one"
        )
    return found


def _named(name: str, backbone: Backbone) -> list[str]:
    if name == BOTTLENECK:
        return [name]
    skips, size = dict(backbone.layout.skips), backbone.sample_size
    if name in skips:
        return [name]
    if sized := BY_SIZE.fullmatch(name):
        at = [skip for skip, shape in skips.items() if shape[-1] * int(sized[2] or 1) == size]
        if at:
            return at if sized[1] == "skips" else at[-1:]
        sizes = ", ".join(dict.fromkeys(f"R/{size // shape[-1]}" for shape in skips.values())) or "none"
        raise HsxError(f"sites: expected a size at which the network has skips ({sizes}), got {name}; see hsx inspect")
    if (deepest := DEEPEST.fullmatch(name)) and int(deepest[1]) <= len(skips):
        return list(skips)[-int(deepest[1]) :]
    near = difflib.get_close_matches(name, skips, 3, 0.5) or list(skips)[-3:]
    part = size // next(iter(reversed(skips.values())))[-1] if skips else 0
    known = ", ".join((BOTTLENECK, *near, *((f"skip@R/{part}", f"deepest:1 to deepest:{len(skips)}") if skips else ())))
    raise HsxError(f"sites: expected one of the network's, such as {known}, got {name}; see hsx inspect")
