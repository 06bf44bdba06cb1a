"""The documentation as a site: it is built with every warning an error, and shows what it should."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hsx
import hsx.strategies

ROOT = Path(__file__).parents[2]
NEEDED = ("mkdocs", "material", "mkdocstrings")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}: pip install -e '.[docs]'")
def test_the_site_is_built_strictly(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    ended = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert "Where to go on" in (tmp_path / "index.html").read_text()
    source = (tmp_path / "repository/hsx/method/step.py/index.html").read_text()
    assert "def transfer_step(" in re.sub(r"<[^>]+>", "", source)
    names = (tmp_path / "reference/index.html").read_text()
    assert [name for name in hsx.__all__ if f'id="hsx.{name}"' not in names and f"hsx.{name}</code>" not in names] == []
    strategies = (tmp_path / "reference/strategies/index.html").read_text()
    assert [name for name in hsx.strategies.__all__ if f'id="hsx.strategies.{name}"' not in strategies] == []
