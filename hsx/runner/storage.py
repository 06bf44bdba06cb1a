"""What the trajectories of a run take in the store, said before it starts."""

from __future__ import annotations

import math
import shutil
import sys
from pathlib import Path

from hsx.method.transfer import Transfer
from hsx.runner.plan import Plan
from hsx.store.trajectories import Store

SAID = 1e9  # bytes from which on it is said


def content_bytes(transfer: Transfer, dtype: str) -> dict[str, int]:
    """What the features of one content take in the store, in bytes by site; none where its donor does not invert."""
    each = (2 if dtype == "float16" else 4) * len(transfer.recorded_timesteps)
    sites = transfer.backbone.layout.sites if transfer.donor.inverts else {}
    return {site: each * math.prod(sites[site]) for site in transfer.sites if site in sites}


def say_storage(plan: Plan, transfer: Transfer, store: Store) -> None:
    """One line where the trajectories that a run may add to the store are over a gigabyte."""
    numbers, sites = plan.pictures_to_invert(), content_bytes(transfer, store.dtype)
    contents = int((numbers < len(plan.pairs.contents)).sum())
    total = 12 * plan.size**2 * len(numbers) + contents * sum(sites.values())  # x_T is in float32
    if total <= SAID:
        return
    each = ", ".join(f"{site} {size / 1e6:.3g} MB" for site, size in sites.items())
    said = f"up to {total / 1e9:.3g} GB of trajectories in {store.path}, {contents} contents with {each} each"
    if store.max_gb is not None and total > store.max_gb * 1e9:
        said += f"; store.max_gb lets {store.max_gb:g} GB of them stay after the run"
    free = shutil.disk_usage(_there(store.path)).free
    if total > free:
        said += f"; the disk has {free / 1e9:.3g} GB free: take fewer sites or inversion_steps, or the donor Renoised"
    print(said, file=sys.stderr)


def _there(path: Path) -> Path:
    """The folder itself, or the nearest above it that is there."""
    return next(one for one in (path, *path.absolute().parents) if one.exists())
