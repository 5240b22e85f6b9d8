"""One of several processes that ends, or trains another thing, ends the others with a clear error, and none hangs."""

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from datetime import timedelta
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from launch import ended, free_port, start, together
from torch import distributed

from mytorch.core import ArgumentError
from mytorch.train import RankError
from mytorch.train.parallel import Place, Processes, join, launched, require_alone
from mytorch.train.parallel.step import require_none_failed

pytestmark = pytest.mark.skipif(
    not (distributed.is_available() and distributed.is_gloo_available()), reason="this torch has no gloo"
)
slow = pytest.mark.slow
numbers = pytest.mark.numbers


class Unspeakable(Exception):
    def __str__(self):
        raise ValueError("no text")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("broken"), "ValueError: broken"),
        (Unspeakable(), "Unspeakable: Unspeakable"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (SystemExit(3), "SystemExit: 3"),
    ],
)
def test_the_other_processes_are_told_of_every_error_in_a_step(error, text):
    told = []
    first = SimpleNamespace(gather=lambda own: told.append(own) or [own, None])
    with pytest.raises(type(error)):
        require_none_failed(first, error)
    second = SimpleNamespace(gather=lambda own: [*told, own])
    with pytest.raises(RankError, match=f"got rank 0 that failed: {text}$"):
        require_none_failed(second, None)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What each of two processes saw of each failure."""
    folder = tmp_path_factory.mktemp("together")
    together("shared_failures.py", folder, "graceful", 60)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@slow
@numbers
@pytest.mark.parametrize(
    ("what", "texts"),
    [
        (
            "other batch size",
            ["RankError: parallel: rank 1 must train .*; batch_size must be 8, got 9"] * 2,
        ),
        ("other loss", ["RankError: parallel: rank 1 must .*; loss must be SquaredError, got Counted; .*"] * 2),
        ("other rate", ["RankError: .* rank 1 must .*; optimizer group 0.lr must be 0.1, got 1.1"] * 2),
        ("other time", ["ArgumentError: checkpoint_every: must be a number of seconds of at least 0, got -1"] * 2),
        (
            "other size",
            ["RankError: .* rank 1 must .*; model.*shape must .*|RankError: .*\\(3, 2\\).*\\(4, 2\\).*"] * 2,
        ),
        (
            "asking",
            ["RankError: .*, got rank 1 that ended: ValueError: a broken row", "ValueError: a broken row"],
        ),
        (
            "asking again",
            ["RankError: .*, got rank 1 that ended: ValueError: a broken row", "ValueError: a broken row"],
        ),
        (
            "a layer fails",
            [
                "RankError: parallel: every process must .*, got rank 1 that failed: ValueError: a broken row",
                "ValueError: a broken row",
            ],
        ),
        (
            "not finite",
            [
                rf"NotFiniteError: .* in epoch 1, batch \d: .* is the output of layer '0' \(Exploding\){where}; .*"
                for where in (r" \(rank 1\)", "")
            ],
        ),
        ("interrupted", ["Interrupted: ended by SIGTERM"] * 2),
        ("both interrupted", ["Interrupted: ended by SIGTERM"] * 2),
        ("interrupted at the end", ["Interrupted: ended by SIGTERM"] * 2),
    ],
)
def test_what_ends_one_process_ends_all(found, what, texts):
    for of_rank, text in zip(found, texts, strict=True):
        assert re.fullmatch(text, of_rank[what], re.DOTALL), of_rank[what]


@slow
@numbers
def test_a_process_that_ended_before_the_training_is_named(found):
    assert re.match(
        "RankError: parallel: every process must begin the training, got rank 1 that has left", found[0]["left"]
    )


@slow
@numbers
@pytest.mark.parametrize("what", ["stopped", "stopped at the end"])
def test_a_callback_that_stops_one_process_stops_all_after_the_next_step(found, what):
    first, second = (of_rank[what] for of_rank in found)
    assert len(first["history"]) == 2
    assert first["history"] == second["history"]
    assert all(torch.equal(value, second["weights"][name]) for name, value in first["weights"].items())


@slow
@numbers
@pytest.mark.parametrize(("event", "epochs"), [("training_started", 0), ("epoch_trained", 1), ("epoch_ended", 1)])
def test_a_callback_that_stops_one_process_in_any_event_stops_all(found, event, epochs):
    first, second = (of_rank[f"stopped in {event}"] for of_rank in found)
    assert len(first["history"]) == epochs
    assert first["history"] == second["history"]


@slow
@numbers
def test_a_model_of_which_nothing_is_trained(found):
    first, second = (of_rank["nothing is trained"] for of_rank in found)
    assert first["history"] == second["history"]


@slow
@numbers
def test_random_layers_of_two_processes_draw_different_numbers(found):
    first, second = (of_rank["drawn"] for of_rank in found)
    assert not torch.equal(first, second)


@slow
@numbers
def test_a_checkpoint_is_written_once_when_its_time_has_come(found):
    *times, _ = found[0]["kept"]  # the last one is that of the end
    assert len(times) > 2
    assert all(after - before >= 0.2 for before, after in pairwise(times)), times


@slow
@numbers
def test_random_layers_draw_apart_and_a_resumed_run_draws_the_same(found):
    for what in ("noise", "resumed"):
        first, second = (of_rank[what] for of_rank in found)
        assert first["history"] == second["history"] == found[0]["noise"]["history"]
        for name, value in first["weights"].items():
            assert torch.equal(value, second["weights"][name])
            assert torch.equal(value, found[0]["noise"]["weights"][name])


ENDED = "RankError: parallel: every process must stay until the end, got rank 1 that ended: ValueError: a broken row"


@pytest.fixture(scope="module")
def caught(tmp_path_factory):
    """What each of two processes has of each training, where an error outside of a step was caught."""
    folder = tmp_path_factory.mktemp("together")
    together("caught_failures.py", folder)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@slow
@numbers
@pytest.mark.parametrize("what", ["a batch", "a row", "the last epoch", "the end"])
def test_an_error_outside_of_a_step_ends_the_training_in_all_and_they_may_train_again(caught, what):
    first, second = (of_rank[what] for of_rank in caught)
    assert first[0] == ENDED
    assert second[0] == "ValueError: a broken row"
    assert first[1]["history"] == second[1]["history"] == caught[0]["whole"]["history"]
    for name, value in first[1]["weights"].items():
        assert torch.equal(value, second[1]["weights"][name])
        assert torch.equal(value, caught[0]["whole"]["weights"][name])


@slow
@numbers
def test_an_error_that_all_processes_raise_does_not_end_what_follows(caught):
    first, second = (of_rank["in all"] for of_rank in caught)
    assert second[0] == "ValueError: a broken row"
    assert first[0] in (second[0], ENDED)
    assert first[1]["history"] == second[1]["history"] == caught[0]["whole"]["history"]


@slow
@numbers
@pytest.mark.parametrize(
    ("what", "code", "text"),
    [
        ("killed", -9, "got no sign of rank 1"),
        ("ends", 7, "got rank 1 that ended: SystemExit: 7"),
        ("late", None, "got no sign of rank 1"),
    ],
)
def test_a_process_that_ends_or_hangs_is_named_by_the_other(tmp_path, what, code, text):
    processes = start("shared_failures.py", tmp_path, what, 3 if what == "late" else 60)
    started = time.monotonic()
    ((first, *_, errors),) = ended(processes[:1])
    assert first == 1
    assert time.monotonic() - started < 60
    assert text in errors, errors
    if code is not None:
        assert ended(processes[1:])[0][0] == code
    processes[1].kill()
    processes[1].communicate()


@slow
@numbers
@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("killed", "got no sign of rank 1: it has given none for 5 s"),
        ("fails", "got rank 1 that ended: ValueError: a broken trial"),
    ],
)
def test_processes_that_work_apart_wait_for_one_that_takes_longer_but_not_for_one_that_is_gone(what, text):
    (code, said, errors), _ = ended(start("working_apart.py", what))
    assert code == 1
    assert float(said) > 6, errors
    assert f"RankError: parallel: every process must stay until the end, {text}" in errors, errors


@pytest.fixture
def store():
    """The port of a store in a process of its own, and that process."""
    port = free_port()
    serve = f"from torch.distributed import TCPStore; _ = TCPStore('127.0.0.1', {port}, is_master=True, "
    command = [sys.executable, "-c", f"{serve}wait_for_workers=False); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as server:
        yield port, server
        server.kill()


@slow
@numbers
def test_nothing_waits_without_an_end_for_a_store_that_does_not_answer(store):
    port, server = store
    processes = start("cut_store.py", server.pid, port=port, TORCHELASTIC_USE_AGENT_STORE=True)
    for code, said, errors in ended(processes, timeout=90):
        assert code == 1, errors
        assert errors.rstrip().endswith("ValueError: an error of its own"), errors
        *found, (_, (text, seconds)) = json.loads(said).items()
        assert text is None
        assert seconds < 5
        for name, (text, seconds) in found:
            assert "every process must stay until the end, got no store any more" in text, name
            assert seconds < 15, name


@pytest.fixture(scope="module")
def unlike(tmp_path_factory):
    """What each of two processes says where the second one is on another machine."""
    folder = tmp_path_factory.mktemp("together")
    together("other_machines.py", folder, "alike")
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@slow
@numbers
@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("torch", f"torch must be {re.escape(torch.__version__)}, got 2.6.0"),
        ("python", "python must be 3.11, got 3.12"),
        ("device", "device must be cpu, got standin"),
        ("mytorch-train", "mytorch-train must be .*, got 9.9.9"),
        ("mytorch-core", "mytorch-core must be 0.1, got 9.9.9"),
        ("plugin", "acme-layers must be 1.0, got 1.1"),
    ],
)
def test_another_version_or_device_is_told_in_every_process(unlike, what, text):
    for of_rank in unlike:
        assert re.fullmatch(f"RankError: parallel: rank 1 must train the same as rank 0; {text}", of_rank[what])


@slow
@numbers
@pytest.mark.parametrize("what", ["patch of python", "plugin of which nothing is used"])
def test_a_version_that_does_not_matter_may_differ(unlike, what):
    for of_rank in unlike:
        assert "weights" in of_rank[what], of_rank[what]


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of half a megabyte."""
    (folder := tmp_path / "disk").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", folder]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a disk, and not everywhere")
    yield folder
    subprocess.run(["umount", folder], check=True)


@slow
@numbers
def test_a_full_disk_of_the_first_process_ends_all(small_disk):
    first, second = ended(start("other_machines.py", small_disk.parent, "full"))
    text = "No space left on device"
    for code, _, errors in (first, second):
        assert code == 1, errors
        assert text in errors, errors
    assert "RankError: parallel: every process must stay until the end, got rank 0 that ended: " in second[2]


@slow
def test_a_port_at_which_somebody_else_listens():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = ended(start("shared_failures.py", "nowhere", "graceful", 1, port=port))
    for (code, _, errors), what in zip(found, ("open", "reach"), strict=True):
        assert code == 1
        assert f"must be able to {what} the store at 127.0.0.1:{port}, got " in errors, errors


@slow
def test_a_process_that_never_comes_is_named():
    port = free_port()
    (one, other) = start("shared_failures.py", "nowhere", "graceful", 3, port=port)
    other.kill()
    other.communicate()
    ((code, _, errors),) = ended([one])
    assert code == 1
    text = f"join: every one of 2 processes must come within 3 s, got none of rank 1; see whether .* 127.0.0.1:{port}"
    assert re.search(text, errors), errors


OTHER_SIZE = "join: every process must be started with the same WORLD_SIZE, got 3 for rank 1 and 2 for rank 0"
NO_ADDRESS = "join: rank {} must have an address at which others reach it, got .*none77; set GLOO_SOCKET_IFNAME to "


@slow
@pytest.mark.parametrize(
    ("what", "timeout", "texts"),
    [
        ("another_size", 60, [OTHER_SIZE, OTHER_SIZE]),
        (
            "twice",
            10,
            [
                "join: every one of 3 processes must come within 10 s, got none of rank 2; see",
                "join: every process must have a rank of its own, got another one of rank 1, which came before; give",
            ],
        ),
        ("no_interface", 60, [NO_ADDRESS.format(0), NO_ADDRESS.format(1)]),
        ("killed", 4, ["parallel: every process must stay until the end, got no sign of rank 1: "]),
    ],
)
def test_processes_that_cannot_begin_together_say_why(what, timeout, texts):
    found = ended(start("cannot_meet.py", timeout, what, processes=3 if what == "twice" else 2), timeout=50)
    said = "\n".join(errors for _, _, errors in found)
    assert all(code not in (0, None) for code, _, _ in found)
    for text in texts:
        assert re.search(f"RankError: {text}", said), said


@slow
def test_a_process_without_memory_for_an_exchange_says_so_and_the_other_names_it():
    (first, _, said), (second, _, own) = ended(start("cannot_meet.py", 60, "no_memory"))
    assert first == second == 1
    assert re.search(r"\nRuntimeError: .*can't allocate memory", re.sub(r"\[rank\d\]: ", "", own)), own
    assert re.search("RankError: .* got rank 1 that ended: RuntimeError: .*can't allocate memory", said), said


def unlike_of(monkeypatch, told, **options):
    """What the first of several processes raises that describe these."""
    processes = Processes(Place(0, len(told), 0, "127.0.0.1", 1, False), None, None, timedelta(seconds=1))
    monkeypatch.setattr(processes, "gather", lambda own: [own, *told[1:]])
    with pytest.raises(RankError) as error:
        processes.require_same(told[0], **options)
    return str(error.value)


def test_every_rank_that_differs_is_named_and_those_that_differ_in_the_same_together(monkeypatch):
    old, new = {"torch": "2.12", "lr": 1}, {"torch": "2.13", "lr": 1}
    assert unlike_of(monkeypatch, [new, old, new, old]) == (
        "parallel: ranks 1, 3 must train the same as rank 0; torch must be 2.13, got 2.12"
    )
    assert unlike_of(monkeypatch, [new, old, {**new, "lr": 2}]) == (
        "parallel: rank 1 must train the same as rank 0; torch must be 2.13, got 2.12; "
        "rank 2 must train the same as rank 0; lr must be 1, got 2"
    )
    assert unlike_of(monkeypatch, [new, *({**new, "lr": rate} for rate in range(2, 10))]).endswith(
        "rank 5 must train the same as rank 0; lr must be 1, got 6; and 3 more ranks differ"
    )


def test_what_one_of_two_processes_does_not_have_is_no_difference_where_both_must_have_it(monkeypatch):
    first = {"torch": "2.13", "mytorch-nn": "0.1"}
    others = [{"torch": "2.13", "mytorch-sklearn": "0.2"}, {"torch": "2.13", "mytorch-nn": "0.2"}]
    assert unlike_of(monkeypatch, [first, *others], where_both=True) == (
        "parallel: rank 2 must train the same as rank 0; mytorch-nn must be 0.1, got 0.2"
    )


def place(monkeypatch, **values):
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_a_process_alone_is_in_no_group(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert launched() is None
    require_alone("search")
    with join() as processes:
        assert processes is None


def test_an_environment_that_says_half_is_refused(monkeypatch):
    monkeypatch.delenv("MASTER_PORT", raising=False)
    place(monkeypatch, WORLD_SIZE="2", RANK="0", MASTER_ADDR="127.0.0.1")
    with pytest.raises(ArgumentError, match=r"must come with RANK, MASTER_ADDR and MASTER_PORT, got no MASTER_PORT;"):
        launched()
    place(monkeypatch, MASTER_PORT="half")
    with pytest.raises(
        ArgumentError, match=r"^parallel: MASTER_PORT must be a whole number of at least 0, got 'half'$"
    ):
        launched()
    place(monkeypatch, MASTER_PORT="1", RANK="2")
    with pytest.raises(ArgumentError, match=r"^parallel: RANK must be below WORLD_SIZE, 2, got 2$"):
        launched()


def test_what_one_process_does_says_so_in_several(monkeypatch):
    place(monkeypatch, WORLD_SIZE="2", RANK="0", MASTER_ADDR="127.0.0.1", MASTER_PORT="1")
    with pytest.raises(
        ArgumentError, match=r"^search: must run in one process, got one of 2 that were started together;"
    ):
        require_alone("search")


@pytest.mark.parametrize("timeout", [0, -1, True, "10", float("inf")])
def test_a_timeout_is_a_number_of_seconds(timeout):
    with (
        pytest.raises(ArgumentError, match=r"^join: timeout must be a number of seconds above 0, got "),
        join(timeout),
    ):
        pass
