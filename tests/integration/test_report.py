"""The page in a browser, headless Chromium driven by Playwright; and as a run, an evaluation and a sweep leave it."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hsx.cli import main
from hsx.report.page import write_page

from ..conftest import picture
from ..folders_of_results import data_of, measured, run_folder
from .test_scale import options

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDE, NARROW = (1280, 900), (390, 844)
WILD = ["<img src=x onerror=alert(1)>", "a&b\"c'd", "${7*7}{{7*7}}", "new\nline", "\udcff\udcfe", "日本 #?%25"]


def test_a_run_writes_the_page_and_one_that_goes_on_is_not_confused_by_it(tiny_model, pictures, capsys):
    out = pictures / "out"
    assert main(options(tiny_model, pictures)) == 0
    said = capsys.readouterr().out
    assert f"all on one page, to be opened in a browser: {out / 'report.html'}\n" in said
    first = data_of(out / "report.html")
    assert len(first["names"]) == 6 and all(file for _, file in first["originals"])
    assert main(options(tiny_model, pictures)) == 0
    assert "6 were there already" in capsys.readouterr().out and data_of(out / "report.html") == first
    (out / "report.html").unlink()
    assert main(["report", str(out)]) == 0 and data_of(out / "report.html") == first
    (pictures / "contents" / "bad.png").write_bytes(b"no picture")
    assert main(options(tiny_model, pictures)) == 3
    assert [*data_of(out / "report.html")["layers"][0][2]] == ["6", "7"] or len(first["names"]) == 6
    assert "2 failed" in (out / "report.html").read_text()


def test_pages_and_sheets_are_left_out(tiny_model, pictures, capsys):
    (pictures / "out").mkdir()
    (pictures / "out" / "report.html").write_text("mine")
    argv = options(tiny_model, pictures, "out", "--report", "false", "--sheets", "false")
    assert main(argv) == 0 and "all on one page" not in capsys.readouterr().out
    assert not list((pictures / "out").glob("grid*")) and not (pictures / "out" / "report").exists()
    assert (pictures / "out" / "report.html").read_text() == "mine"


def test_copies_are_nobodys_contents(tiny_model, pictures, capsys):
    assert main(options(tiny_model, pictures, "out", "--sheets", "false")) == 0
    argv = options(tiny_model, pictures, "again", "--data.contents", str(pictures / "out"))
    capsys.readouterr()
    assert main(argv) == 0 and "12 pictures made" in capsys.readouterr().out  # 6 results in 2 styles


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        pytest.skip("needs a browser: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install -e '.[dev]'")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


class Watched:
    """A page in the browser that may ask for nothing but files in its folder, and may complain of nothing."""

    def __init__(self, browser, path: Path, size=WIDE, scheme="light") -> None:
        self.context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,
            permissions=["clipboard-read", "clipboard-write"],
        )
        self.page, self.wrong, self.asked = self.context.new_page(), [], []
        self.page.on("console", lambda message: self.wrong.append(message.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("requestfailed", lambda request: self.wrong.append(request.url))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.home = path.parent.as_uri()
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("#sheet li")

    def __enter__(self):
        return self.page

    def __exit__(self, kind, *rest):
        if kind is None:
            assert self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it is too wide"
            assert not self.wrong and all(url.startswith(self.home) for url in self.asked), self.wrong
        self.context.close()


def coloured(page, at: float) -> tuple[int, ...]:
    """The colour of the pane of the open pair, ``at`` from its left, in [0, 1]."""
    from io import BytesIO

    with Image.open(BytesIO(page.locator(".pane").first.screenshot())) as shot:
        return shot.convert("RGB").getpixel((int(at * (shot.width - 1)), shot.height // 3))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A run of 4 contents and 3 styles, each picture of one colour, with measures."""
    home = tmp_path_factory.mktemp("page")
    for kind, n, colour in (("c", 4, (200, 0, 0)), ("s", 3, (0, 0, 200))):
        for i in range(n):
            shade = tuple(v and v - 20 * i for v in colour)
            Image.new("RGB", (16, 16), shade).save(home / f"{kind}{i}.png")
    pairs = [(f"c{i}__s{j}", home / f"c{i}.png", home / f"s{j}.png") for i in range(4) for j in range(3)]
    run_folder(home / "out", pairs, failed={"c3__s2": "<b>it broke</b>"})
    values = np.append(np.random.default_rng(0).permutation(11) / 10, np.nan)
    measured(home / "out", {"SSIM": (values, True, True), "Palette": (values[::-1].copy(), False, False)})
    return write_page(home / "out").parent


def until(page, condition: str) -> None:
    """Wait for a condition; wait_for_function would evaluate a text within the page, which does not allow that."""
    end = time.monotonic() + 10
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(20)


READY = "[...document.querySelectorAll('.pane img')].every((one) => one.complete && one.naturalWidth)"
slow = pytest.mark.slow


@slow
@pytest.mark.parametrize("size", [WIDE, NARROW])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_slider_and_the_keys(browser, folder, size, scheme):
    result = Image.open(folder / "c1__s0.png").getpixel((0, 0))
    with Watched(browser, folder / "report.html", size, scheme) as page:
        page.get_by_role("button", name="c1__s0").click()
        until(page, READY)
        assert page.evaluate("document.activeElement.id") == "slider"
        assert (coloured(page, 0.4), coloured(page, 0.6)) == ((180, 0, 0), result)
        for _ in range(20):
            page.keyboard.press("ArrowRight")
        assert page.input_value("#slider") == "70" and coloured(page, 0.6) == (180, 0, 0)
        box = page.locator(".pane").bounding_box()
        page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 50)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 50, steps=4)
        page.mouse.up()
        assert 8 <= float(page.input_value("#slider")) <= 12 and coloured(page, 0.2) == result
        page.keyboard.press("s")
        page.keyboard.press("End")
        until(page, READY)
        assert page.input_value("#slider") == "100" and coloured(page, 0.5) == (0, 0, 200)
        page.keyboard.press("3")
        assert coloured(page, 0.5) == tuple(abs(a - b) for a, b in zip(result, (0, 0, 200), strict=True))
        data = data_of(folder / "report.html")
        values = data["measures"][0][2][0]
        name = page.locator("#name")
        for key, expected in (("n", 4), ("n", 5), ("p", 4), ("b", values.index(1.0)), ("w", values.index(0.0))):
            page.keyboard.press(key)
            assert name.inner_text() == data["names"][expected], key
        page.keyboard.press("m")
        page.keyboard.press("b")  # less is better
        assert name.inner_text() == data["names"][data["measures"][1][2][0].index(0.0)]
        page.keyboard.press("Escape")
        assert not page.locator("#pair").is_visible()
        until(page, f"document.activeElement.title === '{name.text_content()}'")  # where one was


@slow
def test_zoom_is_one_for_all(browser, folder):
    with Watched(browser, folder / "report.html") as page:
        page.locator("#sheet button").first.click()
        page.keyboard.press("2")
        assert page.locator(".pane").count() == 3
        box = page.locator(".pane").nth(1).bounding_box()
        page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] / 2)
        page.mouse.wheel(0, -400)
        until(page, "document.getElementById('zoom').textContent !== '1×'")
        found = page.evaluate(
            "[...document.querySelectorAll('.pane img')].map((one) => getComputedStyle(one).transform)"
        )
        scale, x = float(found[0].split("(")[1].split(",")[0]), float(found[0].split(",")[4])
        assert len(set(found)) == 1 and scale > 2 and x == pytest.approx(-0.75 * box["width"] * (scale - 1), rel=0.05)
        page.locator("#stage").focus()
        page.keyboard.press("ArrowLeft")
        moved = page.evaluate("getComputedStyle(document.querySelector('.pane img')).transform")
        assert float(moved.split(",")[4]) > x
        page.keyboard.press("0")
        assert page.locator("#zoom").inner_text() == "1×"
        touch = page.context.new_cdp_session(page)
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        for kind, apart in (("touchStart", 20), *(("touchMove", d) for d in range(24, 81, 4)), ("touchEnd", None)):
            sides = () if apart is None else (-apart, apart)
            points = [{"x": middle[0] + d, "y": middle[1], "id": k} for k, d in enumerate(sides)]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        until(page, "document.getElementById('zoom').textContent !== '1×'")
        assert 3 < float(page.locator("#zoom").inner_text()[:-1]) < 5


@slow
def test_search_order_and_the_keyboard_on_the_sheet(browser, folder):
    with Watched(browser, folder / "report.html") as page:
        page.locator("#pictures").focus()
        page.keyboard.press("/")
        page.keyboard.type("S1 c")
        until(page, "document.getElementById('count').textContent === '4 of 12 pairs'")
        assert page.locator("#sheet .name").all_inner_texts() == [f"c{i}__s1" for i in range(4)]
        page.fill("#search", "")
        page.select_option("#order", "0")
        until(page, "document.getElementById('count').textContent === '12 pairs'")
        data = data_of(folder / "report.html")
        best = [*sorted(range(11), key=lambda i: -data["measures"][0][2][0][i]), 11]  # without a number: last
        assert page.locator("#sheet .name").all_inner_texts() == [data["names"][i] for i in best]
        page.locator("#sheet button").first.focus()
        page.keyboard.press("End")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("Enter")
        assert page.locator("#name").inner_text() == data["names"][best[-2]]
        page.get_by_role("button", name="Copy the command that makes result again").click()
        until(page, "document.querySelector('#again button').textContent === 'Copied'")
        command = page.evaluate("navigator.clipboard.readText()")
        assert command == f"hsx remake {folder}/{data['names'][best[-2]]}.png"
        page.keyboard.press("Escape")
        page.fill("#search", "c3__s2")
        until(page, "document.getElementById('count').textContent === '1 of 12 pairs'")
        assert page.locator("#sheet .none").inner_text() == "<b>it broke</b>"


@slow
def test_wild_names_work(browser, tmp_path):
    paths = [picture(tmp_path / f"{name}.png", i) for i, name in enumerate(WILD)]
    pairs = [(f"{i}'{{{{x}}}} #?% &amp;", path, path) for i, path in enumerate(paths)]
    folder = run_folder(tmp_path / "it's <b> \udcff\n#?", pairs)
    write_page(folder)
    with Watched(browser, folder / "report.html") as page:
        page.check("#all")
        until(page, "[...document.images].length === 18 && [...document.images].every((one) => one.naturalWidth)")
        page.locator("#sheet button").nth(2).click()
        assert page.locator("#name").inner_text() == pairs[2][0]
        command = page.locator("#again code").inner_text()
        word = command.removeprefix("hsx remake ")
        printed = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, check=True).stdout
        assert printed == os.fsencode(folder / f"{pairs[2][0]}.png")
        assert page.locator("figcaption").inner_text().startswith("content: ${7*7}{{7*7}}")


@slow
def test_ten_thousand_pairs(browser, tmp_path, capsys):
    originals = [picture(tmp_path / f"{k}.png", k) for k in range(200)]
    names = [(f"c{i}__s{j}", originals[i], originals[100 + j]) for i in range(100) for j in range(100)]
    few = run_folder(tmp_path / "few", names[:100])
    folder = tmp_path / "many"
    folder.mkdir()
    lines = []
    for k, (name, content, style) in enumerate(names):
        (folder / f"{name}.png").symlink_to(few / f"{names[k % 100][0]}.png")
        lines.append({"name": name, "content": str(content), "style": str(style), "status": "done"})
    (folder / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    rng = np.random.default_rng(0)
    measured(folder, {f"M{k}": (rng.normal(size=10_000), True, True) for k in range(8)})
    write_page(folder)
    with Watched(browser, folder / "report.html") as page:
        paints = page.evaluate("performance.getEntriesByType('paint').map((one) => [one.name, one.startTime])")
        shown = page.evaluate("performance.now()")
        with capsys.disabled():
            print(f"\n10,000 pairs: {dict(paints)} ms, pictures by {shown:.0f} ms")
        assert dict(paints)["first-contentful-paint"] < 1000
        assert page.locator("#sheet li").count() < 150
        page.wait_for_timeout(300)
        assert page.evaluate("performance.getEntriesByType('resource').length") < 200
        page.locator("#sheet button").first.focus()
        page.keyboard.press("End")
        until(page, "document.activeElement.title === 'c99__s99'")
        assert page.locator("#sheet li").count() < 150
        page.fill("#search", "c42 s7")
        until(page, "document.getElementById('count').textContent === '11 of 10000 pairs'")


@slow
@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_two_runs_and_a_sweep(browser, folder, tmp_path, size):
    home = folder.parent
    pairs = [(f"c{i}__s{j}", home / f"c{i}.png", home / f"s{j}.png") for i in range(2) for j in range(3)]
    other = run_folder(tmp_path / "sweep" / "settings" / "gamma=0.7", pairs, gamma=0.7)
    measured(other, {"SSIM": (np.arange(6.0), True, True)})
    assert main(["report", str(folder), str(other)]) == 0
    page = Watched(browser, folder / "report-gamma_0.7.html", size)
    page.home = Path(os.path.commonpath([home, tmp_path])).as_uri()
    with page as shown:
        shown.locator("#sheet button").first.click()
        assert [shown.locator(f"#{side} option:checked").inner_text() for side in ("left", "right")] == [
            "out",
            "gamma=0.7",
        ]
        assert shown.locator("#numbers tbody th").all_inner_texts() == [
            "SSIM of out",
            "SSIM of gamma=0.7",
            "SSIM, gamma=0.7 less out",
            "Palette of out",
        ]
    settings = []
    for k, name in enumerate(("gamma=0.7", "gamma=0.9", "gamma=1")):
        if k:
            shutil.copytree(other, other.parent / name)
        place = {"content": k, "style": 2 - k}
        one = {"name": name, "folder": f"settings/{name}", "options": {"gamma": k}, "measures": {}, "place": place}
        settings.append({**one, "front": True, "recommended": k == 1})
    sweep = {"hsx": "0", "over": {}, "settings": settings, "axes": {"content": "SSIM", "style": "Palette"}}
    (tmp_path / "sweep" / "sweep.json").write_text(json.dumps(sweep))
    with Watched(browser, write_page(tmp_path / "sweep"), size) as shown:
        assert shown.locator("#sheet li").first.locator("img").count() == 5
        shown.locator("#sheet button").first.click()
        assert shown.locator("#right option:checked").inner_text() == "gamma=0.9"
        shown.keyboard.press("2")
        assert shown.locator(".pane").count() == 5
