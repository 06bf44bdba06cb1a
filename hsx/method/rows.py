"""Values of the rows of a batch, as a step needs them."""

from __future__ import annotations

import torch
from torch import Tensor


def column(value: Tensor | float | bool, like: Tensor) -> Tensor:
    """A number, or one a row, as (B or 1, 1, 1, 1)."""
    return torch.as_tensor(value, dtype=like.dtype, device=like.device).reshape(-1, 1, 1, 1)


def there(rows: Tensor, x: Tensor) -> Tensor:
    """Rows that were chosen, where ``x`` is; nobody waits for the device."""
    return rows.to(x.device, non_blocking=True)
