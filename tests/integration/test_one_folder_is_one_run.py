"""One folder is one run: what is there of another is refused or replaced whole, what belongs to it goes on."""

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hsx.cli import main
from hsx.io.files import atomic
from hsx.runner.output import sweep
from hsx.store.records import record_of

from ..conftest import picture
from .test_scale import TWO, hsx_in_a_process, options, pixels, results

OTHER = ["--model.schedule.init_args.gamma", "0.9"]


def all_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(argv, capsys, *said) -> None:
    """Exit code 2 with one line that holds all of ``said``."""
    capsys.readouterr()
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and all(word in error for word in said), error


def is_one_run(folder: Path, digests: set[str] | None = None) -> set[str]:
    """The settings of the pictures in a folder, and that its list of results speaks of no others."""
    settings = {record_of(p)["settings_digest"] for p in folder.rglob("*.png") if p.stem != "grid"}
    assert len(settings) <= 1
    if (folder / "results.jsonl").exists():
        done = [line for line in results(folder) if line["status"] == "done"]
        assert {line["settings"] for line in done} <= settings or not settings
        assert all((folder / line["picture"]).exists() for line in done)
    return settings


def test_another_list_of_pictures_is_refused_before_a_network_runs(tiny_model, pictures, capsys):
    assert main(options(tiny_model, pictures)) == 0
    before = all_of(pictures / "out")
    for i in range(3):
        picture(pictures / "mine" / f"x{i}.png", 50 + i)
    argv = options(tiny_model, pictures)
    argv[argv.index("--data.contents") + 1] = str(pictures / "mine")
    said = "got 6 of others in", "(6 of another list of pictures), such as c0__s0.png; name another with --output_dir"
    refused(argv, capsys, *said, "--overwrite true")
    refused([*argv, *OTHER], capsys, "(6 of other settings)")
    assert all_of(pictures / "out") == before  # trajectories too
    assert main([*argv, "--overwrite", "true"]) == 0
    assert pixels(pictures / "out").keys() == {f"x{i}__s{j}.png" for i in range(3) for j in range(2)}
    assert len(results(pictures / "out")) == 6 and is_one_run(pictures / "out")


def test_other_pictures_of_the_same_names_are_refused_before_a_network_runs(tiny_model, pictures, capsys):
    assert main(options(tiny_model, pictures)) == 0
    before = all_of(pictures / "out")
    picture(pictures / "contents" / "c1.png", 99)
    refused(options(tiny_model, pictures), capsys, "got 2 of others", "(2 of another list of pictures)", "c1__s0.png")
    assert all_of(pictures / "out") == before
    assert main([*options(tiny_model, pictures), "--overwrite", "true"]) == 0
    assert "2 pictures made" in (said := capsys.readouterr().out) and "4 were there already" in said
    after = all_of(pictures / "out")
    assert {k for k in before if k.startswith("c") and k.endswith(".png") and before[k] != after[k]} == {
        "c1__s0.png",
        "c1__s1.png",
    }


@pytest.mark.slow
def test_two_processes_refuse_with_one_line(tiny_model, pictures):
    assert main(options(tiny_model, pictures)) == 0
    before = all_of(pictures / "out")
    picture(pictures / "contents" / "c1.png", 99)
    ended = hsx_in_a_process(*options(tiny_model, pictures, "out", *TWO), timeout=120)
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1 and "got 2 of others" in ended.stderr, ended.stderr
    assert all_of(pictures / "out") == before
    picture(pictures / "styles" / "t.png", 98)
    ended = hsx_in_a_process(*options(tiny_model, pictures, "out", *TWO, "--overwrite", "true"), timeout=120)
    assert ended.returncode == 0 and "5 pictures made" in ended.stdout and "4 were there already" in ended.stdout
    assert len(results(pictures / "out")) == 9 and is_one_run(pictures / "out")


def test_a_run_that_adds_pairs_goes_on(tiny_model, pictures, capsys):
    assert main(options(tiny_model, pictures)) == 0
    before = all_of(pictures / "out")
    picture(pictures / "contents" / "b.png", 7)
    (pictures / "contents" / "bad.png").write_bytes(b"no picture")
    picture(pictures / "styles" / "t.png", 8)
    capsys.readouterr()
    assert main(options(tiny_model, pictures)) == 3
    said = capsys.readouterr()
    assert "6 of 15 pairs are there; 9 more\n" in said.err
    assert "6 pictures made" in said.out and "6 were there already, 3 failed" in said.out
    after = all_of(pictures / "out")
    assert all(after[name] == data for name, data in before.items() if "__" in name)
    lines = results(pictures / "out")
    assert len(lines) == 15 and len((pictures / "out" / "failures.jsonl").read_text().splitlines()) == 3
    assert all(line["seconds"] for line in lines if line["status"] == "done")
    with Image.open(pictures / "out" / "grid.png") as sheet:
        assert sheet.size == (4 * 98 + 2, 6 * 98 + 2)
    (pictures / "contents" / "bad.png").unlink()  # a pair that failed is no obstacle
    assert main(options(tiny_model, pictures)) == 0
    assert len(results(pictures / "out")) == 12 and not (pictures / "out" / "failures.jsonl").exists()


def test_fewer_pairs_are_another_run(tiny_model, pictures, capsys):
    table = pictures / "pairs.csv"
    rows = [f"contents/c{i}.png,styles/s{j}.png,of{i}/{j}\n" for i in range(3) for j in range(2)]
    argv = [
        "predict",
        "--model.backbone",
        str(tiny_model),
        "--data.pairs",
        str(table),
        "--output_dir",
        str(pictures / "out"),
        "--model.inversion_steps",
        "4",
        "--model.generation_steps",
        "4",
    ]
    table.write_text("content,style,output\n" + "".join(rows))
    assert main(argv) == 0
    mine = {"of0/mine.png": picture(pictures / "out" / "of0" / "mine.png", 3), "notes.txt": pictures / "out/notes.txt"}
    mine["notes.txt"].write_text("mine")
    kept = {name: path.read_bytes() for name, path in mine.items()}
    table.write_text("content,style,output\n" + "".join(rows[-1:]))
    refused(argv, capsys, "got 5 of others", "(5 of another list of pictures), such as of0/0.png")
    assert main([*argv, "--overwrite", "true"]) == 0
    assert "0 pictures made" in (said := capsys.readouterr().out) and "1 were there already" in said
    left = all_of(pictures / "out")
    assert {name for name in left if "trajectories" not in name and not name.startswith("report/")} == {
        *kept,
        "of2/1.png",
        "results.jsonl",
        "config.yaml",
        "grid.png",
        "report.html",
    }
    assert len([name for name in left if name.startswith("report/")]) == 4  # data, two originals, a word on them
    assert all(left[name] == data for name, data in kept.items())
    assert not (pictures / "out" / "of1").exists() and len(results(pictures / "out")) == 1


def test_a_run_in_a_folder_of_another_is_left_alone(tiny_model, pictures, capsys):
    assert main(options(tiny_model, pictures)) == 0
    assert main(options(tiny_model, pictures, "out/inner", *OTHER)) == 0
    inner = all_of(pictures / "out" / "inner")
    assert main(options(tiny_model, pictures)) == 0
    assert "6 were there already" in capsys.readouterr().out
    assert main(options(tiny_model, pictures, "out", *OTHER, "--overwrite", "true")) == 0
    assert all_of(pictures / "out" / "inner") == inner
    (pictures / "pairs.csv").write_text("content,style,output\ncontents/c0.png,styles/s0.png,inner/mine\n")
    argv = [
        "predict",
        "--model.backbone",
        str(tiny_model),
        "--data.pairs",
        str(pictures / "pairs.csv"),
        "--overwrite",
        "true",
        "--output_dir",
        str(pictures / "out"),
    ]
    refused(argv, capsys, "got inner/mine in", "where another run's results are; take another name")
    assert all_of(pictures / "out" / "inner") == inner


def test_a_picture_that_lost_its_end_is_made_again(tiny_model, pictures, capsys):
    assert main(options(tiny_model, pictures)) == 0
    file = pictures / "out" / "c0__s0.png"
    whole = file.read_bytes()
    file.write_bytes(whole[:-30])
    assert record_of(file)
    assert main(options(tiny_model, pictures)) == 0
    assert "1 picture made" in capsys.readouterr().out
    assert np.array_equal(np.asarray(Image.open(file)), pixels(pictures / "out")["c0__s0.png"])


def test_names_in_another_case(tiny_model, pictures, capsys):
    """Another name, whether or not the file system tells them apart."""
    assert main(options(tiny_model, pictures)) == 0
    (pictures / "contents" / "c0.png").rename(pictures / "contents" / "C0.png")
    refused(options(tiny_model, pictures), capsys, "(2 of another list of pictures), such as c0__s0.png")
    assert main(options(tiny_model, pictures, "out", "--overwrite", "true")) == 0
    assert {p.name for p in (pictures / "out").glob("*__s0.png")} == {"C0__s0.png", "c1__s0.png", "c2__s0.png"}


def test_the_folder_of_the_contents(tiny_model, pictures, capsys):
    """Its pictures are no results, and stay; results in it are not taken for contents."""
    contents = all_of(pictures / "contents")
    assert main(options(tiny_model, pictures, "contents", "--overwrite", "true")) == 0
    for more in ([], ["--overwrite", "true"]):
        refused(options(tiny_model, pictures, "contents", *more), capsys, "that are no results in output_dir")
    assert contents.items() <= all_of(pictures / "contents").items()
    (pictures / "pairs.csv").write_text("content,style,mask\n../styles/s0.png,../styles/s1.png,c0__s0.png\n")
    (pictures / "pairs.csv").rename(pictures / "contents" / "pairs.csv")
    argv = [
        "predict",
        "--model.backbone",
        str(tiny_model),
        "--data.pairs",
        str(pictures / "contents" / "pairs.csv"),
        "--output_dir",
        str(pictures / "contents"),
        "--overwrite",
        "true",
    ]
    refused(argv, capsys, "that are no results in output_dir", "c0__s0.png")


def test_only_what_a_dead_process_left_is_swept(tmp_path):
    host = re.sub(r"\W", "-", socket.gethostname())
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    names = {
        f".{host}-{dead.pid}-a.part": False,
        f".{host}-{os.getpid()}-b.part": True,
        ".elsewhere-1-c.part": True,
        ".odd.part": True,
        f".{host}-{os.getppid()}-old.part": False,
        "mine.part": True,
        f"sub/.{host}-{dead.pid}-d.part": False,
        f"another/.{host}-{dead.pid}-e.part": True,
    }
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
        if "old" in name:
            os.utime(tmp_path / name, (time.time() - 4000,) * 2)
    (tmp_path / "another" / "results.jsonl").touch()  # another run's folder
    with atomic(tmp_path / "now") as part:
        sweep(tmp_path)
        assert part.exists()
    assert {name for name in names if (tmp_path / name).exists()} == {name for name, stays in names.items() if stays}


def killed_at(argv: list[str], moment: int) -> bool:
    """Run in a process that dies at the so-manieth time that it removes or renames a file; whether it came so far."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        left = [moment]

        def count(event, given):
            if event in ("os.remove", "os.rename", "os.rmdir"):
                left[0] -= 1
                if not left[0]:
                    os._exit(9)

        sys.addaudithook(count)
        try:
            os._exit(main(argv))
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def test_a_kill_while_results_are_replaced_mixes_nothing(tiny_model, pictures, capfd):
    old, new = (
        options(tiny_model, pictures),
        [*options(tiny_model, pictures, "out", *OTHER), "--store.path", str(pictures / "store")],
    )
    assert main([*new, "--output_dir", str(pictures / "fresh")]) == 0  # trajectories
    for moment in (1, 2, 3, 4, 6, 8, 11, 14, 18, 25):
        assert main([*old, "--store.path", str(pictures / "store"), "--overwrite", "true"]) == 0
        of_old = is_one_run(pictures / "out")
        if not killed_at([*new, "--overwrite", "true"], moment):
            break
        left = is_one_run(pictures / "out")
        code = main(new)  # without --overwrite it goes on, or is refused
        assert code == (2 if left == of_old else 0)
        if code:
            assert is_one_run(pictures / "out") == of_old
            assert main([*new, "--overwrite", "true"]) == 0
        assert is_one_run(pictures / "out") == is_one_run(pictures / "fresh")
        assert len(results(pictures / "out")) == 6
    assert moment > 20


def test_lists_without_pictures_are_of_no_run(tiny_model, pictures):
    """Pictures that someone has taken away: what is left does not speak of the next run's."""
    assert main(options(tiny_model, pictures)) == 0
    for path in (pictures / "out").glob("*__*.png"):
        path.unlink()
    argv = options(tiny_model, pictures, "out", *OTHER)
    killed_at(argv, 12)
    is_one_run(pictures / "out")
    assert main(argv) == 0 and {line["settings"] for line in results(pictures / "out")} == is_one_run(pictures / "out")
