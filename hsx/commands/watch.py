"""A run that is asked to stop ends within seconds, whatever it is doing; and one that waits for others says so."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

from hsx.errors import HsxError, first_line

STOPS = (signal.SIGINT, signal.SIGTERM)
PATIENCE = 3.0  # seconds that an orderly end may take
WAIT = 10.0  # seconds until a run says for what it waits
AGAIN = 300.0  # and then again
MEETING = ("MASTER_ADDR", "MASTER_PORT")  # where the processes of a run meet, in the environment
CAME = "hsx_came"  # and there: how many have come
asked: list[int] = []  # by which signals this process was asked to stop
_announced: list[bool] = []


def on_stop(at_once: bool) -> None:
    """Ctrl-C and SIGTERM raise KeyboardInterrupt, so that all is tidied up; Lightning makes another exception of it.

    While modules are imported there is nothing to tidy up, and exceptions go astray: they end the process ``at_once``.
    """

    def stop(number: int, frame: object) -> None:
        asked.append(number)
        if at_once:
            os._exit(stopped())
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        for number in STOPS:
            signal.signal(number, stop)


def stopped(how: int = signal.SIGTERM) -> int:
    """Tell those that this process started to end, say so once, from the first process only; the exit code."""
    for child in _descendants(os.getpid()):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(child, how)
    if not _announced and all(os.environ.get(rank, "0") == "0" for rank in ("RANK", "LOCAL_RANK", "SLURM_PROCID")):
        _announced.append(True)
        with suppress(OSError):
            os.write(2, b"hsx: stopped; what is finished is kept, start again to go on\n")
    return 130


@contextmanager
def ended_in_time() -> Iterator[None]:
    """Within it a process that is asked to stop ends within PATIENCE, and those that it started with it.

    Python's handlers wait until the main thread comes back from C, which it may never do; a thread does not.
    """
    asked.clear()
    _announced.clear()
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in STOPS}
    read, write = os.pipe()
    os.set_blocking(write, False)
    before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    threading.Thread(target=_end, args=(read,), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(write)  # which ends the thread, if nobody asked
        if not asked:
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _end(read: int) -> None:
    """End the process some time after a signal has come, if it is still there."""
    while number := os.read(read, 1):
        if number[0] in STOPS:
            time.sleep(PATIENCE)
            os._exit(stopped(signal.SIGKILL))
    os.close(read)


def _descendants(pid: int) -> list[int]:
    """The processes that a process started, and theirs; none where the system does not tell."""
    children: list[int] = []
    with suppress(OSError):
        for file in Path(f"/proc/{pid}/task").glob("*/children"):
            children += map(int, file.read_text().split())
    return children + [deeper for child in children for deeper in _descendants(child)]


@contextmanager
def waiting_announced(
    world_size: int, rank: int, command: str = "hsx predict", options: str = "--trainer."
) -> Iterator[None]:
    """Within it a process that waits for others says so, on stderr.  Raises HsxError where they do not meet.

    Args:
        command: what it was started with.
        options: how its options for devices and nodes begin.
    """
    done, remedy = threading.Event(), _remedy(command, options)
    if world_size > 1:
        threading.Thread(target=_announce, args=(done, world_size, rank, remedy), daemon=True).start()
    try:
        yield
    except RuntimeError as error:
        if not type(error).__name__.startswith("Dist"):  # torch.distributed's
            raise
        host, port = (os.environ.get(name, "") for name in MEETING)
        wanted = f"expected {world_size} processes to meet at {host}:{port}"
        raise HsxError(f"trainer: {wanted}, got an error ({first_line(error)}); {remedy}") from None
    finally:
        done.set()


def _announce(done: threading.Event, world_size: int, rank: int, remedy: str) -> None:
    from torch.distributed import TCPStore, is_initialized  # type: ignore[attr-defined]

    store: TCPStore | None = None
    due = time.monotonic() + WAIT
    while not done.wait(1) and not is_initialized():
        host, port = (os.environ.get(name, "") for name in MEETING)
        if store is None and port:
            with suppress(OSError, RuntimeError):  # process 0 is not there, or not yet
                socket.create_connection((host, int(port)), 1).close()
                store = TCPStore(host, int(port), None, False, timedelta(seconds=2), wait_for_workers=False)
                store.add(CAME, 1)
        starting = bool(_descendants(os.getpid()))  # those that Lightning has started take their time
        if time.monotonic() < due + 5 * WAIT * starting:
            continue
        due = time.monotonic() + AGAIN
        if store is None:
            found = f"process {rank} of {world_size} finds no process 0 at {host}:{port}"
        elif rank == 0:
            came = int(store.add(CAME, 0))
            found = f"{came} of {world_size} processes {'has' if came == 1 else 'have'} come"
        else:
            continue  # process 0 tells
        print(f"hsx: waiting: {found}; {remedy}", file=sys.stderr, flush=True)


def _remedy(command: str, options: str) -> str:
    """How the others are started, as far as the environment tells."""
    alone, tasks = f"say {options}devices 1 {options}num_nodes 1", os.environ.get("SLURM_NTASKS")
    if tasks is not None:
        return f"start one in each task with srun {command} …, or {alone} (SLURM_NTASKS is {tasks})"
    return f"start {command} on every node, with torchrun or srun, or {alone}"


if hasattr(os, "register_at_fork"):  # a worker's signals are not its parent's
    os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))
