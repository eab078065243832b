"""Two Ray machines on one: each with a network of its own, or two nodes where that is not allowed.

    with two_machines(hidden) as cluster:
        subprocess.run([*cluster.first, "python", ...], env=cluster.environment)

The second machine finds nothing in the folder `hidden`, as one without a shared disk would.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

QUIET = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
PATIENCE = 120  # seconds
HOSTS = ("10.77.0.1", "10.77.0.2")
RAY = str(Path(sys.executable).with_name("ray"))


@dataclass(frozen=True)
class Cluster:
    """Two machines that run."""

    first: list[str]
    """What a command on the first machine begins with."""
    address: str
    apart: bool
    """Whether each has a network of its own."""
    environment: dict[str, str]


@contextmanager
def two_machines(hidden: Path) -> Iterator[Cluster]:
    """Yield a cluster of two machines with a CPU each; it is gone when the block ends."""
    with ExitStack() as stack:
        temporary = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # its sockets need a short path
        stack.callback(shutil.rmtree, temporary, ignore_errors=True)
        apart = stack.enter_context(_networks())
        hosts = HOSTS if apart else ("127.0.0.1", "127.0.0.1")
        first, second = ([*_inside(place)] if apart else [] for place in (0, 1))
        if apart:
            hide = 'mount -t tmpfs none "$0" && exec "$@"'
            second = [*second, "unshare", "--mount", "sh", "-c", hide, str(hidden)]
        address = f"{hosts[0]}:{6399 if apart else 6397}"
        environment = {**os.environ, **QUIET}
        one = ["--num-cpus", "1", "--object-store-memory", "100000000", "--block"]
        head = ["--head", "--port", address.split(":")[1], "--include-dashboard=false"]
        starts = [
            [*first, RAY, "start", *head, "--temp-dir", temporary, "--node-ip-address", hosts[0]],
            [*second, RAY, "start", "--address", address, "--node-ip-address", hosts[1]],
        ]
        for number, start in enumerate(starts):
            log = Path(temporary, f"{number}.log")
            stack.enter_context(_running([*start, *one], log, environment))
        yield Cluster(first, address, apart, environment)


@contextmanager
def _networks() -> Iterator[bool]:
    """Make two networks that reach each other; yield whether that was allowed."""
    names = [_name(place) for place in (0, 1)]
    steps = [
        *(f"netns add {name}" for name in names),
        f"link add ray0 netns {names[0]} type veth peer name ray1 netns {names[1]}",
        *(f"-n {name} addr add {HOSTS[n]}/24 dev ray{n}" for n, name in enumerate(names)),
        *(f"-n {name} link set ray{n} up" for n, name in enumerate(names)),
        *(f"-n {name} link set lo up" for name in names),
    ]
    made = shutil.which("ip") is not None and all(
        subprocess.run(["ip", *step.split()], capture_output=True, check=False).returncode == 0
        for step in steps
    )
    try:
        yield made
    finally:
        if shutil.which("ip") is not None:
            for name in names:
                subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def _name(place: int) -> str:
    return f"explorer-{os.getpid()}-{place}"


def _inside(place: int) -> list[str]:
    return ["ip", "netns", "exec", _name(place)]


@contextmanager
def _running(command: list[str], log: Path, environment: dict[str, str]) -> Iterator[None]:
    """Run a Ray node until the block ends."""
    with log.open("w") as stream:
        process = subprocess.Popen(
            command, stdout=stream, stderr=stream, env=environment, start_new_session=True
        )
    end = time.monotonic() + PATIENCE
    try:
        while "Ray runtime started" not in (said := log.read_text("utf-8")):
            assert process.poll() is None and time.monotonic() < end, said
            time.sleep(0.1)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        finally:
            _end_session(process.pid)


def _end_session(session: int) -> None:
    """Kill what a node left of its own session."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(process.name)) == session:
                os.kill(int(process.name), signal.SIGKILL)
        except ProcessLookupError:
            continue
