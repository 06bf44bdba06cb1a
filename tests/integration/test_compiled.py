"""E and D compiled: the same pictures to the last bits, records that say so, and a way on where nothing compiles."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import hsx
from hsx.backbones.compiled import Compiled
from hsx.backbones.counted import Counted
from hsx.backbones.hooked import HookedBackbone
from hsx.backbones.unet2d import UNet2DBackbone
from hsx.cli import main
from hsx.runner.batches import PictureBatch
from hsx.runner.stages import Invert
from hsx.store.records import record_of

from ..folders import net
from .test_scale import options

PICTURES = torch.linspace(-1, 1, 4 * 3 * 16 * 16).reshape(4, 3, 16, 16)


def said(caplog) -> list[str]:
    return [record.message for record in caplog.records if record.name == "hsx"]


def test_it_is_the_same_network_and_its_parts_are_of_one_size(caplog):
    plain = UNet2DBackbone(net(), hsx.NoiseSchedule.linear())
    compiled = Counted(Compiled(plain, backend="eager"))
    assert compiled.fingerprint() == plain.fingerprint() and compiled.layout == plain.layout and compiled.compiled
    transfer, before = (hsx.Transfer(net, inversion_steps=3, generation_steps=3) for net in (compiled, plain))
    stage = Invert(transfer, size=4)
    stage.limit = 2
    made = stage.predict_step(PictureBatch([0, 1, 2], PICTURES[:3], ["a", "b", "c"]))
    assert made.at_once == [2, 2, 2] and len(made.trajectory.x_T) == 3 and stage.machine["compiled"]
    assert torch.allclose(made.trajectory.x_T, before.invert(PICTURES[:3]).x_T, atol=1e-5)
    stage.limit = None
    made = stage.predict_step(PictureBatch([0], PICTURES[:1], ["a"]))
    assert made.at_once == [4] and len(made.trajectory.x_T) == len(made.trajectory.h) == 1
    assert compiled.compiled and not said(caplog)
    assert compiled.evaluations == 2 * (2 + 2 + 4)  # rows that fill a part are computed too


def test_a_part_that_is_filled_up_makes_room_by_its_whole_size():
    compiled = Compiled(UNet2DBackbone(net(), hsx.NoiseSchedule.linear()), backend="eager")
    stage = Invert(hsx.Transfer(compiled, inversion_steps=3, generation_steps=3), size=4)

    def work(part):
        if len(part) > 1:
            raise torch.OutOfMemoryError
        return {"x": PICTURES[part]}

    made, at_once = stage.in_parts(work, 1)
    assert at_once == [1] and stage.limit == 1 and torch.equal(made["x"], PICTURES[:1])


def test_what_cannot_be_compiled_runs_as_it_is_and_says_so(caplog):
    plain = HookedBackbone(net(), sample_size=16)
    compiled = Compiled(plain, backend="eager")
    assert compiled.encode_cost() == 1.0
    with caplog.at_level(logging.WARNING, "hsx"), torch.no_grad():
        for _ in range(2):
            assert torch.equal(compiled(PICTURES, torch.full((4,), 9)), plain(PICTURES, torch.full((4,), 9)))
    assert len(said(caplog)) == 1 and said(caplog)[0].startswith("the network cannot be compiled and runs as it is (")
    assert not compiled.compiled


@pytest.mark.slow
def test_without_a_compiler_a_run_goes_on(tiny_model, pictures, caplog, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    assert main(options(tiny_model, pictures, "plain")) == 0
    with torch._inductor.config.patch({"cpp.cxx": (None, str(tmp_path / "none"))}):
        assert main(options(tiny_model, pictures, "out", "--trainer.compile", "true")) == 0
    assert len(said(caplog)) == 1 and "No working C++ compiler found" in said(caplog)[0]
    for path in (pictures / "plain").glob("*__*.png"):
        other = pictures / "out" / path.name
        assert abs(np.asarray(Image.open(path)).astype(int) - np.asarray(Image.open(other))).max() <= 1
        assert "compiled" not in record_of(other)["computed"]


@pytest.mark.slow
def test_compiled_pictures_are_made_again_byte_for_byte(tiny_model, pictures, capsys):
    assert main(options(tiny_model, pictures, "out", "--trainer.compile", "true", "--data.batch_size", "4")) == 0
    made = sorted(map(str, (pictures / "out").glob("*__*.png")))
    for path in made:
        computed = record_of(Path(path))["computed"]
        assert computed["compiled"] and computed["content"]["compiled"] and computed["rows"] == 4  # of the last two too
    assert main(["remake", *made]) == 0
    assert "6 of 6 are byte-identical" in capsys.readouterr().out
