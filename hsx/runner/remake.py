"""Pictures made again from their records alone, with as many at once, and as many threads, as they were made with."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import diffusers
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hsx.assets import resolve
from hsx.errors import HsxError, first_line
from hsx.io.images import pixels_digest, read_image, read_mask
from hsx.plugins import registry as plugins
from hsx.runner.batches import Batch, Item, PictureBatch, collate
from hsx.runner.items import Taken, pair_item
from hsx.runner.model import TransferModel
from hsx.runner.stages import Inject, Invert, Stage
from hsx.runner.trainer import make_trainer
from hsx.store.trajectories import Store
from hsx.strategies import Strategy
from hsx.strategies.base import KINDS

T = TypeVar("T")


class Way(NamedTuple):
    """What decides the last bits: how many pictures at once, how many threads, and how the network runs."""

    rows: int
    threads: int | None
    channels_last: bool
    compiled: bool


@dataclass(frozen=True)
class Wanted:
    """A picture to be made again.

    Attributes:
        picture: its path.
        record: what it says of itself, all of it.
        moved: paths to take instead of the record's, by content, style or mask.
    """

    picture: Path
    record: dict[str, Any]
    moved: dict[str, str]

    @property
    def settings(self) -> str:
        """What it shares with all pictures of the same settings."""
        names = "model", "seed_everything", "data", "store", "trainer", "fingerprint", "settings_digest"
        return json.dumps([self.record[name] for name in names], sort_keys=True)

    @property
    def on_cpu(self) -> bool:
        """Whether it was made on a CPU."""
        return bool(self.record["computed"].get("device", "cpu") == "cpu")

    def how(self, of: str | None = None) -> Way:
        """How it, or its content's or style's inversion, was computed."""
        own = self.record["computed"]
        said = (own.get(of) or own) if of else own
        rows, threads = int(said.get("rows", own["rows"])), said.get("threads", own.get("threads"))
        return Way(rows, threads, said.get("channels_last") is True, said.get("compiled") is True)

    def path(self, of: str) -> Path | None:
        """Where its content, style or mask is; what moved into a folder has its name there."""
        named, moved = self.record.get(of) or "", self.moved.get(of)
        place = resolve(moved or named)
        if moved and named and place.is_dir():
            return place / Path(named).name
        return place if moved or named else None


class _Last(Callback):
    """What a stage made last."""

    outcome: Any = None

    def on_predict_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, *_: int) -> None:
        """Keep it."""
        self.outcome = outputs


class _Settings:
    """The pictures of one setting, and the network that makes them."""

    def __init__(self, wanted: list[Wanted], backbone: str | None) -> None:
        self.wanted, self.record = wanted, wanted[0].record
        self.model = model_of(self.record, backbone)
        self.size, self.fit = self.model.backbone.sample_size, self.record["data"]["fit"]
        precision = self.record["trainer"]["precision"]
        self.fingerprints = self.model.fingerprints(precision, self.record["store"]["dtype"])
        self.taken, self.last = Taken.by(self.model.transfer), _Last()
        self.trainer = make_trainer("cpu" if wanted[0].on_cpu else "auto", 1, precision=precision, callbacks=self.last)

    def read(self) -> Iterator[tuple[Wanted, HsxError]]:
        """Read all contents and styles; yields the pictures that cannot be made from them, with the reason."""
        self.images: dict[str, Tensor] = {}  # by the digest of their pixels
        read: dict[Path, Tensor] = {}
        for one in list(self.wanted):
            try:
                self._read(one, read)
            except HsxError as error:
                self.wanted.remove(one)
                yield one, error

    def _read(self, one: Wanted, read: dict[Path, Tensor]) -> None:
        """The content and the style of one.  Raises HsxError where something is not as it was."""
        for of, pixels in zip(("content", "style"), one.record["pixels"], strict=True):
            path = one.path(of)
            assert path is not None
            try:
                image = read[path] = read[path] if path in read else read_image(path, self.size, self.fit)
            except HsxError as error:
                raise HsxError(f"{error}; if its {of} has moved, name it with --{of}") from None
            if pixels_digest(image) != pixels:
                raise HsxError(
                    f"expected its {of}, got {path}, whose pixels are others than those recorded; name the "
                    f"right one with --{of}"
                )
            self.images[pixels] = image
        mask = one.path("mask")
        record = one.record
        if self.fingerprints.picture(record["pixels"], mask, record["gamma"], record["seed"]) != record["made"]:
            raise HsxError(
                f"expected its mask, got {mask}, another file; name the right one with --mask"
                if mask
                else "expected a record as hsx wrote it, got one changed since; take the picture as it was made"
            )

    def invert(self, store: Store) -> None:
        """Each distinct picture once for each way in which it was inverted."""
        ways: dict[tuple[str, Way], dict[str, None]] = defaultdict(dict)  # the pixels of each, once
        for one in self.wanted:
            for of, pixels in zip(("content", "style"), one.record["pixels"], strict=True):
                if of == "style" or self.taken.inverts:
                    ways[of, one.how(of)][pixels] = None
        for (of, way), pictures in ways.items():
            sites = [*self.taken.sites] if of == "content" else []
            for part in _parts(list(pictures), way.rows):
                images = torch.stack(_filled([self.images[pixels] for pixels in part], way.rows))
                batch = PictureBatch(list(range(way.rows)), images, _filled(part, way.rows))
                kind = partial(Invert, needed=partial(_all, sites))
                made = self._predict(kind, batch, way).trajectory
                for row, pixels in enumerate(part):
                    features = {site: made.features[site][row] for site in sites}
                    store.put(_key(store, pixels, of, way), made.x_T[row], features, made.timesteps)

    def inject(self, store: Store) -> Iterator[tuple[Wanted, Tensor]]:
        """Each picture, (3, R, R) in [-1, 1]."""
        for way, wanted in _grouped(self.wanted, Wanted.how).items():
            for part in _parts(wanted, way.rows):
                batch = collate(_filled([self._item(one, store) for one in part], way.rows))
                images = self._predict(Inject, batch, way).images
                yield from zip(part, images, strict=False)

    def _item(self, one: Wanted, store: Store) -> Item:
        path, pixels = one.path("mask"), one.record["pixels"]
        mask = None if path is None else read_mask(path, self.size, self.fit)
        keys = (_key(store, own, of, one.how(of)) for of, own in zip(("content", "style"), pixels, strict=True))
        of_content, of_style = keys
        content = store.get(of_content, self.taken.sites) if self.taken.inverts else None
        style, image = store.get(of_style, ())["x_T"], self.images[pixels[0]] if self.taken.reads else None
        return pair_item(0, one.record, mask, style, content, self.taken, image, {})

    def _predict(self, kind: Callable[..., Stage], batch: Batch, way: Way) -> Any:
        """What a stage makes of one batch, in this way."""
        self.model.compile(way.compiled)
        stage = kind(self.model.transfer, channels_last=way.channels_last)
        with _threads(way.threads):
            self.trainer.predict(
                stage, DataLoader(cast(Dataset[Batch], [batch]), batch_size=None), return_predictions=False
            )
        return self.last.outcome


def remake(wanted: Sequence[Wanted], backbone: str | None = None) -> Iterator[tuple[Wanted, Tensor | HsxError]]:
    """Each picture made again, (3, R, R) in [-1, 1]: the same to the last bit on the same machine and torch.

    In place of one whose network, settings, pictures or mask are not what its record says there is an HsxError.

    Args:
        backbone: where the network is, in place of the record's source.
    """
    for group in _grouped(wanted, lambda one: (one.settings, one.on_cpu)).values():
        try:
            settings = _Settings(group, backbone)
        except HsxError as error:
            yield from ((one, error) for one in group)
            continue
        yield from settings.read()
        with tempfile.TemporaryDirectory() as folder:
            store = Store(folder, settings.record["store"]["dtype"])
            settings.invert(store)
            yield from settings.inject(store)


def model_of(record: dict[str, Any], backbone: str | None) -> TransferModel:
    """The network and the settings of a record.  Raises HsxError where they are others than those recorded."""
    model = dict(record["model"])
    given = model.pop("backbone", None)
    options = given if isinstance(given, dict) else {"source": given}
    options = {**options, **({"source": backbone} if backbone else {})}
    try:
        for kind in KINDS.keys() & model.keys():
            model[kind] = _strategy(model[kind])
        found = TransferModel(options, **model, seed=record["seed_everything"], fit=record["data"]["fit"])
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise HsxError(
            f"expected a record that this hsx understands, got one that it does not "
            f"({first_line(error)}); take the hsx that made it ({record.get('hsx')})"
        ) from None
    if found.network != record["fingerprint"]:
        version = record.get("diffusers")
        remedy = "" if version == diffusers.__version__ else f", or take diffusers {version}, which made it"
        raise HsxError(
            f"expected the network that made it (fingerprint {record['fingerprint']}), got {found.source} "
            f"({found.network}); name the right one with --backbone{remedy}"
        )
    fingerprints = found.fingerprints(record["trainer"]["precision"], record["store"]["dtype"])
    if fingerprints.run != record["settings_digest"]:
        raise HsxError(
            "expected the settings that made it, got others from its record, as where a strategy's code "
            "has changed since, or Python, or a file that it reads; take those that made it"
        )
    return found


def _strategy(config: dict[str, Any]) -> Any:
    """A registered strategy; nothing else is made, whatever a record says.  Raises HsxError for another class."""
    plugins.load()
    name = config["class_path"] if isinstance(config, dict) else config
    classes = {f"{kind.__module__}.{kind.__qualname__}": kind for kind in Strategy.listed.values()} | Strategy.listed
    if not isinstance(name, str) or name not in classes:
        raise HsxError(f"expected strategies that are registered, got {name}; install the package that has it")
    return classes[name](**_values(config.get("init_args") or {}) if isinstance(config, dict) else {})


def _values(value: Any) -> Any:
    """A strategy's options with the strategies among them made."""
    if isinstance(value, dict):
        return _strategy(value) if "class_path" in value else {name: _values(one) for name, one in value.items()}
    return [_values(one) for one in value] if isinstance(value, list) else value


def _all(sites: list[str], batch: PictureBatch) -> dict[int, list[str]]:
    return dict.fromkeys(range(len(batch)), sites)


def _key(store: Store, pixels: str, of: str, way: Way) -> str:
    return store.key(pixels, {"of": of, **way._asdict()})


def _grouped(items: Iterable[T], key: Callable[[T], Any]) -> dict[Any, list[T]]:
    groups: dict[Any, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def _parts(items: list[T], rows: int) -> Iterator[list[T]]:
    return (items[begin : begin + rows] for begin in range(0, len(items), rows))


def _filled(items: list[T], rows: int) -> list[T]:
    """So many of them, the last repeated."""
    return items + items[-1:] * (rows - len(items))


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    """Torch with so many threads, where a number is known."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
