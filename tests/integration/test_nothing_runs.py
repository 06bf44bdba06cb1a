"""Nothing is run or imported from a config or a command line, wherever a class path stands; an audit hook watches."""

import sys

import pytest
import yaml

from hsx.cli import main

CANARY = "canary_in_a_config"  # a module that can be imported, and says so
CODE = f"{CANARY}.Run"
RUN = {"class_path": "subprocess.Popen", "init_args": {"args": ["touch", "ran"]}}
SING = {"class_path": CODE, "init_args": {"word": "x"}}
SECTIONS = {
    "model": [
        "backbone",
        "schedule",
        "blend",
        "normalizer",
        "calibrator",
        "donor",
        "sites",
        "inversion_steps",
        "generation_steps",
        "injection_steps",
        "t_start",
        "t_edit",
        "t_boost",
        "dt_lambda",
        "dt_end",
        "seed",
        "unknown",
    ],
    "data": [
        "contents",
        "styles",
        "pairs",
        "pairing",
        "per_content",
        "pairing_seed",
        "fit",
        "batch_size",
        "num_workers",
        "unknown",
    ],
    "trainer": ["accelerator", "devices", "num_nodes", "strategy", "precision", "callbacks", "plugins", "logger"],
    "store": ["path", "dtype", "max_gb", "unknown"],
}
OPTIONS = [
    "source",
    "image_size",
    "num_heads",
    "num_head_channels",
    "attention_order",
    "schedule",
    "num_train_timesteps",
    "rescale_timesteps",
    "class_label",
    "dtype",
    "device",
    "family",
    "sha256",
    "unknown",
]
seen: list[str] = []
watching = []


def audit(event, args):
    if watching and (
        event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn")
        or (event == "import" and str(args[0]).startswith(CANARY))
    ):
        seen.append(f"{event} {args[0]}")


sys.addaudithook(audit)


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """A folder with a module that a config might import."""
    (tmp_path / f"{CANARY}.py").write_text(
        "from lightning.pytorch.callbacks import Callback\nfrom hsx.strategies import BlendingSchedule\n"
        "class Run(BlendingSchedule):\n    def __init__(self, word: str = ''):\n        self.word = word\n"
        "    def gamma(self, t):\n        return 0.5\n"
        "class Call(Callback):\n    def on_predict_start(self, *_):\n        print('it was called')\n"
        "def function(*_):\n    raise SystemExit(9)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    watching.append(True)
    seen.clear()
    yield tmp_path
    watching.clear()
    sys.modules.pop(CANARY, None)


def refused(capsys, argv) -> str:
    """The one line with which a command ends, with nothing run and nothing imported."""
    code = main(argv)
    said = capsys.readouterr().err
    assert code == 2 and said.startswith("hsx: error: ") and said.count("\n") == 1, (argv, said)
    assert not seen and CANARY not in sys.modules, (argv, seen)
    return said


def forms(value):
    """A class path as such, in a list, in a mapping, deep, and by its name alone."""
    return [
        value,
        [value],
        {"a": value},
        [[{"b": value}]],
        {"class_path": "Constant", "init_args": {"gamma": value}},
        {"class_path": "Constant", "dict_kwargs": {"gamma": value}},
    ]


ALL = ("schedule", "callbacks", "unknown")  # keys that meet every form
PLACES = [
    (f"{section}.{name}", {section: {name: value}})
    for section, names in SECTIONS.items()
    for name in names
    for value in forms(RUN if name[0] in "abc" else SING)[: 6 if name in ALL else 2]
]
PLACES += [
    (f"model.backbone.{name}", {"model": {"backbone": {"source": "hsx://demo_faces", name: value}}})
    for name in OPTIONS
    for value in forms(SING)[:2]
]
PLACES += [
    (name, {name: value})
    for name in (
        "output_dir",
        "overwrite",
        "seed_everything",
        "unknown",
        "model",
        "data",
        "trainer",
        "store",
        "class_path",
        "trust",
        "ckpt_path",
        "optimizer",
        "lr_scheduler",
    )
    for value in (SING, [SING], CODE)
    if not (name == "output_dir" and value is CODE)
]
PLACES += [
    ("trust", {"trust": CANARY, "model": {"schedule": CODE}}),
    ("--trust", {"--trust": CANARY}),
    (
        "callbacks",
        {
            "trainer": {
                "callbacks": [{"class_path": "LambdaCallback", "init_args": {"on_predict_start": f"{CANARY}.function"}}]
            }
        },
    ),
    ("callbacks", {"trainer": {"callbacks": [{"class_path": "DeviceStatsMonitor", "init_args": {"cpu_stats": SING}}]}}),
    ("callbacks", {"trainer": {"callbacks": [{"class_path": "RichProgressBar", "init_args": {"theme": SING}}]}}),
    ("blend", {"model": {"blend": {"class_path": "Masked", "init_args": {"mask": SING}}}}),
    ("blend", {"model": {"blend": {"class_path": "Masked", "init_args": {"mask": "m.png", "blend": SING}}}}),
    ("blend", {"model": {"blend": {"class_path": "Masked", "init_args": {"mask": "m.png", "blend": CODE}}}}),
    ("schedule", {"model": {"schedule": {"class_path": "Table", "init_args": {"values": [SING]}}}}),
    ("schedule", {"model": {"schedule": "hsx.strategies.schedules.np"}}),
    ("schedule", {"model": {"schedule": "hsx.testing.check_strategy"}}),
    ("schedule", {"model": {"schedule": "hsx.strategies.Constant.gamma.__globals__"}}),
    ("schedule", {"model": {"schedule": "os.system"}}),
]


@pytest.mark.parametrize("part", range(6))
def test_no_class_path_in_a_config_runs_or_imports(canary, capsys, part):
    """At every key of every section, in every form: one line that names the key."""
    for key, config in PLACES[part::6]:
        (canary / "config.yaml").write_text(yaml.safe_dump(config))
        said = refused(
            capsys,
            ["predict", "--config", "config.yaml", "--model.backbone.source", "hsx://demo_faces"]
            if "backbone" not in key and key != "model"
            else ["predict", "--config", "config.yaml"],
        )
        named = {part for part in key.split(".") if part not in ("model", "data", "trainer", "store")} or {key}
        assert any(part in said for part in named), (key, config, said)
    assert not (canary / "ran").exists()


SWELLING = "a0: &a0 [x]\n" + "\n".join(  # a dozen lines that stand for 9 ** 11 values
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)
)


@pytest.mark.parametrize(
    "text, said",
    [
        ("model: {t_edit: !!python/object/apply:os.system ['touch ran']}", "could not determine a constructor"),
        ("!!python/object/apply:subprocess.Popen [['touch', 'ran']]", "could not determine a constructor"),
        ("model: !!python/name:os.system", "could not determine a constructor"),
        (f"a: &x {{class_path: {CODE}}}\nmodel: {{schedule: *x}}", "schedule"),
        (f"model: {{schedule: {{<<: {{class_path: {CODE}}}}}}}", "schedule"),
        ("output_dir: ${oc.env:HOME}", "got ${oc.env:…}, which reads what is no config"),
        ("model: {t_edit: '${oc.env:HOME}'}", "got ${oc.env:…}"),
        ("model: {t_edit: '${oc.decode:\"{class_path: os.system}\"}'}", "model.t_edit"),
        (f"model: {{t_edit: '${{oc.create:{{class_path: {CODE}}}}}'}}", "t_edit"),
        (f"model: {{seed: 1}}\nstore: {{path: '{CODE}', dtype: '${{store.path}}'}}", "store.dtype"),
        (f"model: {{t_edit: {CODE}, schedule: '${{model.t_edit}}'}}", "t_edit"),
        ("config: other.yaml", "model.schedule"),
        (SWELLING, "config: expected at most 10,000 values, got more by its aliases (*); write them out"),
        (
            SWELLING.replace("[x]", "{x: 1}").replace("[", "{<<: [").replace("]", "]}"),
            "config: expected at most 10,000 ",
        ),
        ("model: {t_edit: &a [*a]}", "config: expected at most 10,000 values"),
    ],
)
def test_no_tag_anchor_or_resolver_runs_or_imports(canary, capsys, text, said):
    (canary / "config.yaml").write_text(text)
    (canary / "other.yaml").write_text(f"model: {{schedule: {CODE}}}")
    assert said in refused(capsys, ["predict", "--config", "config.yaml", "--model.backbone", "hsx://demo_faces"])


@pytest.mark.parametrize(
    "words, said",
    [
        (["--model.schedule", "os.system"], "model.schedule: expected one of "),
        (
            ["--model.schedule", CODE],
            f"got {CODE}; see hsx plugins; a class of your own: install it as a plugin, or name "
            "its module with --trust",
        ),
        (["--model.schedule", f"{{class_path: {CODE}}}"], "--trust"),
        (["--model.schedule.class_path", CODE], "--trust"),
        (["--model.schedule.help", CODE], "model.schedule.help: expected a class that is registered"),
        (["--model.schedule", "deep.yaml"], "model.schedule"),
        (["--model", "model.yaml"], "schedule"),
        (["--trainer.callbacks+", f"{CANARY}.Call"], "trainer.callbacks: expected callbacks of Lightning, such as "),
        (["--trainer.callbacks", f"[{{class_path: {CANARY}.Call}}]"], "name its module with --trust"),
        (["--trainer.callbacks+", "subprocess.Popen", "--trainer.callbacks.args", "ls"], "trainer.callbacks"),
        (["--trainer.callbacks.help", f"{CANARY}.Call"], "trainer.callbacks"),
        (
            ["--trainer.callbacks", "[{class_path: TQDMProgressBar, init_args: {leafe: 3}}]"],
            "callbacks: expected an option of TQDMProgressBar (leave, refresh_rate, process_position), got leafe",
        ),
        (
            ["--trainer.callbacks", "[{class_path: TQDMProgressBar, init_args: {refresh_rate: x}}]"],
            "trainer.callbacks: TQDMProgressBar.refresh_rate: expected int, got x; see",
        ),
        (
            ["--trainer.callbacks", "[{class_path: Timer, init_args: {duration: x}}]"],
            "trainer.callbacks: `Timer(duration='x')` is not a valid duration",
        ),
        (["--model.backbone.family", f"{{class_path: {CODE}}}"], "family"),
        (["--model.backbone.class_path", CODE], "class_path: expected options among"),
        (["--model.backbone", f"{{class_path: {CODE}}}"], "model.backbone"),
        (["--config", f"model: {{schedule: {CODE}}}"], "model.schedule"),
        (["--config", "@model.yaml"], "config"),
        (["--config", "https://127.0.0.1:9/a.yaml?token=SECRET"], "config: File does not exist"),
        (["--config", "memory://a.yaml"], "config"),
        (["--config", "file:///etc/hostname"], "config"),
        (["@model.yaml"], "@"),
        (["--trust", "os; ls"], "--trust: expected modules of yours"),
        (["--trust"], "--trust: expected modules"),
        (["--trust", "another_module", "--model.schedule", CODE], "model.schedule"),
        (["--trust", CANARY + "s", "--model.schedule", CODE], "model.schedule"),
        (["--trust", "jsonargparse", "--model.schedule", CODE], "jsonargparse"),
    ],
)
def test_no_word_of_a_command_line_runs_or_imports_but_trust(canary, capsys, monkeypatch, words, said):
    (canary / "deep.yaml").write_text(f"class_path: {CODE}")
    (canary / "model.yaml").write_text(f"schedule: {CODE}")
    monkeypatch.setenv("PL_TRUST", CANARY)
    monkeypatch.setenv("HSX_TRUST", CANARY)
    line = refused(capsys, ["predict", "--model.backbone.source", "hsx://demo_faces", *words])
    assert said in line and "SECRET" not in line


@pytest.mark.parametrize("command", ["inspect", "convert"])
def test_no_option_of_inspect_and_convert_runs_or_imports(canary, capsys, command):
    words = ["out"] if command == "convert" else []
    for option in OPTIONS[1:]:
        refused(capsys, [command, "nowhere.pt", *words, f"--{option}", f"{{class_path: {CODE}}}"])


def test_a_module_that_the_command_line_trusts_may_be_named(canary, tiny_model, pictures, capsys):
    config = {
        "model": {"backbone": str(tiny_model), "schedule": SING, "inversion_steps": 3, "generation_steps": 3},
        "data": {"contents": "contents", "styles": "styles"},
        "output_dir": "out",
        "trainer": {"callbacks": [{"class_path": f"{CANARY}.Call"}]},
    }
    (canary / "own.yaml").write_text(yaml.safe_dump(config))
    assert "model.schedule" in refused(capsys, ["predict", "--config", "own.yaml"])
    assert main(["predict", "--config", "own.yaml", "--trust", f"{CANARY},os"]) == 0
    said = capsys.readouterr()
    assert "it was called" in said.out and "6 pictures made" in said.out
    sys.modules.pop(CANARY)
    seen.clear()
    refused(capsys, ["predict", "--config", "own.yaml"])  # trust ends with the command
