"""What a sweep came to: where each setting stands, the front, and the recommended setting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

import hsx
from hsx.errors import HsxError
from hsx.metrics.fitness import EMPHASIS
from hsx.sweeping.front import DEFINITION, KNEE, Place, Scale, best, front
from hsx.sweeping.over import Setting

FINER = "EdgeSSIM"  # which tells contents apart where Layout says that all of them are clear
Found = Mapping[str, Mapping[str, Any]]  # by measure what metrics.json says of it


@dataclass(frozen=True)
class Outcome:
    """What a sweep came to.

    Attributes:
        found: by setting, of those that have results, what was measured.
        axes: the names of the measures of content and of style by which settings are compared.
        scales: their ranges.
        places: where each setting stands.
        front: the settings on the Pareto front, by rising style.
        recommended: one of them.
        weight: of the content in that choice.
    """

    found: Mapping[str, Found]
    axes: tuple[str, str]
    scales: tuple[Scale, Scale]
    places: Mapping[str, Place]
    front: Sequence[str]
    recommended: str
    weight: float

    @classmethod
    def of(cls, found: Mapping[str, Found], contents: Found, styles: Found, weight: float = KNEE) -> Outcome:
        """From all numbers.

        Args:
            contents, styles: what the pictures themselves get in the results' place.
            weight: of the content.

        Raises:
            HsxError: where no setting has results, or there is no measure of content, or none of style.
        """
        if not found:
            raise HsxError("sweep: expected results of at least one setting, got none; see what failed above")
        everywhere = [name for name in contents if all(name in own for own in (styles, *found.values()))]
        common = {name: contents[name] for name in everywhere}
        axes = content, style = _axis("content", common), _axis("style", common)
        by_content = Scale.of("content", contents[content], styles[content])
        by_style = Scale.of("style", contents[style], styles[style])
        places = {
            name: Place(by_content.place(own[content]["mean"]), by_style.place(own[style]["mean"]))
            for name, own in found.items()
        }
        along = front(places)
        finer = {name: own[FINER]["mean"] for name, own in found.items()} if FINER in common else None
        chosen = best(places, weight, finer)
        return cls(found, axes, (by_content, by_style), places, along, chosen, weight)

    @property
    def why(self) -> str:
        """How the recommended one was chosen, in a sentence."""
        place, by = self.places[self.recommended], " and ".join(self.axes)
        names = {1.0: "most of the content", 0.0: "most of the style", KNEE: "the knee of the front"}
        how = names.get(self.weight, f"the best with a weight of {self.weight:g} for the content")
        return f"{how} by {by}: content {place.content:.2f}, style {place.style:.2f}"

    def as_data(self, settings: Sequence[Setting], folders: Mapping[str, str]) -> dict[str, Any]:
        """The content of sweep.json.

        Args:
            folders: of the settings, from that of the sweep.
        """
        options = dict.fromkeys(option for one in settings for option in one.options)
        content, style = self.axes
        return {
            "hsx": hsx.__version__,
            "over": {option: _distinct(one.values[option] for one in settings) for option in options},
            "settings": [self._setting(one, folders[one.name]) for one in settings],
            "axes": {"content": content, "style": style},
            "scales": {name: scale._asdict() for name, scale in zip(self.axes, self.scales, strict=True)},
            "prefer": self.weight,
            "said": f"Recommended: {self.recommended}, {self.why}. Chosen: {DEFINITION}.",
        }

    def _setting(self, one: Setting, folder: str) -> dict[str, Any]:
        measures = {
            name: {end: own[end] for end in ("mean", "low", "high")}
            for name, own in self.found.get(one.name, {}).items()
        }
        return {
            "name": one.name,
            "folder": folder,
            "options": one.values,
            "measures": measures,
            "place": self.places[one.name]._asdict() if one.name in self.places else None,
            "front": one.name in self.front,
            "recommended": one.name == self.recommended,
        }

    def table(self) -> Table:
        """Means by setting, best first as the choice has them; * on the front."""
        table = Table(box=None, pad_edge=False)
        table.add_column("setting\n(* on the front)", overflow="fold")
        scaled = any((round(scale.none, 3), round(scale.best, 3)) != (0, 1) for scale in self.scales)
        for name in ("content", "style") if scaled else ():
            table.add_column(name, justify="right")
        measures = list(dict.fromkeys(name for own in self.found.values() for name in own))
        for name in measures:
            about = next(own[name] for own in self.found.values() if name in own)
            unfit = "\n(unfit)" * (about["fit"] is False)
            table.add_column(f"{name} {'↑' if about['higher_is_better'] else '↓'}{unfit}", justify="right")
        for name in sorted(self.found, key=lambda name: -self.places[name].total(self.weight)):
            mark = " recommended" if name == self.recommended else " *" if name in self.front else ""
            means = [f"{own['mean']:.3f}" if (own := self.found[name].get(one)) else "" for one in measures]
            place = [f"{value:.3f}" for value in self.places[name]] if scaled else []
            table.add_row(f"{name}{mark}", *place, *means)
        return table


def _axis(about: str, measures: Found) -> str:
    """Of the measures of content or style the one that is shown first, or else a fit one, or one of unknown fitness."""
    of_it = [name for name, one in measures.items() if one["about"] == about]
    if not of_it:
        raise HsxError(f"--metrics: expected a measure of {about} among them, got none; add one of hsx plugins")
    order = (True, None, False)
    return min(of_it, key=lambda name: (name != EMPHASIS[about], order.index(measures[name]["fit"])))


def _distinct(values: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found
