"""``python -m hsx``."""

import sys

from hsx.cli import main

sys.exit(main())
