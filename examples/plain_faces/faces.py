"""What the plain model is trained on: poster faces drawn once, each shown in a different style every time."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "demo_faces"))
from batches import draw_faces, numbers  # noqa: E402
from poster_faces import PITCH, sample_style  # noqa: E402

SEED = 11  # evaluate.py of the demo model draws from 20261 and 20262, its training from 1 and 7, its recognisers from 3
HELD_OUT = 20263  # of the pictures on which the loss is measured at the end
FILES = ("faces.npy", "styles.npy")


def draw(folder: Path, n: int, size: int) -> None:
    """Write ``n`` faces, float16 tones (n, size, size), and the numbers of 2 n styles, (2 n, 20), where they are not.

    Any of the faces is shown in any of the styles, so that no picture is seen twice.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng((SEED, 1))
    make = {
        "faces.npy": lambda: draw_faces(n, SEED, size),
        "styles.npy": lambda: np.array([numbers(sample_style(rng, PITCH[size])) for _ in range(2 * n)], np.float32),
    }
    for name in FILES:
        if not (folder / name).exists():
            np.save(folder / "part.npy", make[name]())
            (folder / "part.npy").replace(folder / name)
