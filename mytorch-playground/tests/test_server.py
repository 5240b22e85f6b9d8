"""The server as a browser meets it: a process of its own, pages that come and go, and requests that are none of it."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from playing import decode, served
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from mytorch.playground.exercises.load import FILES
from mytorch.playground.serve import serve

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server():
    with served() as (host, token, _):
        yield host, token


def session(host, token, name="", origin=None):
    address = f"ws://{host}/session?token={token}&session={name}"
    return connect(address, origin=origin or f"http://{host}", max_size=None)


def until(page, kind, **fields):
    while True:
        message = page.recv(timeout=60)
        if isinstance(message, bytes):
            decoded = decode(message)
            if decoded["kind"] == "frame":
                page.send('{"do": "seen"}')
            if decoded["kind"] == kind and all(decoded[name] == value for name, value in fields.items()):
                return decoded


def test_the_page_and_its_parts_are_served_and_nothing_beside_them(server):
    host, _ = server
    with urllib.request.urlopen(f"http://{host}/") as page:
        text = page.read().decode()
        assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    for part in re.findall(r'(?:src|href)="(/page/[^"]+)"', text):
        assert urllib.request.urlopen(f"http://{host}{part}").status == 200
    for path in ("/page/../app.py", "/page/%2e%2e/app.py", "/app.py"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://{host}{path}")


def test_another_host_name_is_refused(server):
    host, _ = server
    request = urllib.request.Request(f"http://{host}/", headers={"Host": "example.org"})
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(request)


def test_the_address_of_this_machine_in_the_newer_notation_is_served(server):
    host, _ = server
    request = urllib.request.Request(f"http://{host}/", headers={"Host": f"[::1]:{host.rpartition(':')[2]}"})
    assert urllib.request.urlopen(request).status == 200


@pytest.mark.parametrize(("token", "origin"), [("wrong", None), ("ö", None), (None, "http://example.org")])
def test_a_stranger_gets_no_session(server, token, origin):
    host, known = server
    with session(host, token or known, origin=origin) as page, pytest.raises(ConnectionClosed) as closed:
        page.recv(timeout=30)
    assert closed.value.rcvd.code == 4401


def post(host, path, token, content=b"{}", origin=None):
    request = urllib.request.Request(
        f"http://{host}{path}?token={token}", content, {"Origin": origin or f"http://{host}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_exercises_are_for_a_page_of_this_server_with_the_token(server):
    host, token = server
    for path in ("/exercises", "/exercises/judge"):
        assert post(host, path, "wrong")[0] == 403
        assert post(host, path, token, origin="http://example.org")[0] == 403
    status, told = post(host, "/exercises", token)
    assert status == 200
    assert len(told["exercises"]) >= 12
    assert told["breaking"][0]["title"] == "Dead units"
    (relu,) = (each for each in told["exercises"] if each["name"] == "relu")
    assert relu["solution"] in relu["pieces"]
    assert len(relu["pieces"]) == 4
    assert relu["trials"] == [{"build": "ReLU()", "inputs": "(5, 3)"}, {"build": "ReLU()", "inputs": "(4, 2)"}]


def test_an_answer_is_judged_and_what_is_none_is_told(server):
    host, token = server

    def judged(**asked):
        return post(host, "/exercises/judge", token, json.dumps(asked).encode())

    assert judged(name="relu", text="d_y * (x > 0)")[1]["right"]
    status, wrong = judged(name="relu", text="d_y")
    assert (status, wrong["right"]) == (200, False)
    assert wrong["why"].startswith("This is as if ReLU changed nothing")
    assert judged(name="relu", text="import os")[1]["text"].startswith("an import is not allowed")
    printed = judged(name="relu", text="print('\\ud800')\nd_x = d_y * (x > 0)")[1]  # half a character
    assert printed["right"]
    assert printed["printed"].startswith("\ud800\n")
    assert judged(name="nowhere", text="d_y") == (404, {"error": "there is no exercise 'nowhere'"})
    assert judged(name="relu", text="x" * 100_000)[0] == 400
    for content in (b"no json", b"[]", b'{"name": 5, "text": ""}', b"\xff", b'{"name": "relu"}'):
        assert post(host, "/exercises/judge", token, content)[0] == 400


def test_exercises_of_a_folder_come_first(tmp_path):
    relu = (FILES / "01-relu.toml").read_text()
    (tmp_path / "2-own.toml").write_text(relu.replace("ReLU: the", "Own: the"))
    (tmp_path / "3-tanh.toml").write_text(relu)
    with served("--exercises", str(tmp_path)) as (host, token, _):
        told = post(host, "/exercises", token)[1]["exercises"]
        assert [each["name"] for each in told[:4]] == ["own", "tanh", "relu", "sigmoid"]
        assert len(told) == 20
        asked = json.dumps({"name": "own", "text": "d_y * (x > 0)"}).encode()
        assert post(host, "/exercises/judge", token, asked)[1]["right"]


def test_a_page_that_comes_back_finds_what_was_trained(server):
    host, token = server
    with session(host, token) as page:
        name = json.loads(page.recv(timeout=30))["session"]
        until(page, "frame", step=0)
        page.send('{"do": "batch", "count": 3}')
        until(page, "frame", step=3)
    with session(host, token, name) as page:
        assert json.loads(page.recv(timeout=30))["session"] == name
        assert len(until(page, "experiment")["curve"]) == 3
        assert until(page, "frame")["step"] == 3


def test_a_session_belongs_to_the_tab_that_came_last(server):
    host, token = server
    with session(host, token) as first:
        name = json.loads(first.recv(timeout=30))["session"]
        until(first, "frame", step=0)
        with session(host, token, name) as second:
            with pytest.raises(ConnectionClosed) as closed:
                until(first, "never")
            assert closed.value.rcvd.code == 4402
            until(second, "experiment")
            second.send('{"do": "batch"}')
            assert until(second, "frame", step=1)["step"] == 1


def test_pages_that_go_at_once_or_send_what_is_no_text_take_no_place(server):
    host, token = server
    for _ in range(10):
        with session(host, token):
            pass
    with session(host, token) as page:
        name = json.loads(page.recv(timeout=30))["session"]
        page.send(b"no text")
        with pytest.raises(ConnectionClosed):
            until(page, "never")
    with session(host, token, name) as page:
        assert json.loads(page.recv(timeout=30))["session"] == name


def test_what_is_no_command_is_left_out(server):
    host, token = server
    with session(host, token) as page:
        page.recv(timeout=30)
        until(page, "frame", step=0)
        for text in ("no json", "[1]", '"do"', '{"do": 5}'):
            page.send(text)
        page.send('{"do": "batch"}')
        assert until(page, "frame", step=1)["step"] == 1


def test_a_table_may_be_as_long_as_the_page_says(server):
    host, token = server
    with session(host, token) as page:
        page.recv(timeout=30)
        until(page, "frame", step=0)
        page.send(json.dumps({"do": "no table", "text": '"' * 15_000_000}))  # 30 MB in JSON
        assert "no table" in until(page, "error")["text"]


def test_every_session_ends_with_the_server_and_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with served() as (host, token, server), session(host, token) as page:
        page.recv(timeout=30)
        until(page, "frame", step=0)
        asked = json.dumps({"name": "relu", "text": "d_y * (x > 0)"}).encode()
        assert post(host, "/exercises/judge", token, asked)[1]["right"]
        page.send('{"do": "play"}')
        until(page, "epoch")
        told = subprocess.run(["ps", "-o", "pid=", "--ppid", str(server)], capture_output=True, text=True, check=True)
        worker, judge = map(int, told.stdout.split())
        assert len(list(tmp_path.glob("mytorch-*"))) == 2
    for process in (worker, judge):
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
    assert list(tmp_path.glob("mytorch-*")) == []


def test_ctrl_c_ends_the_server_as_soon_as_its_address_is_told():
    told = []

    def interrupted(line):
        told.append(line)
        signal.raise_signal(signal.SIGINT)

    serve({"do": "experiment", "name": "disk"}, port=0, browse=False, say=interrupted)
    assert len(told) == 1


def test_a_taken_port_and_an_unknown_experiment_are_one_sentence(server):
    host, _ = server
    port = host.rpartition(":")[2]
    taken = subprocess.run(
        [sys.executable, "-m", "mytorch", "playground", "--no-browser", "--port", port],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert taken.returncode == 1
    assert f"port must be free, got {port}" in taken.stderr
    assert "Traceback" not in taken.stderr
    with served("nowhere") as (other, key, _), session(other, key) as page:
        page.recv(timeout=30)
        assert "nowhere" in until(page, "error")["text"]
