"""Put pictures side by side: a strip of the results of several runs.

python examples/demo_faces/strip.py strip.png outputs/omega_*/long_glasses_8__hatching_1.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

from hsx.report.sheets import cell_size, grid


def main() -> None:
    """Write the strip: the pictures in the order given."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("pictures", type=Path, nargs="+")
    args = parser.parse_args()
    try:
        cells = {
            (0, i): Image.open(picture, formats=("PNG",)).convert("RGB") for i, picture in enumerate(args.pictures)
        }
    except OSError as error:  # its message names the picture
        parser.error(f"expected pictures, could not read one ({error}); check the path")
    grid(cells, cell_size(cells[0, 0].width)).save(args.out)


if __name__ == "__main__":
    main()
