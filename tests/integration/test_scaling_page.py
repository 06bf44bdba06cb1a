"""What docs/scaling.md says is so: its commands, torchrun and SLURM too, with a tiny network and fewer machines."""

import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from hsx.cli import main

from ..conftest import picture

PAGE = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text()
CPU = ["--trainer.accelerator", "cpu"]


@pytest.fixture
def here(tmp_path, tiny_model, monkeypatch):
    """A folder with what the page names: run.yaml, photos, styles.txt and pairs.csv."""
    monkeypatch.chdir(tmp_path)
    for i in range(3):
        picture(tmp_path / "photos" / f"of{i}" / f"c{i}.jpg", i, (40, 30))
        picture(tmp_path / f"s{i}.png", 10 + i)
    for name in ("a", "b", "c", "face"):
        picture(tmp_path / f"{name}.png", ord(name[0]))
    (tmp_path / "styles.txt").write_text("s0.png\ns1.png\ns2.png\n")
    (tmp_path / "pairs.csv").write_text(re.search(r"```\n(content,style.*?)```", PAGE, re.S)[1])
    (tmp_path / "run.yaml").write_text(
        yaml.safe_dump(
            {
                "output_dir": "out",
                "model": {"backbone": str(tiny_model), "inversion_steps": 4, "generation_steps": 5},
                "data": {"batch_size": 2},
            }
        )
    )
    return tmp_path


def command(start: str) -> list[str]:
    """The words of the page's command that begins so."""
    text = PAGE.replace(" \\\n", " ")
    return shlex.split(next(line for line in text.splitlines() if line.strip().startswith(start)))


def test_the_commands_of_what_to_pair(here):
    argv = command("hsx predict --config run.yaml --data.contents")
    assert main([*argv[1:], "--data.per_content", "2"]) == 0
    assert len(list((here / "out").glob("*__*.png"))) == 6
    argv = command("hsx predict --config run.yaml --data.pairs")
    assert main([*argv[1:], "--output_dir", "table"]) == 0
    assert {str(p.relative_to(here / "table")) for p in (here / "table").rglob("*.png")} == {
        "a__b.png",
        "special/one.png",
        "grid.png",
    }


def test_the_commands_of_made_again(here, capsys):
    argv = ["predict", "--config", "run.yaml", "--data.pairs", "pairs.csv", *CPU]
    assert main(argv) == 0
    capsys.readouterr()
    words = command("hsx remake")[1:]
    assert main(words) == 0
    assert capsys.readouterr().out.splitlines() == [
        *(f"{word}: byte-identical" for word in words[1:]),
        "2 of 2 are byte-identical",
    ]
    *words, _, file = command("hsx show out/a__b.png --config")[1:]
    assert main(words) == 0
    (here / file).write_text(capsys.readouterr().out)
    assert main(command("hsx predict --config again.yaml")[1:]) == 0
    ours, theirs = pictures_of(here / "outputs" / "remade"), pictures_of(here / "out")
    assert abs(ours["a__b.png"] - theirs["a__b.png"]).max() <= 1
    (here / "inline.yaml").write_text(re.search(r"```yaml\n(data:.*?)```", PAGE, re.S)[1])
    assert main(["predict", "--config", "run.yaml", "--config", "inline.yaml", "--output_dir", "inline", *CPU]) == 0
    assert abs(pictures_of(here / "inline")["one.png"] - theirs["one.png"]).max() <= 1


def start(words: list[str], **env: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *words],
        env={**os.environ, "OMP_NUM_THREADS": "1", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def pictures_of(folder: Path) -> dict[str, np.ndarray]:
    return {p.name: np.asarray(Image.open(p)).astype(int) for p in folder.rglob("*.png") if p.name != "grid.png"}


def test_torchrun_and_slurm_make_what_one_process_makes(here):
    pairs = ["--data.contents", "photos/**/*.jpg", "--data.styles", "styles.txt"]
    assert main(["predict", "--config", "run.yaml", *pairs, "--output_dir", "one"]) == 0
    argv = command("torchrun")
    port = str(free_port())
    fewer = {"4": "1", "8": "2", "$FIRST_HOST:29500": f"localhost:{port}"}
    words = [fewer.get(word, word) for word in argv[1:]]
    ended = start(["-m", "torch.distributed.run", *words, *CPU, *pairs, "--output_dir", "torchrun"])
    out, err = ended.communicate(timeout=300)
    assert ended.returncode == 0 and "9 pictures made" in out, err
    argv = command("srun hsx")
    words = [
        "-m",
        "hsx",
        *[{"4": "1", "8": "2"}.get(word, word) for word in argv[2:]],
        "--data.num_workers",
        "0",
        *CPU,
        *pairs,
        "--output_dir",
        "slurm",
    ]
    node = {
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NAME": "hsx",
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "2",
        "SLURM_NNODES": "1",
        "SLURM_NODEID": "0",
        "SLURM_NODELIST": "localhost",
        "SLURM_JOB_NODELIST": "localhost",
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": str(free_port()),
    }
    ranks = [start(words, **node, SLURM_PROCID=str(i), SLURM_LOCALID=str(i)) for i in range(2)]
    said = [rank.communicate(timeout=300) for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], said
    assert "9 pictures made" in said[0][0] and not said[1][0]
    one = pictures_of(here / "one")
    for other in ("torchrun", "slurm"):
        theirs = pictures_of(here / other)
        assert one.keys() == theirs.keys() and all(abs(one[k] - theirs[k]).max() <= 1 for k in one)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("localhost", 0))
        return s.getsockname()[1]
