"""What a run is going to do: which pairs, from which pictures, what of it is there, and under which fingerprints.

A Plan never changes; what a stage found out makes a new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from hsx.errors import HsxError
from hsx.pairs.pairing import PairList
from hsx.runner.items import Taken
from hsx.runner.model import TransferModel
from hsx.runner.output import LIST, Found, check_ours, check_writable, look, refuse
from hsx.runner.writers import Outcome
from hsx.store.records import Recorder
from hsx.store.trajectories import Store

VANISHED = "its trajectory vanished from the store again and again; raise store.max_gb or check the disk"


@dataclass(frozen=True)
class Plan:
    """The same in every process.

    Attributes:
        found: what is in the output folder.
        recorder: the pairs, the settings that their records share, and the digests of all pictures read so far.
        size: pixels a side.
        taken: what the donor takes of a content.
        overwrite: whether pictures that are not of this run give way.
        done: (P,) of bool, the pairs that need not be made: their picture is there, or they have failed.
        lost: reasons by number, for pictures (contents first, then styles) that cannot be used.
        failures: reasons by number, for pairs.
    """

    found: Found
    recorder: Recorder
    size: int
    taken: Taken
    overwrite: bool
    done: np.ndarray
    lost: Mapping[int, str] = field(default_factory=dict)
    failures: Mapping[int, str] = field(default_factory=dict)

    @property
    def pairs(self) -> PairList:
        """All pairs."""
        return self.recorder.pairs

    @cached_property
    def contents(self) -> np.ndarray:
        """(P,), the number of each pair's content; -1 where a table's row is bad."""
        return self.pairs.indices()[0]

    @cached_property
    def styles(self) -> np.ndarray:
        """(P,), the number of each pair's style among all pictures; meaningless where a table's row is bad."""
        return len(self.pairs.contents) + self.pairs.indices()[1]

    def pictures_to_check(self) -> np.ndarray:
        """The numbers of the pictures that the results in the folder were made from."""
        return np.union1d(self.contents[self.done], self.styles[self.done])

    def pictures_needed(self) -> np.ndarray:
        """The numbers of the pictures that the missing pairs need."""
        missing = ~self.done & (self.contents >= 0)
        return np.union1d(self.contents[missing], self.styles[missing])

    def pictures_to_invert(self) -> np.ndarray:
        """Of these, those whose trajectories they need: contents only where the donor inverts."""
        needed = self.pictures_needed()
        return needed if self.taken.inverts else needed[needed >= len(self.pairs.contents)]

    def pictures_to_read(self) -> np.ndarray:
        """Those that are needed, and all that nobody has looked at yet, so that a bad one is named."""
        everything = np.arange(len(self.pairs.contents) + len(self.pairs.styles))
        return np.union1d(self.pictures_needed(), np.setdiff1d(everything, [*self.recorder.pixels, *self.lost]))

    def pairs_to_make(self) -> np.ndarray:
        """The numbers of the pairs that are missing and can be made, those of one content after each other."""
        lost = np.array(list(self.lost), int)
        numbers = np.flatnonzero(
            ~self.done & (self.contents >= 0) & ~np.isin(self.contents, lost) & ~np.isin(self.styles, lost)
        )
        return numbers[np.argsort(self.contents[numbers], kind="stable")]

    def with_pictures(self, outcome: Outcome) -> Plan:
        """After pictures were read, and perhaps inverted."""
        recorder = replace(self.recorder, pixels={**self.recorder.pixels, **outcome.pixels})
        return replace(self, recorder=recorder, lost={**self.lost, **outcome.failures})

    def with_pairs(self, numbers: np.ndarray, outcome: Outcome) -> Plan:
        """After these pairs were made; those whose trajectory had vanished are missing still."""
        done = self.done.copy()
        done[[*numbers, *outcome.failures]] = True
        done[outcome.vanished] = False
        return replace(self, done=done, failures={**self.failures, **outcome.failures})

    def given_up(self) -> Plan:
        """With the pairs that are missing still as failures."""
        missing = dict.fromkeys(self.pairs_to_make().tolist(), VANISHED)
        return replace(self, failures={**self.failures, **missing})

    def checked(self) -> Plan:
        """Without the results that were made from other pictures than today's, whose digests are known now."""
        done, others = self.done.copy(), dict(self.found.others)
        for i, fingerprint in self.found.results.items():
            row = self.pairs[i]
            readable = True
            try:
                done[i] = fingerprint == self.recorder.own(row)["made"]
            except (KeyError, HsxError):  # a picture or a mask that cannot be read now: the pair fails, for that reason
                done[i] = readable = False
            if not done[i] and (readable or self.overwrite):
                others[self.found.folder / f"{row.name}.png"] = LIST
        return replace(self, done=done, found=replace(self.found, others=others))


def make_plan(
    model: TransferModel, pairs: PairList, store: Store, folder: Path, precision: str, fit: str, overwrite: bool
) -> Plan:
    """Look at the output folder and the store, before any network runs.

    Raises:
        HsxError: where one of them cannot be written, or the folder holds what is not of this run and ``overwrite`` is
            not given.
    """
    config = model.transfer.config
    shared = {
        "seed_everything": config.seed,
        "model": model.config,
        "data": {"fit": fit},
        "store": {"dtype": store.dtype},
        "trainer": {"precision": precision},
    }
    fingerprints = model.fingerprints(precision, store.dtype)
    recorder = Recorder(pairs, {}, shared, model.network, fingerprints, config.seed)
    check_writable(store.path, "store.path")
    if not overwrite:
        check_ours(folder)
    found = look(folder, pairs, fingerprints.run)
    if not overwrite:
        refuse(found)
    done = np.zeros(len(pairs), bool)
    done[list(found.results)] = True
    return Plan(found, recorder, model.backbone.sample_size, Taken.by(model.transfer), overwrite, done)
