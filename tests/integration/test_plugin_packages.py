"""The packages in plugins/: installed by pip, listed, and run as their READMEs say."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(p.name for p in (ROOT / "plugins").iterdir() if (p / "pyproject.toml").exists())


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The environment in which all are installed, in a folder of its own."""
    folder = tmp_path_factory.mktemp("packages")
    env = {
        **os.environ,
        "PIP_TARGET": str(folder / "site"),
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_NO_INDEX": "1",
        "PYTHONPATH": str(folder / "site"),
        "OMP_NUM_THREADS": "1",
    }
    for name in PACKAGES:
        shutil.copytree(ROOT / "plugins" / name, folder / "plugins" / name)
    shutil.copytree(ROOT / "configs", folder / "configs")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *(f"./plugins/{name}" for name in PACKAGES)],
        cwd=folder,
        env=env,
        check=True,
        capture_output=True,
    )
    return folder, env


def test_all_are_listed_with_package_and_version(installed):
    folder, env = installed
    ended = subprocess.run(
        [sys.executable, "-m", "hsx", "plugins", "--json"],
        env=env,
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    listed = json.loads(ended.stdout)["plugins"]
    theirs = {(p["package"], p["kind"], p["name"]) for p in listed if p["package"] != "hsx"}
    assert theirs == {
        ("hsx-freeu", "calibrator", "SkipDamping"),
        ("hsx-wct", "normalizer", "WhiteningColouring"),
        ("hsx-masks", "blend", "ObjectMask"),
    }


@pytest.mark.parametrize("name", PACKAGES)
def test_the_commands_of_its_readme(installed, name):
    folder, env = installed
    lines = re.findall(r"^    hsx (.*)$", (ROOT / "plugins" / name / "README.md").read_text(), re.M)
    assert lines
    for line in lines:
        few = [
            "--data.contents",
            "hsx://demo_faces/contents/bald_1.png",
            "--data.styles",
            "hsx://demo_faces/styles/none_4.png",
            "--model.generation_steps",
            "20",
            "--model.inversion_steps",
            "20",
            "--model.injection_steps",
            "20",
        ]
        ended = subprocess.run(
            [sys.executable, "-m", "hsx", *line.split(), *few],
            capture_output=True,
            text=True,
            env=env,
            cwd=folder / "plugins" / name,
            check=False,
        )
        assert ended.returncode == 0 and "1 picture made" in ended.stdout, ended.stderr
