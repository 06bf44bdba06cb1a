"""What a sweep came to: a mean for each measure and setting, the front, and the recommended setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from rich.table import Table

import hsx
from hsx.errors import HsxError
from hsx.sweeping.front import DEFINITION, Place, best, front, scaled
from hsx.sweeping.over import Setting

Rows = Mapping[str, Mapping[str, np.ndarray]]  # by setting and measure a number for each pair


class Measure(NamedTuple):
    """A measure as a choice needs it: what it is about, which way is good, and whether it is known to rank rightly."""

    about: str
    higher_is_better: bool
    fit: bool | None


@dataclass(frozen=True)
class Outcome:
    """What a sweep came to.

    Attributes:
        measures: by name.
        rows: of the settings that have results.
        axes: the names of the measures of content and of style by which settings are compared.
        ends: by axis what the content itself and the style picture itself get, in its own units.
        places: where each setting stands.
        front: the settings on the Pareto front, by rising style.
        recommended: one of them.
        weight: of the content in that choice.
    """

    measures: Mapping[str, Measure]
    rows: Rows
    axes: tuple[str, str]
    ends: Mapping[str, tuple[float, float]]
    places: Mapping[str, Place]
    front: Sequence[str]
    recommended: str
    weight: float

    @classmethod
    def of(cls, measures: Mapping[str, Measure], rows: Rows, originals: Rows, weight: float) -> Outcome:
        """From all numbers.

        Args:
            originals: what contents and style pictures get in the results' place, as ``content`` and ``style``.
            weight: of the content.

        Raises:
            HsxError: where no setting has results, or there is no measure of content, or none of style.
        """
        if not rows:
            raise HsxError("sweep: expected results of at least one setting, got none; see what failed above")
        content, style = axes = _axis("content", measures), _axis("style", measures)
        ends = {
            name: (float(originals["content"][name].mean()), float(originals["style"][name].mean())) for name in axes
        }
        places = {
            name: Place(
                scaled(float(own[content].mean()), *reversed(ends[content])),
                scaled(float(own[style].mean()), *ends[style]),
            )
            for name, own in rows.items()
        }
        along = front(places)
        chosen = best({name: places[name] for name in places if name in along}, weight)
        return cls(measures, rows, axes, ends, places, along, chosen, weight)

    @property
    def why(self) -> str:
        """How the recommended one was chosen, in a sentence."""
        content, style = self.axes
        place, said = self.places[self.recommended], f"by {content} and {style}"
        if self.weight == 1:
            how = f"most of the content {said}"
        elif self.weight == 0:
            how = f"most of the style {said}"
        elif self.weight == 0.5:
            how = f"the knee of the front {said}"
        else:
            how = f"the best {said} with a weight of {self.weight:g} for the content"
        return (
            f"{how}: content {place.content:.2f}, style {place.style:.2f} (0: the other picture itself, 1: it itself)"
        )

    def as_data(self, settings: Sequence[Setting], folders: Mapping[str, str]) -> dict[str, Any]:
        """The content of sweep.json.

        Args:
            folders: of the settings, from that of the sweep.
        """
        options = list(dict.fromkeys(option for one in settings for option in one.options))
        over = {option: _distinct(one.values[option] for one in settings) for option in options}
        content, style = self.axes
        return {
            "hsx": hsx.__version__,
            "over": over,
            "settings": [self._setting(one, folders[one.name]) for one in settings],
            "axes": {"content": content, "style": style},
            "ends": {name: {"content": own, "style": other} for name, (own, other) in self.ends.items()},
            "recommended": {"setting": self.recommended, "why": self.why, "definition": DEFINITION, "w": self.weight},
        }

    def _setting(self, one: Setting, folder: str) -> dict[str, Any]:
        found: dict[str, Any] = {"name": one.name, "folder": folder, "options": one.values, "measures": {}}
        if one.name in self.rows:
            found["measures"] = {name: _interval(values) for name, values in self.rows[one.name].items()}
            found["place"] = self.places[one.name]._asdict()
        return {**found, "front": one.name in self.front, "recommended": one.name == self.recommended}

    def table(self) -> Table:
        """Means by setting, best first as the choice has them; * on the front."""
        table = Table(title=f"{len(self.rows)} settings; * on the front of {' and '.join(self.axes)}")
        table.add_column("setting", overflow="fold")
        for name, measure in self.measures.items():
            unfit = "" if measure.fit or measure.fit is None else "\nunfit"
            table.add_column(f"{name}\n{'higher' if measure.higher_is_better else 'lower'} is better{unfit}")
        for column in table.columns[1:]:
            column.justify = "right"
        order = sorted(self.rows, key=lambda name: -self._total(name))
        for name in order:
            mark = "recommended" if name == self.recommended else "*" if name in self.front else ""
            means = [f"{self.rows[name][measure].mean():.3f}" for measure in self.measures]
            table.add_row(f"{name} {mark}".rstrip(), *means)
        return table

    def _total(self, name: str) -> float:
        place = self.places[name]
        return self.weight * place.content + (1 - self.weight) * place.style


def _axis(about: str, measures: Mapping[str, Measure]) -> str:
    """The first fit measure of content or style, or else the first of unknown fitness, or else the first."""
    of_it = [name for name, measure in measures.items() if measure.about == about]
    if not of_it:
        raise HsxError(f"--metrics: expected a measure of {about} among them, got none; add one of hsx plugins")
    return min(of_it, key=lambda name: (True, None, False).index(measures[name].fit))


def _interval(values: np.ndarray) -> dict[str, float | None]:
    return {"mean": float(values.mean()), "low": None, "high": None}


def _distinct(values: Any) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found
