"""Runs with other sites and donors: the promises of a run hold for them too."""

from itertools import product

import numpy as np
import pytest
import torch

import hsx
from hsx.cli import main
from hsx.io.images import read_image
from hsx.store.records import record_of
from hsx.store.trajectories import Store
from hsx.strategies import Constant, Inverted, Renoised

from .test_scale import TWO, hsx_in_a_process, kill_at_random, options, pixels, same

SKIP = "down_blocks.0.resnets.0"
SITES = ["--model.sites", f"[h, {SKIP}]", "--model.t_edit", "0"]
RENOISED = [*SITES, "--model.donor", "Renoised"]


@pytest.mark.parametrize("donor", [Inverted(), Renoised()])
def test_a_run_makes_what_python_makes(tiny_model, pictures, capsys, donor):
    """Only styles are inverted for Renoised; the store has exactly what is needed; nothing is done twice."""
    how = ["--model.donor", type(donor).__name__, "--store.dtype", "float32"]
    argv = options(tiny_model, pictures, "out", *SITES, *how)
    assert main(argv) == 0
    said = capsys.readouterr().out
    assert "5 pictures inverted" in said if donor.inverts else "2 pictures inverted" in said
    transfer = hsx.Transfer(
        hsx.load_backbone(tiny_model),
        Constant(0.3),
        sites=["h", SKIP],
        donor=donor,
        inversion_steps=4,
        generation_steps=5,
        t_edit=0,
        t_boost=0,
    )
    contents, styles = (
        [pictures / f"{kind}s" / f"{kind[0]}{i}.png" for i in range(n)] for kind, n in (("content", 3), ("style", 2))
    )
    rows, columns = zip(*product(contents, styles), strict=True)
    made = transfer(list(map(str, rows)), list(map(str, columns)))
    there = np.stack(list(pixels(pictures / "out").values()))
    wanted = made.add(1).mul(127.5).permute(0, 2, 3, 1).numpy()
    assert abs(there - wanted).max() <= 1
    stored = sorted(tuple(sorted(entry.sites)) for entry in Store(pictures / "out" / "trajectories").entries())
    assert stored == [()] * 2 + [(SKIP, "h")] * 3 * donor.inverts
    assert main(argv) == 0 and "0 evaluations" in capsys.readouterr().out


def test_settings_of_other_sites_or_donors_are_other_settings(tiny_model, pictures, capsys):
    assert main(options(tiny_model, pictures)) == 0
    assert main(options(tiny_model, pictures, "out", "--model.sites", "h", "--model.donor", "Inverted")) == 0
    assert "0 pictures made" in capsys.readouterr().out
    for more in (["--model.sites", "deepest:1"], ["--model.donor", "Renoised"]):
        assert main(options(tiny_model, pictures, "out", *more)) == 2


def test_a_store_is_shared_by_runs_of_different_sites(tiny_model, pictures, caplog):
    """What a run needs more is said and added; what others need stays."""
    shared = ["--store.path", str(pictures / "shared")]

    def sites() -> list[list[str]]:
        return sorted(sorted(entry.sites) for entry in Store(pictures / "shared").entries())

    assert main(options(tiny_model, pictures, "h", *shared)) == 0
    assert sites() == [[], [], ["h"], ["h"], ["h"]] and not caplog.text
    assert main(options(tiny_model, pictures, "skip", *shared, "--model.sites", SKIP)) == 0
    assert sites() == [[], [], *[[SKIP, "h"]] * 3]
    assert caplog.text.count(f"the store has trajectories without {SKIP}: inverting their pictures again") == 1
    before = {entry.key: entry.path.read_bytes() for entry in Store(pictures / "shared").entries()}
    for out, more in (("h2", []), ("both", ["--model.sites", f"[{SKIP}, h]"]), ("renoised", RENOISED)):
        assert main(options(tiny_model, pictures, out, *shared, *more)) == 0
    assert before == {entry.key: entry.path.read_bytes() for entry in Store(pictures / "shared").entries()}
    assert main(options(tiny_model, pictures, "alone", "--model.sites", SKIP)) == 0
    assert same(pixels(pictures / "skip"), pixels(pictures / "alone")) and same(
        pixels(pictures / "h"), pixels(pictures / "h2")
    )


def test_features_of_one_inversion_are_kept_together_and_others_replaced(tmp_path):
    store, x_T, h = Store(tmp_path, "float32"), torch.randn(3, 4, 4), torch.randn(2, 1, 2, 2)
    key = store.key("pixels", {})
    store.put(key, x_T, {"h": h}, (0, 1))
    store.put(key, x_T, {SKIP: 2 * h}, (0, 1))
    assert store.sites(key) == sorted(["h", SKIP], key=store.sites(key).index) and len(store.sites(key)) == 2
    assert torch.equal(store.get(key, ["h"])["h"], h) and torch.equal(store.get(key, [SKIP])[SKIP], 2 * h)
    store.put(key, x_T + 1e-6, {SKIP: h}, (0, 1))
    assert store.sites(key) == [SKIP] and not store.has(key, ["h"]) and store.has(key, [SKIP])


@pytest.mark.parametrize("more", [SITES, RENOISED])
def test_pictures_are_made_again_from_their_records(tiny_model, pictures, capsys, more):
    assert main(options(tiny_model, pictures, "out", *more, "--data.batch_size", "4")) == 0
    capsys.readouterr()
    assert main(["remake", *map(str, sorted((pictures / "out").glob("*__*.png")))]) == 0
    assert capsys.readouterr().out.count("identical") >= 6


def test_a_content_that_changes_during_a_run_fails_alone(tiny_model, pictures, monkeypatch):
    """With Renoised contents are read twice."""
    read = read_image
    seen = []

    def changing(path, *args):
        seen.append(path)
        image = read(path, *args)
        return -image if path.name == "c1.png" and seen.count(path) > 1 else image

    monkeypatch.setattr("hsx.runner.items.read_image", changing)
    assert main(options(tiny_model, pictures, "out", *RENOISED)) == 3
    assert len(pixels(pictures / "out")) == 4
    failed = (pictures / "out" / "failures.jsonl").read_text()
    assert failed.count("expected the picture that it was when the run began, got another") == 2


def test_a_large_run_says_what_it_will_store(tiny_model, pictures, capsys, monkeypatch):
    assert main(options(tiny_model, pictures)) == 0 and "GB of trajectories" not in capsys.readouterr().err
    monkeypatch.setattr("hsx.runner.storage.SAID", 1e4)
    argv = options(tiny_model, pictures, "more", *SITES, "--store.max_gb", "0.00001")
    assert main(argv) == 0
    said = capsys.readouterr().err
    assert "of trajectories in" in said and "3 contents with h" in said and SKIP in said and "lets 1e-05 GB" in said


@pytest.mark.slow
@pytest.mark.parametrize(("more", "processes"), [(SITES, 2), (RENOISED, 1), (RENOISED, 2)])
def test_killed_and_resumed_by_one_process_or_two(tiny_model, pictures, more, processes):
    slow = ["--model.generation_steps", "150", "--data.batch_size", "2", *more, *(TWO if processes == 2 else [])]
    assert hsx_in_a_process(*options(tiny_model, pictures, "whole", *slow)).returncode == 0
    kill_at_random(options(tiny_model, pictures, "killed", *slow), pictures / "killed", [5.0, 8.0])
    assert hsx_in_a_process(*options(tiny_model, pictures, "killed", *slow)).returncode == 0
    assert same(pixels(pictures / "whole"), pixels(pictures / "killed"))
    alone = options(tiny_model, pictures, "alone", "--model.generation_steps", "150", *more)
    assert main(alone) == 0 and same(pixels(pictures / "whole"), pixels(pictures / "alone"))
    assert made(pictures / "whole") == made(pictures / "alone") == made(pictures / "killed")


def made(folder) -> dict[str, str]:
    """The fingerprint of each picture."""
    return {path.name: record_of(path)["made"] for path in folder.glob("*__*.png")}
