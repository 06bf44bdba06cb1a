"""Put pictures side by side: a strip of the results of several runs.

    python examples/demo_faces/strip.py strip.png outputs/omega_*/long_glasses_8__hatching_1.png
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from hsx.engine.sheets import cell_size
from hsx.images import grid


def main(out: str, *pictures: str) -> None:
    """Write ``out``: the pictures in the order given."""
    cells = {(0, i): Image.open(Path(picture)).convert("RGB") for i, picture in enumerate(pictures)}
    grid(cells, cell_size(cells[0, 0].width)).save(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
