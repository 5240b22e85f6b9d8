"""A server as users start it: a process of its own, which is asked over a socket and ended by signals."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from mytorch.commands.serve import serve as command
from mytorch.core import ArgumentError
from mytorch.experiments import RunError, load, train_experiment
from mytorch.experiments.serve.hosts import hosts_of
from mytorch.experiments.serve.serve import _listening, serve
from mytorch.experiments.serve.settings import Settings
from mytorch.plugins import MissingRequirementError

for name in ("starlette", "uvicorn", "prometheus_client", "httpx2"):
    pytest.importorskip(name)

ROWS = {"rows": [{"x": 0.125, "y": 0.7}, {"x": -0.5, "y": 0.25}]}
SIGNALLED = """
import os, pathlib, signal, sys
from mytorch.experiments.serve.serve import serve
from mytorch.experiments.serve.settings import Settings

def say(text):
    if text.startswith("Serving"):
        os.kill(os.getpid(), getattr(signal, sys.argv[1]))

if __name__ == "__main__":
    serve(Settings(pathlib.Path(sys.argv[2]), workers=int(sys.argv[3])), "127.0.0.1", 0, say=say)
"""
SERVE = "import sys; from mytorch.commands.serve import serve; serve(sys.argv[1:])"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return train_experiment("disk", {"epochs": 1}, output=tmp_path_factory.mktemp("runs"), quiet=True).path


@contextmanager
def served(path, *options):
    """The process of a server that takes requests, and its port."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error::ResourceWarning", "-c", SERVE, str(path), "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    try:
        line = process.stdout.readline()
        assert line.startswith(f"Serving {path.name} at http://127.0.0.1:"), line + process.stderr.read()
        yield process, int(re.search(r":(\d+)", line.partition("//")[2])[1])
    finally:
        process.kill()
        process.communicate()


def ask(port, body=None, path="/predict", timeout=60, **headers):
    """The status and the body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        content = None if body is None else json.dumps(body)
        named = {"Content-Type": "application/json", **headers}
        connection.request("GET" if body is None else "POST", path, content, named)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def ended(process, number):
    """The exit status of a process after a signal to it and its children, as Ctrl-C sends it, and what it wrote."""
    os.killpg(process.pid, number)
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals to a group of processes are those of POSIX")
def test_a_server_answers_as_predict_and_ends_with_a_signal(path):
    with served(path, "--log-requests") as (process, port):
        status, text = ask(port, ROWS)
        assert status == 200
        expected = load(path).predict(torch_rows()).probabilities.tolist()
        assert [list(row["probabilities"].values()) for row in json.loads(text)["predictions"]] == expected
        assert ask(port, path="/health")[0] == 200
        refused, told = ask(port, ROWS, Host="page.example")
        assert (refused, json.loads(told)["error"]["status"]) == (421, 421)
        with socket.create_connection(("127.0.0.1", port)) as raw:
            raw.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n")
            assert raw.recv(100).startswith(b"HTTP/1.1 400")
        with socket.create_connection(("127.0.0.1", port)) as raw:  # it leaves in the middle of its request
            raw.sendall(
                b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\nContent-Length: 9\r\n\r\nx"
            )
        with pytest.raises(
            ArgumentError, match=rf"127.0.0.1:{port} must be .* got Address already in use; .*--port 0"
        ):
            serve(Settings(path), "127.0.0.1", port)
        status, output, errors = ended(process, signal.SIGINT)
        assert status == 0
        assert '"POST /predict HTTP/1.1" 200' in output
        assert "Traceback" not in errors


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the processes of a server are listed by Linux")
def test_several_processes_count_together_are_replaced_when_they_die_and_end_with_a_signal(path):
    with served(path, "--workers", "2") as (process, port):
        assert {ask(port, ROWS)[0] for _ in range(20)} == {200}
        assert 'mytorch_requests_total{status="200"} 20.0' in ask(port, path="/metrics")[1]
        before = workers(process)
        assert len(before) == 2
        for worker in before:
            os.kill(worker, signal.SIGKILL)
        assert ask(port, ROWS, timeout=120)[0] == 200  # the socket keeps it until one of the others takes it
        assert not before & workers(process)
        assert ended(process, signal.SIGTERM)[::2] == (0, "")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
@pytest.mark.parametrize(("name", "workers"), [("SIGTERM", "1"), ("SIGINT", "1"), ("SIGTERM", "2")])
def test_a_signal_as_soon_as_it_says_that_it_serves_ends_it(path, tmp_path, name, workers):
    (tmp_path / "signalled.py").write_text(SIGNALLED)  # a file, which its processes import
    command = [sys.executable, tmp_path / "signalled.py", name, path, workers]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def workers(process):
    """The processes that a server has begun to answer."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return {int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()}


def torch_rows():
    import torch

    return torch.tensor([[row["x"], row["y"]] for row in ROWS["rows"]])


def test_what_is_no_run_and_what_is_damaged(path, tmp_path):
    with pytest.raises(RunError, match="must be the folder of a run"):
        serve(Settings(tmp_path), "127.0.0.1", 0)
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in path.iterdir():
        if file.is_file():
            (copy / file.name).write_bytes(file.read_bytes())
    weights = copy / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(RunError, match=r"weights.safetensors: must have the content that was written"):
        serve(Settings(copy), "127.0.0.1", 0)


def test_an_address_that_is_none(path):
    with pytest.raises(
        ArgumentError, match=r"host must be an address of this machine, such as 127\.0\.0\.1, got 'no host'"
    ):
        serve(Settings(path), "no host", 0)
    with pytest.raises(ArgumentError, match=r"198.51.100.1:0 must be an address at which this program may listen"):
        serve(Settings(path), "198.51.100.1", 0)


HERE = ("127.0.0.1", "localhost", "::1")


@pytest.mark.parametrize(
    ("address", "host", "allowed", "expected"),
    [
        ("127.0.0.1", "127.0.0.1", (), HERE),
        ("::1", "localhost", (), HERE),
        ("127.0.1.1", "desk", (), (*HERE, "127.0.1.1", "desk")),
        ("127.0.0.1", "127.0.0.1", ("models.example.org",), (*HERE, "models.example.org")),
        ("0.0.0.0", "0.0.0.0", (), ()),
        ("fe80::1%eth0", "fe80::1%eth0", (), ()),
        ("192.0.2.1", "desk", ("2001:db8::1",), (*HERE, "192.0.2.1", "desk", "2001:db8::1")),
    ],
)
def test_at_an_address_of_this_machine_alone_it_answers_for_this_machine_alone(address, host, allowed, expected):
    assert hosts_of(address, host, allowed) == expected


@pytest.mark.parametrize("name", ["", "https://a.example", "a.example:443", "*.example", "a.example/", "a b@c"])
def test_names_that_no_request_is_for(path, name):
    with pytest.raises(ArgumentError, match=r"serve: allow-host must be a name or an address without"):
        serve(Settings(path, hosts=(name,)), "127.0.0.1", 0)


def test_small_parts_of_an_answer_are_sent_at_once():
    with _listening("127.0.0.1", 0) as listener:  # asyncio turns Nagle's algorithm off for sockets of TCP alone
        assert listener.proto == socket.IPPROTO_TCP


@pytest.mark.parametrize("name", ["starlette", "uvicorn", "prometheus_client"])
def test_a_library_that_is_missing_is_told(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        MissingRequirementError, match=rf"{name} is not installed. Install: .*mytorch-experiments\[serve\]"
    ):
        serve(Settings(Path("nowhere")), "127.0.0.1", 0)


@pytest.mark.parametrize("options", [["--port", "70000"], ["--workers", "0"], ["--gather", "-1"], ["--max-body", "0"]])
def test_options_outside_of_their_range(path, options):
    assert CliRunner().invoke(command, [str(path), *options]).exit_code == 2
