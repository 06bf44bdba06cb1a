"""Which settings a sweep tries, which are on the front, which one is chosen, and how that is drawn."""

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from hsx.backbones.counted import Counted
from hsx.checkpoints.load import load_backbone
from hsx.errors import HsxError
from hsx.io.png import write_png
from hsx.method.transfer import Transfer
from hsx.probing.costs import Costs
from hsx.probing.screening import Combination
from hsx.probing.spans import Span
from hsx.strategies import AdaIN, Interval, Inverted, Latent, MultistepV, Renoised
from hsx.sweeping.front import Place, Scale, best, front, weight
from hsx.sweeping.outcome import Outcome
from hsx.sweeping.over import axes, settings
from hsx.sweeping.plot import HEIGHT, WIDTH, ticks, tradeoff
from hsx.sweeping.quick import BELOW, LIMIT, around
from hsx.sweeping.sheet import Column, Pair, contact_sheet
from hsx.sweeping.written import RECOMMENDED, check_ours, write

from ..conftest import picture


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("model.t_edit=200,400,600", ["200", "400", "600"]),
        ("model.schedule.init_args.gamma=0:1:6", ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        ("model.t_edit=0,200:600:3,400", ["0", "200", "400", "600"]),  # mixed; a value that comes again counts once
        ("model.schedule.init_args.gamma=1:0:3", ["1", "0.5", "0"]),
        ("model.schedule.init_args.gamma=-1.5e-1:.15:2", ["-0.15", "0.15"]),
        ("model.normalizer=Frobenius, AdaIN,Identity", ["Frobenius", "AdaIN", "Identity"]),
        ('model.sites=[h],[h,"deepest:1"],deepest:3', ["[h]", '[h,"deepest:1"]', "deepest:3"]),
        ("--model.schedule={class_path: Interval, init_args: {t_hi: 9, t_lo: 0}},Constant", None),
        ("model.t_start=auto,500", ["auto", "500"]),
    ],
)
def test_values(text, values):
    (axis,) = axes([text])
    assert len(axis.values) == 2 if values is None else [*axis.values] == values


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["model.t_edit"], "expected an option, = and its values, got 'model.t_edit'"),
        (["=3"], "expected an option"),
        (["model.t_edit=1,,2"], "expected values of model.t_edit with commas between, got '1,,2'"),
        (["model.t_edit="], "expected values of model.t_edit"),
        (["model.t_edit=0:1:1"], "expected a range of 2 to 1000 values"),
        (["model.t_edit=0:1:100000"], "expected a range of 2 to 1000 values"),
        (["data.contents=a,b"], "expected an option of the method, model. and its name, got data.contents"),
        (["seed_everything=1,2"], "got seed_everything; pictures and network are the same"),
        (["model.backbone=a,b"], "got model.backbone"),
        (["model.backbone.source=a,b"], "got model.backbone.source"),
        (["model={}"], "got model;"),
        (["model.t_edit=1", "model.t_edit=2"], "expected each option once, got model.t_edit twice"),
    ],
)
def test_what_is_refused(texts, said):
    with pytest.raises(HsxError, match="^--over: ") as error:
        axes(texts)
    assert said in str(error.value)


def test_all_combinations_have_names_and_words():
    found = settings(axes(["model.normalizer.init_args.a=1,2", "model.normalizer=AdaIN,x.y:Z", "model.t_edit=0"]))
    assert [one.name for one in found] == [
        "a=1,normalizer=AdaIN,t_edit=0",
        "a=1,normalizer=x.y_Z,t_edit=0",
        "a=2,normalizer=AdaIN,t_edit=0",
        "a=2,normalizer=x.y_Z,t_edit=0",
    ]
    assert found[0].words[:2] == ["--model.normalizer=AdaIN", "--model.t_edit=0"]  # a class before its options
    assert found[0].values == {"model.normalizer.init_args.a": 1, "model.normalizer": "AdaIN", "model.t_edit": 0}


def test_names_tell_options_and_values_apart():
    alike = settings(axes(["model.blend.init_args.omega=1", "model.calibrator.init_args.omega=0,1e-3"]))
    assert [one.name for one in alike] == ["blend.omega=1,calibrator.omega=0", "blend.omega=1,calibrator.omega=1e-3"]
    assert alike[1].values["model.calibrator.init_args.omega"] == 0.001
    same = settings(axes(["model.sites=a/b,a:b,A_b"]))
    assert [one.name for one in same] == ["sites=a_b", "sites=a_b~2", "sites=A_b~3"]  # some systems ignore case
    (long,) = settings(axes([f"model.spacing=[{','.join(map(str, range(200)))}]"]))
    assert len(long.name.encode()) <= 100


def test_draws_are_different_ones_and_depend_on_the_seed():
    over = axes(["model.t_edit=0:999:1000", "model.t_boost=0:999:1000"])
    draws = [one.name for one in settings(over, 20, seed=3)]
    assert len({*draws}) == 20 and draws == [one.name for one in settings(over, 20, seed=3)]
    assert draws != [one.name for one in settings(over, 20, seed=4)]
    for wrong, said in ((None, "expected at most 1000 settings, got 1000000"), (0, "expected 1 to 1000 of")):
        with pytest.raises(HsxError, match=said):
            settings(over, wrong)
    with pytest.raises(HsxError, match="expected 1 to 2 of the 2 settings, got 3"):
        settings(axes(["model.t_edit=0,1"]), 3)
    with pytest.raises(HsxError, match="expected an option with values"):
        settings([])


PLACES = {  # of which c is beaten by b, and e by d
    "a": Place(0.1, 1.0),
    "b": Place(0.6, 0.9),
    "c": Place(0.6, 0.8),
    "d": Place(0.9, 0.5),
    "e": Place(0.2, 0.45),
    "f": Place(1.0, 0.0),
}


def test_the_front_and_its_knee_on_known_points():
    assert front(PLACES) == ["f", "d", "b", "a"]
    rectangles = {name: place.content * place.style for name, place in PLACES.items()}
    assert best(PLACES) == "b" == max(rectangles, key=rectangles.__getitem__)
    assert [best(PLACES, w) for w in (1, 0.7, 0.5, 0)] == ["f", "d", "b", "a"]
    equals = {"x": Place(0.5, 0.5), "y": Place(0.508, 0.505), "z": Place(0.48, 0.5)}
    assert front(equals) == ["x", "y"] and best(equals) == "y"  # so little beats nobody
    assert best(equals, finer={"x": 0.4, "y": 0.3, "z": 0.9}) == "x"
    assert Place(-0.2, 0.9).total() == 0


def test_the_range_of_a_measure_is_what_the_pictures_themselves_get_unless_no_copy_can_win_it():
    up, down = {"higher_is_better": True}, {"higher_is_better": False}
    scale = Scale.of("content", {"mean": 5.0, **up}, {"mean": 1.0, **up})
    assert scale.place(3.0) == 0.5 and scale.words == "0: the style picture itself, 1: the content itself"
    scale = Scale.of("style", {"mean": 4.0, **down}, {"mean": 0.0, **down})
    assert scale.place(1.0) == 0.75 and scale.words == "0: the content itself, 1: the style picture itself"
    for own in (0.0, 0.02):
        assert Scale.of("style", {"mean": 0.02, **up}, {"mean": own, **up}) == (0.0, 1.0, "0 to 1")


@pytest.mark.parametrize(("prefer", "found"), [("content", 1), ("style", 0), ("knee", 0.5), ("0.7", 0.7), (0.25, 0.25)])
def test_what_is_preferred(prefer, found):
    assert weight(prefer) == found


@pytest.mark.parametrize("prefer", ["colour", "1.1", "-0.1", "nan"])
def test_what_is_no_preference(prefer):
    with pytest.raises(HsxError, match="--prefer: expected content, style, knee or the content's weight"):
        weight(prefer)


def measures(content: float, style: float, other: float = 0.0) -> dict[str, dict]:
    """Of a content measure, and of a style measure of which less is better."""
    usual = {"low": 0.0, "high": 1.0, "n": 2}
    return {
        "Copy": {"mean": other, "about": "content", "higher_is_better": True, "fit": False, **usual},
        "Kept": {"mean": content, "about": "content", "higher_is_better": True, "fit": True, **usual},
        "Taken": {"mean": style, "about": "style", "higher_is_better": False, "fit": None, **usual},
    }


@pytest.fixture
def outcome():
    found = {
        "gamma=0.2,t_edit=0": measures(0.3, 0.12),
        "gamma=0.2,t_edit=400": measures(0.25, 0.1),
        "gamma=0.9,t_edit=0": measures(0.8, 0.2, other=1.0),
        "gamma=0.9,t_edit=400": measures(0.7, 0.3),
    }
    return Outcome.of(found, contents=measures(1.0, 0.6), styles=measures(0.2, 0.0))


def test_settings_stand_between_their_own_pictures(outcome):
    assert outcome.axes == ("Kept", "Taken")  # not Copy, which is unfit
    place = outcome.places["gamma=0.9,t_edit=0"]
    assert place.content == pytest.approx(0.6 / 0.8) and place.style == pytest.approx(0.4 / 0.6)
    assert outcome.front == ["gamma=0.9,t_edit=0", "gamma=0.2,t_edit=0", "gamma=0.2,t_edit=400"]
    assert outcome.recommended == "gamma=0.9,t_edit=0"
    assert "the knee of the front by Kept and Taken: content 0.75, style 0.67" in outcome.why


def test_without_results_or_measures_it_says_so():
    with pytest.raises(HsxError, match="expected results of at least one setting"):
        Outcome.of({}, measures(1, 0), measures(0, 1))
    only = {"Kept": measures(1, 0)["Kept"]}
    with pytest.raises(HsxError, match="--metrics: expected a measure of style"):
        Outcome.of({"a": only}, only, only)


def test_the_files(outcome, tmp_path):
    over = settings(axes(["model.schedule.init_args.gamma=0.2,0.9", "model.t_edit=0,400"]))
    pairs = [Pair(f"p{i}", picture(tmp_path / f"c{i}.png", i), picture(tmp_path / "s.png", 9)) for i in range(2)]
    for one in over:
        write_png(Image.new("RGB", (16, 16), "red"), tmp_path / "settings" / one.name / "p0.png")
    config = "output_dir: elsewhere\nmodel:\n  t_edit: 0\noverwrite: true\n"
    paths = write(outcome, over, tmp_path, "settings", pairs, (16, "crop"), config, {"contents": "c"})
    assert [path.name for path in paths] == ["sweep.json", "sweep.png", "tradeoff.png", RECOMMENDED]
    data = yaml.safe_load(paths[0].read_text())
    assert data["over"] == {"model.schedule.init_args.gamma": [0.2, 0.9], "model.t_edit": [0, 400]}
    assert [one["recommended"] for one in data["settings"]] == [False, False, True, False]
    assert data["settings"][2]["folder"] == "settings/gamma=0.9,t_edit=0"
    assert data["settings"][2]["measures"]["Kept"] == {"mean": 0.8, "low": 0.0, "high": 1.0}
    assert data["axes"] == {"content": "Kept", "style": "Taken"}
    found = yaml.safe_load((tmp_path / RECOMMENDED).read_text())
    assert found.pop("data") == {"contents": "c"}
    assert found == {"output_dir": str(tmp_path / "recommended"), "model": {"t_edit": 0}, "overwrite": False}
    check_ours(tmp_path)
    (tmp_path / RECOMMENDED).write_text("mine: 1\n")
    with pytest.raises(HsxError, match="expected a folder whose recommended.yaml hsx may write"):
        check_ours(tmp_path)


def test_the_sheet_of_one_pair_is_value_by_value(tmp_path):
    pair = Pair("p", picture(tmp_path / "c.png", 1), picture(tmp_path / "s.png", 2))
    columns = []
    for k, one in enumerate(settings(axes(["model.t_edit=0,1", "model.t_boost=0,1,2"]))):
        write_png(Image.new("RGB", (16, 16), (0, 0, 40 * k + 40)), tmp_path / one.name / "p.png")
        columns.append(Column(one.short, tmp_path / one.name))
    sheet = np.asarray(contact_sheet([pair], columns, 16, "crop"))
    blues = {int(b) for r, g, b in sheet.reshape(-1, 3) if r == g == 0 and b}
    assert blues >= {40, 80, 120, 160, 200, 240} and sheet.shape[1] == 4 + 5 * 132  # content, style and three columns
    wide = contact_sheet([pair, pair], columns, 16, "crop")
    assert wide.width == 4 + 8 * 132


def test_the_plot_shows_all_settings(outcome):
    plot = tradeoff(outcome.places, outcome.front, outcome.recommended, ("content", "style"), "title")
    assert plot.size == (WIDTH, HEIGHT)
    colours = {tuple(c) for c in np.asarray(plot).reshape(-1, 3)}
    assert {(0x1F, 0x5F, 0xBF), (0x8A, 0x8F, 0x98), (0xD9, 0x48, 0x0F)} <= colours  # the front, others, the chosen
    one = tradeoff({"a": Place(0.5, 0.5)}, ["a"], "a", ("content", "style"), "title")  # no range at all
    assert one.size == (WIDTH, HEIGHT)
    assert ticks(0.0, 1.0) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0]) and 4 <= len(ticks(-0.013, 0.31)) <= 8


@pytest.mark.parametrize("donor", [Renoised, Inverted])
@pytest.mark.parametrize("t_hi", [600, 50, 3])
def test_quick_settings_take_at_most_forty_evaluations(tiny_model, donor, t_hi):
    backbone = Counted(load_backbone(str(tiny_model)))
    best = Combination(("h", "mid"), donor, Span(t_hi, 0, t_hi // 2, "any"))
    parts = Costs(backbone.encode_cost(), 1 - backbone.encode_cost(), 0.01)
    tried = around(best, parts, 1000)
    found = settings(tried.over)
    assert len(found) == 18 and "normalizer Identity | AdaIN | Frobenius" in str(tried)
    steps = next(int(word.rpartition("=")[2]) for word in tried.words if "generation_steps" in word)
    lowest = t_hi // BELOW
    transfer = Transfer(
        backbone,
        Interval(1.0, t_hi, lowest),
        normalizer=AdaIN(),
        calibrator=Latent(0.3),
        solver=MultistepV(),
        donor=donor(),
        t_start=t_hi,
        t_edit=0,
        t_boost=0,
        **dict.fromkeys(("inversion_steps", "generation_steps", "injection_steps"), steps),
    )
    one = torch.rand(1, 3, 16, 16) * 2 - 1
    before = backbone.evaluations
    transfer(one, one.flip(3))
    spent = backbone.evaluations - before
    assert spent <= LIMIT and (spent > LIMIT - 6 or steps == t_hi + 1)
    assert f"--model.donor={donor.__name__}" in tried.words and '--model.sites=["h", "mid"]' in tried.words
