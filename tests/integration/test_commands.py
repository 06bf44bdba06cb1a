"""The command line itself: what each command loads, its help, its options' names, and what it says of a slip."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from hsx.cli import COMMANDS, main
from hsx.method.config import TransferConfig
from hsx.store.records import record_of

from ..conftest import picture
from .test_predict import options

DEMO = [
    "--model.backbone",
    "hsx://demo_faces",
    "--data.contents",
    "hsx://demo_faces/contents",
    "--data.styles",
    "hsx://demo_faces/styles",
]


def refused(capsys, *argv) -> str:
    assert main([*argv]) == 2
    said = capsys.readouterr().err
    assert said.startswith("hsx: error: ") and said.count("\n") == 1, said
    return said


def helped(capsys, *argv) -> str:
    assert main([*argv, "--help"]) == 0
    return capsys.readouterr().out


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_model) -> Path:
    """A run's folder."""
    folder = tmp_path_factory.mktemp("made")
    for name in ("contents/c0.png", "styles/s0.png"):
        picture(folder / name, len(name))
    assert main(options(tiny_model, folder)) == 0
    return folder / "out"


@pytest.mark.parametrize("words", ["--help", "--version", "show {made}/c0__s0.png", "store ls {made}"])
def test_no_torch_to_look_at_what_is_there(made, words):
    argv = [sys.executable, "-X", "importtime", "-m", "hsx", *words.format(made=made).split()]
    ended = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert ended.stdout and not [line for line in ended.stderr.splitlines() if "torch" in line.rpartition("|")[2]]


def test_help_fits_a_screen(capsys):
    pages = {name: helped(capsys, name) for name in COMMANDS}
    pages |= {name: helped(capsys, "store", name) for name in ("ls", "prune", "verify")} | {"hsx": helped(capsys)}
    for name, page in pages.items():
        assert len(page.splitlines()) <= (60 if name == "predict" else 30), name
        assert max(map(len, page.splitlines())) <= 120, name
    assert "lightning" not in pages["predict"] and "--data.pairing  " in pages["predict"]
    dashed = [word for page in pages.values() for word in page.split() if word.startswith("--") and "-" in word[2:]]
    assert not dashed  # options are named with underscores


def test_every_field_of_the_settings_is_an_option_and_in_configs_and_records(made, capsys):
    page = helped(capsys, "predict")
    assert main(["predict", *DEMO, "--print_config"]) == 0
    printed, kept = yaml.safe_load(capsys.readouterr().out), yaml.safe_load((made / "config.yaml").read_text())
    record = record_of(made / "c0__s0.png")
    for field in fields(TransferConfig):
        if option := field.metadata.get("said_by"):
            section, _, name = option.rpartition(".")
            assert all(name in (config[section] if section else config) for config in (printed, kept, record))
            assert f"--{option} " in page and f"--model.{field.name} " not in page
        else:
            assert all(field.name in config["model"] for config in (printed, kept, record)), field.name
            assert f"--model.{field.name} " in page


def test_print_config_counts_what_comes_after_it_too(tmp_path, capsys):
    (tmp_path / "a.yaml").write_text("model: {t_edit: 7}\ntrainer: {precision: 32}\n")
    assert main(["predict", *DEMO, "--print_config=skip_default", "--config", str(tmp_path / "a.yaml")]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["model"]["t_edit"] == 7 and printed["model"]["backbone"] == "hsx://demo_faces"
    assert "inversion_steps" not in printed["model"] and printed["trainer"] == {"precision": 32}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model: {normaliser: Frobenius}", "got model.normaliser (the nearest is model.normalizer); see hsx predict"),
        ("data: {batchsize: 3}", "got data.batchsize (the nearest is data.batch_size)"),
        ("store: {max_gigs: 3}", "got store.max_gigs (the nearest is store.max_gb)"),
        ("model: {xyzzy_qq: 3}", "got model.xyzzy_qq; see"),
        ("model: {schedule: 0.3}", "a.yaml: model.schedule: expected one of Constant, Linear, Cosine, "),
        ("model: {schedule: 0.3}", ", got 0.3; see hsx plugins\n"),
        ("model: {t_edit: [1\nfoo: }", "a.yaml: expected YAML, got something else in line 2, column 4"),
        ("trainer: {precision: 31}", "'64-true', 32, got 31"),
        ("overwrite: maybe", "a.yaml: overwrite: expected bool, got maybe"),
    ],
)
def test_a_slip_in_a_config(tmp_path, capsys, text, said):
    (tmp_path / "a.yaml").write_text(text)
    assert said in refused(capsys, "predict", *DEMO, "--config", str(tmp_path / "a.yaml"))


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["predict", "my.yaml"], "expected options alone, got my.yaml; name a config with --config my.yaml; see"),
        (["predict", "--data.contents", "a.png", "b.png", "c.png"], "got b.png c.png; quote a pattern"),
        (["predict", *DEMO, "--xyzzy", "5"], "unrecognized arguments: --xyzzy 5; see"),
        (["predict", *DEMO, "--data.num_workers", "-1"], "expected a whole number of 0 or more, got -1"),
        (["predict", *DEMO, "--data.batch_size", "many"], "expected a whole number above 0, got many"),
        (["predict", *DEMO, "--model.backbone.image_size", "64"], "add --model.backbone.source SOURCE"),
        (["show", "a.png", "b.png"], "expected one picture, got a.png b.png"),
        (["show"], "the following arguments are required: picture; see hsx show --help"),
        (["convert", "a", "b", "c"], "expected one source and one folder, got a b c"),
        (["store", "prune", ".", "--max-gb", "3"], "unrecognized arguments: --max-gb 3 (the nearest is --max_gb)"),
    ],
)
def test_a_slip_on_the_command_line(capsys, argv, said):
    assert said in refused(capsys, *argv)


def test_a_switch_alone_is_true(made, tiny_model, capsys):
    assert main(["show", "--json", str(made / "c0__s0.png")]) == 0 and capsys.readouterr().out.startswith("{")
    assert main(["show", "--json", "false", str(made / "c0__s0.png")]) == 0 and capsys.readouterr().out[0] != "{"
    argv = options(tiny_model, made.parent, "out", "--model.t_boost", "1", "--overwrite", "--data.batch_size", "1")
    assert main(argv) == 0
    assert main(["predict", *DEMO, "--overwrite", "--print_config"]) == 0
    assert yaml.safe_load(capsys.readouterr().out.partition("output_dir")[2].partition("\n")[2])["overwrite"] is True


def test_the_old_name_of_an_option_names_the_new_one(tmp_path, capsys):
    assert main(["convert", "hsx://demo_faces", str(tmp_path / "new"), "--hsx-only"]) == 0
    assert "hsx: warning: --hsx-only is --hsx_only now" in capsys.readouterr().err
    said = refused(capsys, "convert", "hsx://demo_faces", str(tmp_path / "new"))
    assert "hsx://demo_faces: " in said and "expected an empty folder or none" in said
