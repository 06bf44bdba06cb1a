"""The page of a folder of results, as files; what a browser makes of it is in tests/integration/test_report.py."""

import json
import os
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from PIL import Image

from hsx.cli import main
from hsx.errors import HsxError
from hsx.report.compared import write_comparison
from hsx.report.folders import results_of
from hsx.report.page import write_page
from hsx.report.plots import histogram, tradeoff
from hsx.report.rendering import remove_pages
from hsx.report.settings import differing, flat

from ..conftest import picture
from ..folders_of_results import data_of, measured, run_folder

WILD = ["<img src=x onerror=alert(1)>", "a&b\"c'd", "${7*7}{{7*7}}", "new\nline", "\udcff\udcfe", "日本 #?%25"]


@pytest.fixture
def run(tmp_path):
    """A run of 3 contents and 2 styles."""
    contents = [picture(tmp_path / f"c{i}.png", i, (20, 16)) for i in range(3)]
    styles = [picture(tmp_path / f"s{i}.png", 10 + i) for i in range(2)]
    return run_folder(tmp_path / "out", [(f"{c.stem}__{s.stem}", c, s) for c in contents for s in styles])


def test_the_page_has_the_pairs_and_their_originals_as_they_were_read(run):
    assert write_page(run) == run / "report.html"
    data = data_of(run / "report.html")
    assert data["names"] == [f"c{i}__s{j}" for i in range(3) for j in range(2)]
    assert [data["originals"][k][0] for k in data["content"]] == ["c0", "c0", "c1", "c1", "c2", "c2"]
    assert [data["originals"][k][0] for k in data["style"]] == ["s0", "s1"] * 3
    with Image.open(run / "report" / "originals" / data["originals"][data["content"][2]][1]) as copy:
        expected = np.asarray(Image.open(run.parent / "c1.png").crop((2, 0, 18, 16)))
        assert copy.format == "WEBP" and np.array_equal(np.asarray(copy.convert("RGB")), expected)
    assert len(list((run / "report" / "originals").glob("*.webp"))) == 5
    assert f'<body data-folder="{run}">' in (run / "report.html").read_text()


def test_originals_that_are_gone_stay_and_those_that_changed_are_not_shown(run):
    write_page(run)
    before = {path.name for path in (run / "report").rglob("*.*")}
    (run.parent / "c0.png").unlink()
    picture(run.parent / "c1.png", 77)
    write_page(run)
    assert {path.name for path in (run / "report").rglob("*.*")} == before
    for copy in (run / "report" / "originals").glob("*.webp"):
        copy.unlink()
    write_page(run)
    files = dict(data_of(run / "report.html")["originals"])
    assert [bool(files[name]) for name in ("c0", "c1", "c2", "s0")] == [False, False, True, True]


def test_a_page_replaces_its_own_and_nothing_else(run):
    mine = run / "report" / "notes.js"
    write_page(run)
    mine.write_text("mine")
    first = {path: path.read_bytes() for path in run.rglob("*.*") if path.is_file()}
    write_page(run)
    assert {path: path.read_bytes() for path in run.rglob("*.*") if path.is_file()} == first
    lines = (run / "results.jsonl").read_text().splitlines()
    (run / "results.jsonl").write_text("\n".join(lines[:2]))
    write_page(run)
    left = [path.name for path in (run / "report").iterdir()]
    assert len(left) == 3 and len(list((run / "report" / "originals").glob("*.webp"))) == 3
    remove_pages(run)
    assert not (run / "report.html").exists() and list((run / "report").iterdir()) == [mine]


def test_a_page_of_another_hand_is_left_alone(run, capsys):
    (run / "report.html").write_text("<title>mine</title>")
    assert main(["report", str(run)]) == 2
    assert f"got {run / 'report.html'}, which it did not make; move it away" in capsys.readouterr().err
    mine = picture(run / "report" / "originals" / f"{'0' * 24}.webp", 1)
    remove_pages(run)
    assert (run / "report.html").read_text() == "<title>mine</title>" and mine.exists()
    elsewhere = run / "elsewhere"
    for place in (run / "report" / "originals", run / "report"):
        (run / "report.html").unlink(missing_ok=True)
        place.rename(elsewhere)
        place.symlink_to(elsewhere)
        assert main(["report", str(run)]) == 2 and f"got {place}, which" in capsys.readouterr().err
        place.unlink()
        elsewhere.rename(place)
    assert main(["report", str(run / "nowhere")]) == 2 and main(["report", str(run.parent)]) == 2
    error = capsys.readouterr().err
    assert "found none at" in error and "where no results.jsonl is; name one that hsx wrote" in error


class Tags(HTMLParser):
    """The tags of a page, and its texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)


def test_names_from_data_are_harmless(tmp_path):
    folder = tmp_path / "<b>&'\"${x}"
    paths = [picture(tmp_path / f"{name.replace('/', '_')}.png", i) for i, name in enumerate(WILD)]
    pairs = [(f"{i}'{{{{x}}}} &amp;</script>", path, path) for i, path in enumerate(paths)]
    reasons = {pairs[0][0]: "</script><script>alert(1)</script>{{ 7 * 7 }}"}
    page = write_page(run_folder(folder, pairs, failed=reasons))
    text = page.read_bytes().decode("utf-8")
    parsed = Tags(text)
    assert sum(tag == "script" for tag, _ in parsed.tags) == 2 and not any(tag == "img" for tag, _ in parsed.tags)
    assert any(reasons[pairs[0][0]] in words for words in parsed.texts) and "<b>&'\"${x}" in parsed.texts
    data = data_of(page)
    assert data["names"] == [name for name, _, _ in pairs]
    assert [data["originals"][k][0] for k in data["content"]] == WILD
    assert data["layers"] == [["result", "", {"0": reasons[pairs[0][0]]}, None, True]]


def test_the_page_allows_itself_alone(run):
    text = write_page(run).read_text()
    tags = Tags(text).tags
    (policy,) = [a["content"] for tag, a in tags if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"]
    for tag in ("script", "style"):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.S)
        allowed = re.search(rf"{tag}-src ([^;]*)", policy)[1].split()
        assert f"'sha256-{b64encode(sha256(inside.encode()).digest()).decode()}'" in allowed
        assert "'unsafe-inline'" not in allowed and not any(source.startswith("http") for source in allowed)
    assert policy.startswith("default-src 'none'; ")
    links = [a.get(of) for _, a in tags for of in ("src", "href") if a.get(of)]
    assert links and not [link for link in links if "//" in link]
    assert not re.search(r"https?://", text)


def test_measures_of_pairs_in_whatever_order_they_were_measured(run):
    values = np.array([0.1, 0.2, np.nan, 0.4, 0.5, 0.6])
    measured(run, {"Unfit": (values, True, False), "Fit": (-values, False, True)}, {"DINO": "no weights: <give> one"})
    lines = (run / "results.jsonl").read_text().splitlines()
    (run / "results.jsonl").write_text("\n".join(lines[::-1]))
    text = write_page(run).read_text()
    data = data_of(run / "report.html")
    fit, unfit = data["measures"]  # those that are fit first
    assert fit == ["Fit", -1, [[-0.6, -0.5, -0.4, None, -0.2, -0.1]]] and unfit[:2] == ["Unfit", 1]
    assert text.count("<svg") == 2 and "no weights: &lt;give&gt; one" in text
    assert text.index(">fit<") < text.index(">unfit<") and "mean 0.36" in text and "[0.35, 0.37]" in text


def test_results_that_are_elsewhere(run, tmp_path):
    place = tmp_path / "numbers"
    place.mkdir()
    rows = {"name": ["x", "y"], "content": [str(tmp_path / "c0.png"), ""], "style": ["", ""], "A": [0.5, 0.25]}
    rows["picture"] = ["../out/c0__s0.png", "../c1.png"]
    parquet.write_table(arrow.table(rows), place / "metrics.parquet")
    data = data_of(write_page(place))
    (layer,) = data["layers"]
    assert data["names"] == ["x", "y"] and layer[3] == rows["picture"] and layer[4]
    assert data["content"] == [0, -1] and data["style"] == [-1, -1] and data["originals"][0][1]
    rows["picture"][0] = "../c2.png"  # which hsx did not make
    parquet.write_table(arrow.table(rows), place / "metrics.parquet")
    assert not data_of(write_page(place))["layers"][0][4]


def test_a_histogram_says_what_it_shows():
    one = histogram("SSIM", np.array([0.0, 0.25, 1.0, 1.0, np.nan]), None, (0.5, 0.75))
    assert (one.low, one.high, one.interval, one.mean) == (0, 1, (0.5, 0.75), 0.5625)
    assert one.bars[-1] == 1 and one.bars[0] == one.bars[6] == 0.5 and sum(map(bool, one.bars)) == 3
    assert one.about == "SSIM of 4 pairs: from 0 to 1, mean 0.5625, 95 % interval 0.5 to 0.75"
    assert histogram("SSIM", np.array([1.0, np.nan]), None, None) is None
    same = histogram("SSIM", np.ones(5), None, None)
    assert (same.low, same.high, same.mean) == (1, 1, 0.5) and same.bars.index(1) == 12


def test_settings_in_a_plot():
    settings = [{"place": {"content": v, "style": w}, "front": v > 1} for v, w in ((1, 5), (3, 4), (2, 9))]
    plot = tradeoff([*settings, {"place": None}])
    assert [i for i, _, _ in plot.points] == [0, 1, 2] and plot.front == [point[1:] for point in plot.points[1:]]
    assert np.allclose(plot.points, [(0, 5 / 22, 1 / 22), (1, 1 / 22, 21 / 22), (2, 21 / 22, 0.5)])
    assert plot.x_range == (3.75, 9.25) and plot.y_range == (0.9, 3.1) and tradeoff([{}]) is None


def test_two_runs_on_one_page(run, tmp_path, capsys):
    pairs = [(f"c{i}__s{j}", tmp_path / f"c{i}.png", tmp_path / f"s{j}.png") for i in range(2) for j in range(2)]
    other = run_folder(tmp_path / "more" / "out", pairs[::-1], gamma=0.7, failed={"c0__s0": "it broke"})
    measured(run, {"A": (np.arange(6.0), True, None)})
    measured(other, {"A": (np.array([13.0, 12.0, 11.0, 13.0]), True, None)})
    assert main(["report", str(run), str(other)]) == 0
    page = tmp_path / "out" / "report-more_out.html"
    assert capsys.readouterr().out == f"{page}\n" and not (run / "report.html").exists()
    data = data_of(page)
    label = f"{tmp_path.name}/out"
    assert data["names"] == [name for name, _, _ in pairs]
    assert [layer[:3] for layer in data["layers"]] == [[label, "", {}], ["more/out", "../more/out/", {"0": "it broke"}]]
    assert data["measures"] == [["A", 1, [[0, 1, 2, 3], [13, 11, 12, 13]]]]
    text = page.read_text()
    assert "schedule.init_args.gamma</th><td>0.5</td><td>0.7</td>" in text and "2 pairs of" in text
    assert "+10.75" in text
    write_page(run)  # neither takes anything of the other away
    assert data_of(page) == data and len(list((run / "report" / "originals").glob("*.webp"))) == 5
    for wrong in (run, tmp_path / "c0.png"):
        assert main(["report", str(run), str(wrong)]) == 2
    alone = run_folder(tmp_path / "alone", [("x", tmp_path / "c0.png", tmp_path / "s0.png")])
    with pytest.raises(HsxError, match="which have none in common"):
        write_comparison(run, alone)


def test_settings_by_name():
    config = {"output_dir": "x", "model": {"a": {"b": 1, "c": "d"}, "e": {}}, "data": {"pairs": [{"f": "g" * 400}]}}
    found = flat(config)
    assert [*found] == ["model.a.b", "model.a.c", "model.e", "data.pairs"] and found["model.a.c"] == "d"
    assert len(found["data.pairs"]) == 300
    assert differing(found, {**found, "model.a.b": "2", "new": "3"}) == [("model.a.b", "1", "2"), ("new", "", "3")]


def test_a_sweep(run, tmp_path):
    settings = []
    for k, gamma in enumerate((0.2, 0.4)):
        folder = tmp_path / "sweep" / "settings" / f"gamma={gamma} <b>"
        pairs = [(f"c{i}__s0", tmp_path / f"c{i}.png", tmp_path / "s0.png") for i in range(2)]
        run_folder(folder, pairs[: 2 - k], gamma=gamma)
        measured(folder, {"A": (np.arange(2.0 - k), True, None), "B": (np.arange(2.0 - k), False, None)})
        measures = {"A": {"mean": k, "low": k - 1, "high": k + 1}, "B": {"mean": k, "low": None, "high": None}}
        where = {"name": folder.name, "folder": f"settings/{folder.name}"}
        options = {"model.schedule.init_args.gamma": gamma, "model.t_edit": 200}
        settings.append({**where, "options": options, "measures": measures, "front": True, "recommended": k == 1})
        settings[-1]["place"] = {"content": k, "style": -k}
    settings += [{"name": "missing", "folder": "settings/missing"}, {"name": "bare"}]
    sweep = {"hsx": "0", "over": {}, "settings": settings, "axes": {"content": "A", "style": "B"}}
    (tmp_path / "sweep" / "sweep.json").write_text(json.dumps(sweep))
    page = write_page(tmp_path / "sweep")
    data = data_of(page)
    assert [layer[1] for layer in data["layers"]] == [f"settings/gamma={g} <b>/" for g in (0.2, 0.4)]
    assert data["layers"][1][2] == {"1": "not made"} and data["measures"][0][2] == [[0, 1], [0, None]]
    text = page.read_text()
    links = {a["href"] for tag, a in Tags(text).tags if tag == "a"}
    assert {link for link in links if link.startswith("settings/")} == {
        f"settings/gamma%3D{g}%20%3Cb%3E/report.html" for g in (0.2, 0.4)
    }
    assert data["chosen"] == 3 and '<th scope="row">missing</th>' in text
    assert text.count("<circle") == 2 and "recommended: gamma=0.4 &lt;b&gt;" in text and ">gamma</th>" in text
    (tmp_path / "sweep" / "sweep.json").write_text(json.dumps({"settings": [{"name": "a"}]}))
    with pytest.raises(HsxError, match="found none in"):
        write_page(tmp_path / "sweep")


def test_only_the_first_of_very_many_are_shown(run, monkeypatch):
    monkeypatch.setattr("hsx.report.folders.LARGEST", 4)
    assert len(results_of(run).names) == 4 and results_of(run).pairs == 6
    assert "the first 4 are shown" in write_page(run).read_text()


def test_a_page_is_not_cut(run, monkeypatch):
    write_page(run)
    before = (run / "report.html").read_bytes(), data_of(run / "report.html")
    (run / "results.jsonl").write_text("")

    def full(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_page(run)
    assert ((run / "report.html").read_bytes(), data_of(run / "report.html")) == before
    assert not list(run.rglob("*.part"))


@pytest.mark.parametrize(
    "change",
    [
        {"measures": None},
        {"measures": []},
        {"skipped": [1]},
        *({"measures": {"SSIM": {key: wrong}}} for key in ("mean", "low", "fit") for wrong in ("x", [1], 10**400)),
    ],
)
def test_damaged_means_are_left_out(run, change):
    (run / "metrics.json").write_text(json.dumps({"hsx": "1", "measures": {}, "skipped": {}} | change))
    write_page(run)
    assert len(data_of(run / "report.html")["names"]) == 6


def test_numbers_that_cannot_be_read_are_one_line(run):
    (run / "metrics.parquet").write_bytes(b"PAR1 damaged")
    with pytest.raises(HsxError, match="metrics.parquet, could not read them .*; remove it, and evaluate again"):
        write_page(run)


@pytest.mark.parametrize("config", ["a: 2001-99-99", "a: &a {x: *a}", "? {a: b}\n: c", "a: " + "[" * 2000])
def test_a_damaged_config_is_left_out(run, config):
    (run / "config.yaml").write_text(config)
    assert "a" not in results_of(run).settings


def test_a_picture_with_a_name_that_no_file_has_is_not_shown(run):
    line = json.loads((run / "results.jsonl").read_text().splitlines()[0])
    (run / "results.jsonl").write_text(json.dumps({**line, "name": "a\0", "picture": "a\0.png"}))
    assert write_page(run).exists()


WRONG = [None, 3, "x", [1], {"a": 1}, {"SSIM": None}, {"content": 10**400, "style": "x"}, "a\0b", "../out"]


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_damaged_in_a_sweep_is_left_out(run, wrong):
    one = {"name": "a", "folder": run.name, "options": {"o": 1}, "measures": {}, "place": {"content": 1, "style": 1}}
    two = [{**one, key: wrong} for key in ("name", "folder", "options", "measures", "place", "front")]
    (run.parent / "sweep.json").write_text(json.dumps({"settings": [one, *two, wrong], "axes": wrong, "said": wrong}))
    settings = data_of(write_page(run.parent))["layers"]
    assert [layer[0] for layer in settings][:1] == ["a"] and all(layer[1] == f"{run.name}/" for layer in settings)
