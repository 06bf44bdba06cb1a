"""Trajectories on disk survive what disks, other processes and users do to them."""

import hashlib
import json
import os
import random
import subprocess
import sys
import time
from functools import partial

import pytest
import torch
from safetensors.torch import save_file

from hsx.commands.parser import run
from hsx.commands.store import store as commands
from hsx.errors import HsxError
from hsx.store.trajectories import Store, StoreError

command = partial(run, "hsx store", commands)

TIMES = (0, 100, 300)
WRITER = """
import resource, sys, torch
from hsx.store.trajectories import Store
torch.manual_seed(0)
x_T, h = torch.randn(3, 8, 8), torch.randn(3, 4, 2, 2)
folder, key, times, limit = sys.argv[1:]
if int(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
for _ in range(int(times)):
    Store(folder).put(key, x_T, {"h": h}, (0, 100, 300))
"""


def key(n: int) -> str:
    return Store("unused").key(f"picture {n}", {"steps": 4})


def tensors() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(3, 8, 8), torch.randn(3, 4, 2, 2)


def fill(store: Store, number: int = 1, h: bool = True) -> list[str]:
    """So many trajectories, the first used longest ago; their keys."""
    x_T, bottleneck = tensors()
    keys = [key(n) for n in range(number)]
    for age, name in zip(range(number, 0, -1), keys, strict=True):
        store.put(name, x_T, {"h": bottleneck} if h else {}, TIMES)
        backdate(store, name, 1000 * age)
    return keys


def path(store: Store, name: str):
    return store.path / name[:2] / f"{name}.safetensors"


def backdate(store: Store, name: str, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path(store, name), (then, then))


def age(store: Store, name: str) -> float:
    return time.time() - path(store, name).stat().st_mtime


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "trajectories")


def test_key_tells_pictures_and_settings_apart(store):
    settings = {"weights": "w", "steps": 4, "t_start": 999}
    others = [
        store.key("q", settings),
        store.key("p", {**settings, "steps": 5}),
        Store("unused", "float32").key("p", settings),
        store.key("p", settings),
    ]
    assert len(set(others)) == 4
    assert store.key("p", dict(reversed(settings.items()))) == others[3]
    assert len(others[3]) == 24 and int(others[3], 16)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_round_trip(tmp_path, dtype):
    store = Store(tmp_path / "s", dtype)
    assert not store.path.exists()
    [name] = fill(store)
    x_T, h = tensors()
    found = store.get(name, ("h",))
    assert torch.equal(found["x_T"], x_T) and found["x_T"].dtype == torch.float32
    assert found["timesteps"].tolist() == list(TIMES)
    assert found["h"].dtype == getattr(torch, dtype)
    assert torch.equal(found["h"], h.to(found["h"].dtype))
    assert set(store.get(name, ())) == {"x_T", "timesteps"}


def test_float16_halves_h(tmp_path):
    x_T, h = torch.zeros(3, 2, 2), torch.randn(8, 32, 8, 8)
    sizes = []
    for dtype in ("float16", "float32"):
        store = Store(tmp_path / dtype, dtype)
        store.put(key(0), x_T, {"h": h}, range(8))
        sizes.append(next(store.entries()).bytes)
    assert sizes[0] < 0.52 * sizes[1]


def test_values_beyond_float16_are_kept_in_float32(store):
    x_T, h = tensors()
    h[0, 0, 0, 0] = 1e6
    store.put(key(0), x_T, {"h": h}, TIMES)
    assert torch.equal(store.get(key(0), ("h",))["h"], h)


def test_tensors_may_need_grad_and_be_views_of_a_batch(store):
    x_T = torch.randn(2, 8, 8, 3, dtype=torch.float64, requires_grad=True).permute(0, 3, 1, 2)[1]
    store.put(key(0), x_T, {"h": tensors()[1].transpose(2, 3)}, TIMES)
    assert torch.equal(store.get(key(0), ("h",))["x_T"], x_T.detach().float())


def damaged(data: bytes) -> dict[str, bytes]:
    """Forty files with one byte changed, the first in the header's length, and ten that are cut short."""
    places = random.Random(0)
    spots = [0, 7, 8, 9, len(data) - 1, *places.sample(range(8, 400), 15), *places.sample(range(400, len(data)), 20)]
    files = {f"byte {i}": data[:i] + bytes([data[i] ^ 1 << places.randrange(8)]) + data[i + 1 :] for i in spots}
    return files | {f"cut at {n}": data[:n] for n in [0, 1, 8, len(data) - 1, *places.sample(range(9, len(data)), 6)]}


def test_a_corrupt_one_is_found_removed_and_made_anew(store):
    [name] = fill(store)
    file = path(store, name)
    whole = file.read_bytes()
    cases = damaged(whole)
    assert len(cases) == 50
    for case, data in cases.items():
        file.write_bytes(data)
        with pytest.raises(StoreError, match="expected a whole trajectory, got a corrupt one .*start again"):
            store.get(name, ())
        store.corrupt.clear()
        assert not store.has(name, ()), case
        assert store.corrupt == [name] and not file.exists()
    fill(store)
    assert store.has(name, ("h",))


def test_another_file_under_a_trajectory_s_name_is_corrupt(store):
    [name] = fill(store)
    save_file({"x_T": torch.zeros(3, 8, 8)}, path(store, name))
    with pytest.raises(StoreError, match="another safetensors file"):
        store.get(name, ())
    assert not store.has(name, ())


def test_how_it_was_computed_is_kept(store):
    x_T, h = tensors()
    how = {"rows": 4, "threads": 2, "device": "cpu"}
    store.put(key(0), x_T, {"h": h}, TIMES, how)
    assert store.how(key(0)) == how and set(store.get(key(0), ("h",))) == {"x_T", "h", "timesteps"}
    fill(store)  # without a word on it
    assert store.how(key(0)) == {} == store.how(key(1))


def former(store: Store, name: str, seconds: float = 0) -> None:
    """An entry as the first version wrote it."""
    x_T, h = tensors()
    tensors_ = {"x_T": x_T, "timesteps": torch.tensor(TIMES), "h": h.half()}
    total = hashlib.blake2b(digest_size=16)
    for part, tensor in sorted(tensors_.items()):
        total.update(f"{part} {tensor.dtype} {tuple(tensor.shape)} ".encode() + tensor.numpy().tobytes())
    path(store, name).parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors_, path(store, name), {"hsx_trajectory": "1", "checksum": total.hexdigest()})
    backdate(store, name, seconds)


def test_entries_of_the_former_version_are_neither_used_nor_corrupt(store, capsys):
    fill(store, 2)
    former(store, key(2))
    assert not store.has(key(2), ("h",)) and store.corrupt == [] and path(store, key(2)).exists()
    with pytest.raises(StoreError, match="of version 2, got a whole one of version 1, which this hsx does not use"):
        store.get(key(2), ("h",))
    assert command(["ls", str(store.path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "not used (version 1)" in lines[1] and not any("not used" in line for line in lines[2:])
    assert command(["verify", str(store.path), "--delete"]) == 0
    assert "0 corrupt, 1 of another version of hsx, not used by this one: " in capsys.readouterr().out
    assert command(["verify", str(store.path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["other_versions"] == [key(2)] and found["corrupt"] == {}
    file = path(store, key(2))
    size = file.stat().st_size
    assert command(["prune", str(store.path), "--max_gb", str(2.5 * size / 1e9)]) == 0
    assert {entry.key for entry in store.entries()} == {key(0), key(1)}  # it goes first, although it was used last
    former(store, key(2))
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert command(["verify", str(store.path)]) == 1  # one that is broken is corrupt, of whatever version


def test_one_that_is_gone(store):
    assert not store.has(key(0), ()) and store.corrupt == []
    with pytest.raises(StoreError, match="could not read it .No such file or directory.; start again"):
        store.get(key(0), ("h",))


def test_a_style_becomes_a_content_and_stays_one(store):
    [name] = fill(store, h=False)
    assert store.has(name, ()) and not store.has(name, ("h",))
    assert next(store.entries()).sites == []
    with pytest.raises(StoreError, match="with h, got one without"):
        store.get(name, ("h",))
    fill(store)
    fill(store, h=False)
    assert store.has(name, ("h",)) and next(store.entries()).sites == ["h"] and store.corrupt == []


def test_what_is_used_counts_as_used(store):
    [name] = fill(store)
    for use in (store.has, store.get):
        backdate(store, name, 5000)
        use(name, ("h",))
        assert age(store, name) < 100
    [name] = fill(store, h=False)
    path(store, name).unlink()
    fill(store, h=False)
    assert not store.has(name, ("h",)) and age(store, name) > 100  # not what was wanted


def test_what_was_used_longest_ago_goes_first(store):
    keys = fill(store, 5)
    size = next(store.entries()).bytes
    assert store.evict() == (0, 0)
    store.get(keys[0], ("h",))
    small = Store(store.path, max_gb=2.5 * size / 1e9)
    assert small.evict() == (3, 3 * size)
    assert {entry.key for entry in store.entries()} == {keys[0], keys[4]}
    assert small.evict() == (0, 0)
    assert Store(store.path, max_gb=1e-9).evict() == (2, 2 * size)


@pytest.mark.parametrize("max_gb", [0, -1.0, float("nan")])
def test_max_gb_is_above_zero(max_gb):
    with pytest.raises(HsxError, match="max_gb: expected a number of gigabytes above 0, got"):
        Store("unused", max_gb=max_gb)


def test_foreign_files_are_left_alone(store):
    [name] = fill(store)
    size = path(store, name).stat().st_size
    foreign = [
        store.path / "notes.safetensors",
        path(store, name).with_name("notes.safetensors"),
        path(store, name).with_name("notes.part"),
        store.path / "zz" / f"{name}.safetensors",
    ]
    for file in foreign:
        file.parent.mkdir(exist_ok=True)
        file.write_text("mine")
        os.utime(file, (0, 0))
    assert [entry.key for entry in store.entries()] == [name]
    assert Store(store.path, max_gb=1e-9).evict() == (1, size)
    assert store.sweep() == 0
    assert all(file.read_text() == "mine" for file in foreign)


def test_sweep_takes_the_old_parts_of_killed_writers(store):
    assert store.sweep() == 0
    [name] = fill(store)
    old, young = (path(store, name).with_name(f".tmp{n}.part") for n in range(2))
    for file, seconds in ((old, 4000), (young, 3000)):
        file.write_bytes(b"half")
        os.utime(file, (time.time() - seconds,) * 2)
    assert store.sweep() == 1
    assert young.exists() and not old.exists() and store.has(name, ("h",))


def writer(store: Store, times: int = 1, limit: int = 0) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(store.path), key(0), str(times), str(limit)],
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_may_write_one_entry(store):
    writers = [writer(store, 200) for _ in range(2)]
    while any(each.poll() is None for each in writers):
        if path(store, key(0)).exists():
            assert store.has(key(0), ("h",))
    assert [each.communicate()[1] for each in writers] == ["", ""]
    assert torch.equal(store.get(key(0), ("h",))["x_T"], tensors()[0])
    assert [file.name for file in path(store, key(0)).parent.iterdir()] == [f"{key(0)}.safetensors"]


def test_a_full_disk_is_one_line_and_leaves_nothing(store):
    errors = writer(store, limit=600).communicate()[1].splitlines()
    assert errors[-1] == (
        f"hsx.errors.HsxError: store: expected to write {path(store, key(0))}, could not (File too large); free some "
        "space or name another with --store.path, then start again to go on"
    )
    assert list(path(store, key(0)).parent.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(HsxError, match=r"^store: expected to write .*, could not \(Not a directory\); free some space"):
        fill(Store(tmp_path / "file" / "s"))


def test_ls(store, capsys):
    fill(store, 2)
    store.put(key(2), tensors()[0], {}, TIMES)
    assert command(["ls", str(store.path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["key", key(2), key(1), key(0), "3"]
    assert "without" in lines[1] and "with h" in lines[2]
    assert "3 trajectories (" in lines[-1] and lines[-1].endswith(f"in {store.path}")
    assert command(["ls", str(store.path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["number"] == 3 and found["bytes"] == sum(entry.bytes for entry in store.entries())
    assert [row["sites"] for row in found["trajectories"]] == [[], ["h"], ["h"]]


def test_a_runs_output_folder_and_a_folder_named_like_a_trajectory(tmp_path, capsys):
    store = Store(tmp_path / "trajectories")
    fill(store, 1)
    assert command(["ls", str(tmp_path)]) == 0
    assert capsys.readouterr().out.rstrip().endswith(f"in {store.path}")
    folder = path(store, key(1))
    folder.mkdir(parents=True)
    assert command(["verify", str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines()[0] == (
        f"{folder}: expected a trajectory, could not read it (Is a directory); take it away"
    )


def test_prune(store, capsys):
    fill(store, 3)
    size = next(store.entries()).bytes
    limit = ["--max_gb", str(2.5 * size / 1e9)]
    assert command(["prune", str(store.path), *limit]) == 0
    assert capsys.readouterr().out.startswith("1 removed (")
    assert {entry.key for entry in store.entries()} == {key(1), key(2)}
    assert command(["prune", str(store.path), *limit, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "removed": {"number": 0, "bytes": 0},
        "left": {"number": 2, "bytes": 2 * size},
    }


def test_verify(store, capsys):
    fill(store, 2)
    assert command(["verify", str(store.path)]) == 0
    assert "2 trajectories (" in capsys.readouterr().out
    file = path(store, key(0))
    file.write_bytes(file.read_bytes()[:-1])
    backdate(store, key(1), 5000)
    for _ in range(2):  # without --delete it stays
        assert command(["verify", str(store.path)]) == 1
        first, last = capsys.readouterr().out.splitlines()
        assert first.startswith(f"{file}: expected a whole trajectory, got a corrupt one (") and ", 1 corrupt:" in last
    assert command(["verify", str(store.path), "--json"]) == 1
    assert list(json.loads(capsys.readouterr().out)["corrupt"]) == [key(0)]
    assert command(["verify", str(store.path), "--delete"]) == 1
    assert ", 1 corrupt, removed:" in capsys.readouterr().out and not file.exists()
    assert age(store, key(1)) > 100  # to be checked is not to be used
    assert command(["verify", str(store.path)]) == 0


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "the following arguments are required: ls|prune|verify; see hsx store --help"),
        (["tidy"], "'tidy'"),
        (["ls"], "the following arguments are required: folder; see hsx store ls --help"),
        (["ls", "no/such"], r"got no/such \(no such folder\); name a run's --store.path"),
        (["ls", "."], r"got . \(a folder without any\)"),
        (["ls", __file__], r"test_trajectories.py \(a file\); name a run's --store.path or --output_dir"),
        (["ls", ".", "--all"], "unrecognized arguments: --all"),
        (["prune", "."], "required: --max_gb"),
        (["prune", ".", "--max", "1"], r"unrecognized arguments: --max 1 \(the nearest is --max_gb\)"),
        (["prune", ".", "--max_gb", "much"], "max_gb: expected float, got much"),
    ],
)
def test_mistakes_are_one_line(argv, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HsxError, match=said) as caught:
        command(argv)
    assert "\n" not in str(caught.value)
