"""Hooks of mkdocs: a link to a file of the repository outside docs/ works on the site as it does in a clone.

README.md is the first page.  Every other file or folder that a page links to becomes a page too: Markdown as it is, a
folder by its README or as a list, anything else as code.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)[^)#\s]+")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds README.md and, from page to page, what is linked to."""
    waiting = ["README.md", *(f"docs/{file.src_uri}" for file in files.documentation_pages())]
    added = set()
    while waiting:
        path = waiting.pop()
        text = markdown(path)
        uri = site_uri(path)
        if not path.startswith("docs/") and uri not in added:
            added.add(uri)
            page = rewritten(text, path)
            files.append(File.generated(config, uri, content=page, inclusion=InclusionLevel.NOT_IN_NAV))
        for target in links(text, path):
            if not target.startswith("docs/") and site_uri(target) not in added:
                waiting.append(target)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Points the links of a page in docs/ to these pages."""
    return markdown if page.file.generated_by else rewritten(markdown, f"docs/{page.file.src_uri}")


def markdown(path: str) -> str:
    """The page of a file or folder, ``path`` as seen from the root of the repository."""
    file = ROOT / path
    if file.is_dir():
        names = sorted(child.name for child in file.iterdir() if not child.name.startswith((".", "__")))
        return f"# {path}\n\n" + "".join(f"- [{name}]({name})\n" for name in names)
    text = file.read_text()
    if file.suffix == ".md":
        return text
    language = {".py": "python", ".yaml": "yaml", ".cff": "yaml"}.get(file.suffix, "text")
    return f"---\nsearch: {{exclude: true}}\n---\n\n# {path}\n\n`````{language}\n{text}\n`````\n"


def links(text: str, path: str) -> Iterator[str]:
    """What of the repository the page at ``path`` links to, as seen from the root."""
    for match in LINK.finditer(text) if is_page(path) else ():
        target = resolved(match[0], path)
        if (ROOT / target).exists():  # mkdocs itself warns of what does not
            yield target


def rewritten(text: str, path: str) -> str:
    """The page at ``path`` with its links as they are on the site."""
    here = posixpath.dirname(site_uri(path))

    def to_page(match: re.Match[str]) -> str:
        target = resolved(match[0], path)
        return posixpath.relpath(site_uri(target), here or ".") if (ROOT / target).exists() else match[0]

    return LINK.sub(to_page, text) if is_page(path) else text


def is_page(path: str) -> bool:
    """Whether it is written in Markdown, not code, in which a link would be none."""
    return path.endswith(".md") or (ROOT / path).is_dir()


def resolved(link: str, path: str) -> str:
    """A link on the page at ``path``, as seen from the root; a folder by its README, where it has one."""
    folder = path if (ROOT / path).is_dir() else posixpath.dirname(path)
    target = posixpath.normpath(posixpath.join(folder, link))
    readme = posixpath.join(target, "README.md")
    return readme if (ROOT / readme).is_file() else target


def site_uri(path: str) -> str:
    """Where on the site the file or folder lies."""
    if path == "README.md":
        return "index.md"
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"repository/{path}" if path.endswith(".md") else f"repository/{path}.md"
