"""docs/strategies.md has a section for every strategy, with its source, and its pictures are there."""

import re
from pathlib import Path

import pytest

from hsx.plugins import registry as plugins
from hsx.strategies.base import KINDS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "strategies.md").read_text()
SECTIONS = {name: text for name, text in re.findall(r"^### (\w+).*?\n(.*?)(?=^##|\Z)", PAGE, re.M | re.S)}
BUILT_IN = [item.name for item in plugins.load().items if item.kind in KINDS and item.package == "hsx"]
FROM_PLUGINS = ["SkipDamping", "WhiteningColouring", "ObjectMask"]
SOURCE = re.compile(r"\d{4}\.\d{5}|\bpaper\b|[A-Z]\w+( and [A-Z]\w+| et al\.)? (19|20)\d\d")


def test_there_is_a_section_for_each_and_for_nothing_else():
    assert len(BUILT_IN) > 10 and sorted(SECTIONS) == sorted(BUILT_IN + FROM_PLUGINS)


@pytest.mark.parametrize("name", BUILT_IN + FROM_PLUGINS)
def test_the_section_names_its_source(name):
    assert SOURCE.search(SECTIONS[name]), f"{name}: no arXiv number, paper, or author and year"


def test_every_picture_is_there_and_small():
    pictures = re.findall(r"!\[.+?\]\((.+?)\)", PAGE)
    assert len(pictures) >= len(KINDS)
    assert [p for p in pictures if not (DOCS / p).is_file() or (DOCS / p).stat().st_size > 150_000] == []
