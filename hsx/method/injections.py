"""At which timesteps the content's h is injected, and a word where that is hardly any."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from hsx.checks import in_range, whole
from hsx.errors import HsxError
from hsx.schedule import timesteps

if TYPE_CHECKING:
    from hsx.method.transfer import Transfer

log = logging.getLogger("hsx")


def injections(times: list[int], wanted: int | Sequence[int] | None) -> frozenset[int]:
    """The timesteps at which h is injected: ``wanted`` of ``times`` spread evenly, or those named."""
    if wanted is None:
        wanted = min(50, len(times))
    if isinstance(wanted, Collection) and not isinstance(wanted, str):
        if not all(whole(t) for t in wanted) or not set(wanted) & set(times):
            raise HsxError(
                f"injection_steps: expected some of the generation's timesteps {times[0]}, {times[1]}, … "
                f"{times[-1]}, got {list(wanted)}; take a number of steps instead"
            )
        others = sorted(set(wanted) - set(times))
        if others:
            log.warning(
                "injection_steps: %d of %d timesteps are none of the generation's and inject nothing, such as "
                "%d; take a number of steps instead",
                len(others),
                len(set(wanted)),
                others[0],
            )
        return frozenset(wanted)
    in_range("injection_steps", wanted, 1, math.inf, "above generation_steps: at all of them", whole)
    wanted = min(wanted, len(times))
    if wanted == 1:
        return frozenset(times[-1:])
    return frozenset(times[i] for i in timesteps(wanted, len(times) - 1))


def warn_of_few_injections(transfer: Transfer) -> None:
    """One line in the log where the schedule leaves less than two injections: the content then hardly shows.

    Where it would inject nothing at any timestep of the model, or t_edit is past the last, that is meant and only said.
    """
    injects, steps = transfer.injects, len(transfer.timesteps)
    try:
        some = [t for t in injects if transfer.schedule.gamma(t) > 0]
        T = len(transfer.backbone.schedule)
        meant = not some and (transfer.t_edit == T or not any(transfer.schedule.gamma(t) > 0 for t in range(T)))
    except Exception:  # whatever it is will be raised, and told, when it is asked again
        return
    if len(some) >= 2:
        return
    counted = f"of {steps} generation steps {len(injects)} may inject (t >= t_edit {transfer.t_edit})"
    if meant:
        log.info("%s, and the schedule's gamma is above 0 at none of them: the styles come back as they are", counted)
    else:
        where = f"t = {some[0]} alone" if some else "none of them"
        log.warning(
            "%s, and the schedule's gamma is above 0 at %s: the content hardly shows; take more "
            "generation_steps, another t_edit or another schedule",
            counted,
            where,
        )
