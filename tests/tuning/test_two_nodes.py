"""A sweep over two nodes that loses one: two network namespaces on this machine, joined by a virtual cable."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

pytestmark = pytest.mark.slow
HEAD, WORKER = "10.213.7.1", "10.213.7.2"
RAY = str(Path(sys.executable).with_name("ray"))
START_S = 300
AUTHENTICATION = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "0" * 64,
}  # of a cluster that no other machine can reach


def ip(*arguments):
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def kill_all(namespace):
    """Kill every process of a namespace."""
    found = subprocess.run(["ip", "netns", "pids", namespace], check=False, capture_output=True, text=True)
    for pid in found.stdout.split():
        os.kill(int(pid), signal.SIGKILL)


@pytest.fixture
def namespaces():
    """Names of two network namespaces that reach each other and nothing else; gone afterwards."""
    names = [f"cellclr{os.getpid()}{side}" for side in "hw"]
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need root and iproute2")
    try:
        ip("netns", "add", names[0])
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr.strip()}")
    try:
        ip("netns", "add", names[1])
        ip("link", "add", "veth0", "netns", names[0], "type", "veth", "peer", "name", "veth0", "netns", names[1])
        for name, address in zip(names, (HEAD, WORKER), strict=True):
            ip("-n", name, "address", "add", f"{address}/24", "dev", "veth0")
            ip("-n", name, "link", "set", "veth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names
    finally:
        for name in names:
            kill_all(name)
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def start_node(namespace, temp, *options):
    """`ray start` in a namespace; returns when it is up."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= AUTHENTICATION | {"RAY_USAGE_STATS_ENABLED": "0"}
    command = ["ip", "netns", "exec", namespace, RAY, "start", *options, "--num-cpus=1", "--block"]
    log = temp / f"{namespace}.log"
    with log.open("w") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out, start_new_session=True)
    deadline = time.monotonic() + START_S
    while "Ray runtime started" not in log.read_text():
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


def test_a_sweep_spreads_and_survives_the_loss_of_a_node(namespaces, sweep, tmp_path, monkeypatch):
    head, worker = namespaces
    for name, value in AUTHENTICATION.items():
        monkeypatch.setenv(name, value)
    short = Path("/tmp") / head  # Ray's sockets need a short path
    start_node(head, tmp_path, "--head", f"--node-ip-address={HEAD}", "--port=6379", f"--temp-dir={short}",
               "--include-dashboard=false")  # fmt: skip
    start_node(worker, tmp_path, f"--address={HEAD}:6379", f"--node-ip-address={WORKER}")
    inside = ("ip", "netns", "exec", head)
    options = sweep.new("--epochs", "4", "--seeds", "0", "1", "--address", f"{HEAD}:6379")
    process = sweep.start(tmp_path, "two", *options, wrapper=inside)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if sum("epoch" in text for text in lines) == 6:
            break
    assert any("2 at a time" in line for line in lines), "".join(lines)  # one processor on each node
    assert all(any(f" on {node}" in line for line in lines) for node in (HEAD, WORKER)), "".join(lines)
    kill_all(worker)
    output = "".join(lines) + process.stdout.read()
    assert process.wait(timeout=300) == 0, output
    assert "8 of 8 trials done" in output
    results = pd.read_csv(tmp_path / "two" / "results.csv")
    assert len(results) == 8 and results["error"].isna().all() and (results["epoch"] == 4).all()
    shutil.rmtree(short, ignore_errors=True)
