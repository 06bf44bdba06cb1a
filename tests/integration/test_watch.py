"""Stopped within seconds whatever it does; waiting with a word; SLURM's and torchrun's variables taken as they are."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from hsx.cli import main

TASK = {
    "SLURM_JOB_ID": "77",
    "SLURM_NODELIST": "localhost",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
    "SLURM_NTASKS_PER_NODE": "2",
}
DDP = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
STOPPED = "hsx: stopped; what is finished is kept, start again to go on\n"


def options(tiny_model, pictures, out="out") -> list[str]:
    return [
        "predict",
        "--model.backbone",
        str(tiny_model),
        "--data.contents",
        str(pictures / "contents"),
        "--data.styles",
        str(pictures / "styles"),
        "--output_dir",
        str(pictures / out),
        "--trainer.accelerator",
        "cpu",
        "--model.inversion_steps",
        "3",
        "--model.generation_steps",
        "3",
    ]


def start(argv, code=None, **env) -> subprocess.Popen:
    """hsx in a process of its own, or Python code that calls it."""
    words = ["-c", code] if code else ["-m", "hsx"]
    return subprocess.Popen(
        [sys.executable, *words, *argv],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **env},
        start_new_session=True,
    )


def until(process, text) -> str:
    """What a process says on stderr up to a line with ``text``."""
    said = ""
    for line in process.stderr:
        said += line
        if text in line:
            return said
    raise AssertionError(said)


def ends(process, how=signal.SIGTERM) -> str:
    """The rest of what is said; it takes five seconds at most, and nothing that it started stays."""
    begun = time.monotonic()
    process.send_signal(how)
    rest = process.communicate(timeout=60)[1]
    assert time.monotonic() - begun < 5 and process.returncode == 130, rest
    assert rest.endswith(STOPPED) and rest.count("stopped") == 1 and "Traceback" not in rest, rest
    deadline = time.monotonic() + 10
    while session(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not session(process.pid)
    return rest


def session(pid: int) -> list[str]:
    """The processes of a session that still run."""
    listed = subprocess.run(["ps", "-eo", "sid,stat,args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if line.split()[0] == str(pid) and line.split()[1][0] != "Z"]


def free_port() -> str:
    with socket.socket() as s:
        s.bind(("localhost", 0))
        return str(s.getsockname()[1])


ALONE = {  # the environment, more words, the signal, and what is said
    "srun": (
        {**TASK, "SLURM_NTASKS": "2"},
        DDP,
        signal.SIGTERM,
        "1 of 2 processes has come; start one in each task with srun",
    ),
    "torchrun": (
        {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"},
        DDP,
        signal.SIGINT,
        "1 of 2 processes has come; start hsx predict on every node, with torchrun or srun",
    ),
    "nodes": (
        {},
        ["--trainer.devices", "1", "--trainer.num_nodes", "3", "--trainer.strategy", "ddp"],
        signal.SIGTERM,
        "1 of 3 processes has come; start hsx predict on every node",
    ),
}


def test_a_run_that_waits_says_for_whom_and_can_be_stopped(tiny_model, pictures):
    """Three ways of being alone, at the same time, and a second process without its first."""
    started = [
        start([*options(tiny_model, pictures, name), *words], MASTER_PORT=free_port(), **env)
        for name, (env, words, *_) in ALONE.items()
    ]
    port = free_port()
    second = start(
        [*options(tiny_model, pictures), *DDP], LOCAL_RANK="1", NODE_RANK="0", MASTER_ADDR="127.0.0.1", MASTER_PORT=port
    )
    for process, (_, _, how, said) in zip(started, ALONE.values(), strict=True):
        heard = until(process, "waiting")
        assert heard.startswith("hsx: waiting: ") and said in heard and "--trainer.devices 1" in heard
        ends(process, how)
    heard = until(second, "waiting")
    assert heard.startswith(f"hsx: waiting: process 1 of 2 finds no process 0 at 127.0.0.1:{port}; "), heard
    second.terminate()
    assert "Traceback" not in second.communicate(timeout=5)[1] and second.returncode == 130


HANG = """
import subprocess, sys, threading
def hang(*_, **__):
    subprocess.Popen(["sleep", "60"])
    print("begun", file=sys.stderr, flush=True)
    lock = threading.Lock()
    while True:
        try:
            lock.acquire()
        except BaseException:
            pass
from hsx.runner import model as modules
modules.load_backbone = hang
from hsx.cli import main
sys.exit(main())
"""


def test_what_never_ends_by_itself_ends_in_seconds(tiny_model, pictures):
    """With a child, in C, and where every exception is caught."""
    process = start(options(tiny_model, pictures), HANG)
    until(process, "begun")
    ends(process)


def test_inspect_of_a_server_that_never_answers_ends_too(tmp_path):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        process = start(["inspect", f"http://127.0.0.1:{server.getsockname()[1]}/a.pt"], HSX_CACHE=str(tmp_path))
        connection, _ = server.accept()
        assert connection.recv(3) == b"GET"
        ends(process)
        connection.close()
    assert not list(tmp_path.iterdir())


def test_workers_end_with_the_run(tiny_model, pictures):
    argv = [*options(tiny_model, pictures), "--data.num_workers", "2", "--data.batch_size", "1"]
    code = (
        "import sys, time\nfrom hsx.runner import items as datamodule\n"
        "def read_image(*_):\n    print('begun', file=sys.stderr, flush=True)\n    time.sleep(60)\n"
        "datamodule.read_image = read_image\nfrom hsx.cli import main\nsys.exit(main())"
    )
    process = start(argv, code)
    until(process, "begun")
    ends(process)


@pytest.mark.parametrize(
    "env",
    [
        {"SLURM_NTASKS": "2", "SLURM_JOB_NAME": "interactive"},
        {"SLURM_NTASKS": "8", "SLURM_JOB_NAME": "mine"},
        {"SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"},
        {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "nowhere.invalid"},
        {"SLURM_PROCID": "0"},
    ],
)
def test_one_device_just_runs_in_a_shell_of_slurm(tiny_model, pictures, monkeypatch, env):
    for name, value in {"SLURM_JOB_ID": "77", "SLURM_NODELIST": "n[1-4]", **env}.items():
        monkeypatch.setenv(name, value)
    assert main(options(tiny_model, pictures)) == 0


@pytest.mark.parametrize(
    "env, words, said",
    [
        (
            {**TASK, "SLURM_NTASKS": "2"},
            [],
            "trainer.devices, trainer.num_nodes: expected 2 processes, as SLURM_NTASKS says, "
            "got 1 (1 on each of 1 nodes); give as many, start as many with srun",
        ),
        ({**TASK, "SLURM_NTASKS": "1"}, DDP, "expected 1 processes, as SLURM_NTASKS says, got 2"),
        ({**TASK, "SLURM_NTASKS": "4", "SLURM_NNODES": "2"}, DDP, "expected 4 processes, as SLURM_NTASKS says, got 2"),
        ({**TASK, "SLURM_NTASKS": "4"}, ["--trainer.devices", "4", "--trainer.strategy", "ddp"], "unset SLURM_NTASKS"),
        ({"SLURM_NTASKS": "2", "SLURM_PROCID": "0"}, DDP, "start with srun --ntasks-per-node, or unset SLURM_NTASKS"),
        (
            {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_PROCID": "0"},
            DDP,
            "in the environment, as srun and torchrun set it, found none; start with one of them",
        ),
        ({"SLURM_NTASKS": "two"}, [], "SLURM_NTASKS: expected a number in the environment, got two; unset it"),
        ({"TORCHELASTIC_RUN_ID": "1"}, DDP, "trainer: expected LOCAL_RANK in the environment"),
        (
            {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "4", "RANK": "0", "LOCAL_RANK": "0"},
            DDP,
            "does not match the world size",
        ),
        ({"MASTER_PORT": "http"}, [], "MASTER_PORT: expected a number in the environment, got http"),
    ],
)
def test_an_environment_that_contradicts_the_run_is_refused(
    tiny_model, pictures, monkeypatch, capsys, env, words, said
):
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert main([*options(tiny_model, pictures), *words]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


def test_a_meeting_place_that_is_taken_is_a_line(tiny_model, pictures):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        process = start(
            [*options(tiny_model, pictures), *DDP],
            LOCAL_RANK="0",
            MASTER_ADDR="127.0.0.1",
            MASTER_PORT=str(other.getsockname()[1]),
        )
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 2 and "Traceback" not in said
    assert said.splitlines()[-1].startswith("hsx: error: trainer: expected 2 processes to meet at 127.0.0.1:")
