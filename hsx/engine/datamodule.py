"""Contents, styles and their pairs, as what ``trainer.predict`` walks through."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

import lightning
from jsonargparse.typing import NonNegativeInt, PositiveInt
from torch.utils.data import DataLoader, Dataset, default_collate

from hsx.engine.store import TrajectoryStore
from hsx.errors import HsxError, ImageError
from hsx.images import find_images, read_image


class Pair(NamedTuple):
    """A content and a style, and the name of their picture."""

    name: str
    content: Path
    style: Path


class Pairs(lightning.LightningDataModule):
    """Which contents go with which styles.

    Args:
        contents: a picture or a folder of pictures whose content is kept.
        styles: a picture or a folder of pictures whose style is taken.
        pairing: product (each content with each style) or zip (the first with the first, and so on).
        batch_size: how many pictures go through the network at once; results do not depend on it.
        num_workers: processes that read pictures ahead.
    """

    def __init__(
        self,
        contents: str,
        styles: str,
        pairing: Literal["product", "zip"] = "product",
        batch_size: PositiveInt = 4,  # type: ignore[valid-type]
        num_workers: NonNegativeInt = 0,  # type: ignore[valid-type]
    ) -> None:
        super().__init__()
        self.batch_size, self.num_workers, self.pairing = batch_size, num_workers, pairing
        self.contents = find_images(contents, "data.contents")
        self.styles = find_images(styles, "data.styles")
        rows, columns = _names(self.contents), _names(self.styles)
        if pairing == "zip" and len(rows) != len(columns):
            raise HsxError(f"data.pairing: expected as many contents as styles to zip, got {len(rows)} and "
                           f"{len(columns)}; use product, or folders of equal length")
        each = [(i, j) for i in range(len(rows)) for j in range(len(columns)) if pairing == "product" or i == j]
        self.pairs = [Pair(f"{rows[i]}__{columns[j]}", self.contents[i], self.styles[j]) for i, j in each]

    def loader(self, items: Dataset) -> DataLoader:
        """Batches of ``items`` in order, the failed ones apart."""
        return DataLoader(items, self.batch_size, num_workers=self.num_workers, collate_fn=_collate)


class Pictures(Dataset):
    """Distinct pictures to invert: (key, path) items as ``image`` (3, R, R)."""

    def __init__(self, items: list[tuple[str, Path]], size: int) -> None:
        self.items, self.size = items, size

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        key, path = self.items[index]
        try:
            return {"name": key, "image": read_image(path, self.size)}
        except ImageError as error:
            return {"name": key, "failed": str(error)}


class Trajectories(Dataset):
    """Pairs to make: (name, content's key, style's key) items as the tensors of their stored trajectories."""

    def __init__(self, items: list[tuple[str, str, str]], store: TrajectoryStore) -> None:
        self.items, self.store = items, store

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        name, content, style = self.items[index]
        try:
            return {"name": name, "style_x_T": self.store.get(style, "x_T")["x_T"],
                    **{f"content_{k}": v for k, v in self.store.get(content, "x_T", "h").items()}}
        except ImageError as error:
            return {"name": name, "failed": str(error)}


def _collate(items: list[dict[str, Any]]) -> dict[str, Any]:
    """Good items stacked, ``name`` a list; ``failed`` maps the names of the others to reasons."""
    good = [item for item in items if "failed" not in item]
    failed = {item["name"]: item["failed"] for item in items if "failed" in item}
    return {"name": [], **(default_collate(good) if good else {}), "failed": failed}


def _names(paths: list[Path]) -> list[str]:
    """The paths' stems; where two are equal the later ones are numbered."""
    names: list[str] = []
    for path in paths:
        name, n = path.stem, 1
        while name in names:
            n += 1
            name = f"{path.stem}~{n}"
        names.append(name)
    return names
