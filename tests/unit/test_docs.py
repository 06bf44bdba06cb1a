"""What README.md and the pages in docs/ say is so, and their links lead somewhere."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
import torch
import yaml

import hsx
from hsx.checkpoints.cards import CARDS
from hsx.checkpoints.load import FILES
from hsx.checkpoints.options import Options
from hsx.plugins import registry as plugins

from .test_unet2d import tiny

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "checkpoints.md").read_text()
PLACES = ("*.md", "docs/**/*.md", "examples/**/*.md", "plugins/*/*.md", "hsx/**/*.md", "tests/reference/*.md")
PAGES = sorted(page for place in PLACES for page in ROOT.glob(place))


def test_every_option_family_and_kind_of_file_is_named():
    names = [field.name for field in fields(Options)] + list(plugins.load().of("backbone")) + list(FILES)
    assert [name for name in names if name not in PAGE] == []
    assert [card.files[0] for card in CARDS if card.files[0].split("_")[0] not in PAGE] == []


def test_the_code_runs_as_it_stands():
    unet = tiny()
    unet.middle_block = unet.mid_block
    unet.forward = lambda x, t, forward=unet.forward: forward(x, t)
    code = re.search(r"```python\n(.*?)```", PAGE, re.S)[1].replace("sample_size=64", "sample_size=16")
    space = {"my_unet": unet}
    exec(code, space)
    assert space["backbone"](torch.randn(1, 3, 16, 16), torch.tensor([5])).shape == (1, 3, 16, 16)


def test_the_code_of_the_reference_runs_as_it_stands():
    exec(re.search(r"```python\n(.*?)```", (ROOT / "docs" / "reference" / "index.md").read_text(), re.S)[1], {})


def anchors(page: str) -> list[str]:
    """What the headings of a page are called in links, as GitHub and mkdocs have it."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", page, flags=re.S | re.M), re.M)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_internal_link_leads_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M)
    for link in re.findall(r"\]\((?!\w+:)([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists() and ROOT in [target, *target.parents], link
        assert not anchor or anchor in anchors(target.read_text()), link


def test_every_page_is_in_the_navigation():
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert pages | {"index.md"} == set(re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M))


def test_what_is_said_of_the_configs_is_so():
    page = (ROOT / "docs" / "start.md").read_text()
    assert [path.stem for path in (ROOT / "configs").glob("*.yaml") if f"`{path.stem}`" not in page] == []
    glossary = (ROOT / "docs" / "glossary.md").read_text()
    assert [field.name for field in fields(hsx.TransferConfig) if f"`{field.name}`" not in glossary] == []


def test_the_citation_names_the_paper_and_no_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert "version" not in citation  # pyproject.toml has it
    assert citation["references"][0]["url"] in (ROOT / "README.md").read_text()


def test_type_hints_are_shipped():
    project = (ROOT / "pyproject.toml").read_text()
    assert (ROOT / "hsx" / "py.typed").exists() and 'hsx = ["py.typed"]' in project
