"""How many pictures a device has room for, where data.batch_size is auto."""

from __future__ import annotations

import math

import torch

from hsx.method.transfer import Transfer

MOST = 64  # pictures at once on a GPU: an evaluation of more takes no less for each (docs/benchmarks.md)
ELSEWHERE = 16  # likewise on a CPU
SHARE = 0.7  # of the free memory: injection holds two bottlenecks, and a new batch may not fit the gaps of an old one


def at_most(batch_size: int | str, device: str) -> int:
    """How many pictures are read as a batch; with ``auto`` as many as may help on this type of device."""
    return batch_size if isinstance(batch_size, int) else MOST if device == "cuda" else ELSEWHERE


def fitting(transfer: Transfer, device: torch.device) -> int:
    """How many pictures a GPU takes at once, a power of two: measured with one evaluation of two."""
    net, size = transfer.backbone, transfer.backbone.sample_size
    x, t = torch.zeros(2, 3, size, size, device=device), torch.zeros(2, dtype=torch.long)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    with torch.no_grad():
        net(x, t)
    evaluation = (torch.cuda.max_memory_allocated(device) - before) / len(x)
    sites = net.layout.sites
    features = 4 * len(transfer.recorded_timesteps) * sum(math.prod(sites[site]) for site in transfer.sites)
    free, _ = torch.cuda.mem_get_info(device)
    rows = SHARE * free / (evaluation + 2 * features)  # as they are recorded, and stacked
    return 1 << int(math.log2(min(max(rows, 1), MOST)))
