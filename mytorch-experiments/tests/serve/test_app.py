"""What a server answers, and what it refuses."""

import json
import re
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest
import torch
from toy_rows import INPUTS, ROWS

from mytorch.experiments import RunError
from mytorch.experiments.predict.kept_data import KeptData
from mytorch.experiments.runs.write_predictions import write_predictions
from mytorch.experiments.serve.choose_form import form_of
from mytorch.experiments.serve.limits import Limits

for name in ("starlette", "uvicorn", "prometheus_client", "httpx2"):
    pytest.importorskip(name)

from mytorch.experiments.serve.gatherer import SMALL, Gatherer, Question  # noqa: E402 - it needs one of them
from mytorch.experiments.serve.metrics import Metrics  # noqa: E402

RECORDS = [{"x": x, "y": y} for x, y in INPUTS.tolist()]


def post(client, content, media="application/json", **headers):
    body = content if isinstance(content, bytes) else content.encode() if isinstance(content, str) else None
    body = json.dumps(content).encode() if body is None else body
    return client.post("/predict", content=body, headers={"Content-Type": media, **headers})


def test_rows_in_json_are_answered_with_every_digit_of_predict(run, client):
    told = post(client, {"rows": RECORDS}).json()
    expected = run.predict(INPUTS)
    assert [row["prediction"] for row in told["predictions"]] == list(expected.labels)
    found = [[row["probabilities"][name] for name in expected.classes] for row in told["predictions"]]
    assert torch.equal(torch.tensor(found, dtype=torch.float64), expected.probabilities)
    swapped = {"columns": ["y", "x"], "rows": INPUTS.flip(1).tolist()}
    assert post(client, swapped).json() == told


def test_rows_in_csv_are_answered_with_the_file_of_predict(run, rows, client, tmp_path):
    write_predictions(run, rows, tmp_path / "out.csv")
    answer = post(client, ROWS, "text/csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.text == (tmp_path / "out.csv").read_text()
    asked = post(client, {"rows": RECORDS}, Accept="text/csv")
    assert asked.text == answer.text


def test_arrays_are_answered_if_they_are_asked_for(run, client, tmp_path):
    answer = post(client, ROWS, "text/csv", Accept="application/x-npz, text/csv;q=0.5")
    (tmp_path / "out.npz").write_bytes(answer.content)
    with np.load(tmp_path / "out.npz") as arrays:
        assert np.array_equal(arrays["probabilities"], run.predict(INPUTS).probabilities.numpy())


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        (b"", 400, "must have a body"),
        ("{", 400, "must be JSON, got .* in line 1, column 2"),
        (b'{"rows": [{"x": "\xff"}]}', 400, "must be JSON, got 'utf-8' codec"),
        ('{"rows": [{"x": NaN, "y": 1}]}', 400, "has no NaN; null stands for what is missing"),
        ('{"rows": [{"x": -Infinity, "y": 1}]}', 400, "has no -Infinity"),
        ('{"rows": [{"x": 1, "y": 2, "x": 3}]}', 400, "must be different, got 'x' twice"),
        ("[" * 100_000, 400, "of few levels"),
        (f'{{"rows": [{{"x": {"9" * 5000}, "y": 1}}]}}', 400, "must be JSON, got Exceeds the limit"),
        ([], 422, 'must be a JSON object with the key "rows", got a list'),
        ({}, 422, 'must have the key "rows", got an empty object'),
        ({"row": []}, 422, "must have the key \"rows\", got 'row'"),
        ({"rows": [], "more": 1}, 422, "got 'more' too"),
        ({"rows": []}, 422, "must have at least one entry, got none"),
        ({"rows": {}}, 422, '"rows" must be a list, got an object'),
        ({"rows": [[1, 2]]}, 422, 'row 1 must be an object .* got a list; lists need "columns"'),
        ({"rows": [{"x": 1, "y": 2}, {"x": 1}]}, 422, "row 2 must have the column 'y', got x"),
        ({"rows": [{"x": 1, "y": 2, "z": 3}]}, 422, "row 1 must have the columns x, y, got 'z' too"),
        ({"rows": [{"x": 1, "y": 2}, {"x": "tall", "y": 2}]}, 422, "row 2, column 'x' must be a number.*got 'tall'"),
        ({"rows": [{"x": 1, "y": 2}, {"x": None, "y": 2}]}, 422, "row 2, column 'x' must be given, got a missing"),
        ({"rows": [{"x": [1], "y": 2}]}, 422, "row 1, column 'x' must be a number, a text.* got a list"),
        ('{"rows": [{"x": 1e999, "y": 1}]}', 422, "column 'x' must be"),
        ({"rows": [{"x": 1e300, "y": 1}]}, 422, "column 'x' must be at most 3.4e"),
        ('{"rows": [{"x": "\\ud800", "y": 1}]}', 422, "must be text, got '.ud800'"),
        ({"columns": ["x"], "rows": [[1]]}, 422, "\"columns\" must have the column 'y', got x"),
        ({"columns": ["x", "x"], "rows": [[1]]}, 422, '"columns" must be different names'),
        ({"columns": 3, "rows": [[1]]}, 422, '"columns" must be a list'),
        ({"columns": ["x", "y"], "rows": [[1, 2], [1]]}, 422, "row 2 must be a list of 2 cells.*got a list of 1"),
    ],
)
def test_json_that_does_not_fit_is_answered_with_what_was_expected(client, body, status, expected):
    answer = post(client, body)
    told = answer.json()["error"]
    assert (answer.status_code, told["status"]) == (status, status)
    assert re.search(expected, told["message"], re.DOTALL), told


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("x,y\n1,2\n1,two\n", "request: row 3, column 'y' must be a number, as in training, got 'two'"),
        ("x\n1\n", "request: must have the columns that were trained on, got none named 'y'"),
        ("x,y\n1\n", "request: row 2 must have 2 cells, got 1"),
        ("x,y\n", "request: must have at least one row"),
        ("x,y\n1,\n", "request: row 2, column 'y' must be given, got a missing cell"),
        ("x,y\nnan,1\n", "request: row 2, column 'x' must be given, got a missing cell"),
        (b"x,y\n1,\xff\n", "request: must be text in utf-8"),
        (b"\x00\x01", "request: must be a text file, got NUL bytes"),
    ],
)
def test_csv_that_does_not_fit_is_answered_as_by_predict(run, client, body, expected):
    answer = post(client, body, "text/csv")
    told = answer.json()["error"]
    assert (answer.status_code, told["kind"]) == (422, "TableError")
    assert expected in told["message"]
    assert str(run.path) not in answer.text
    assert "tmp" not in answer.text


def test_columns_that_nobody_knows_are_warned_of(client):
    answer = post(client, "x,y,née\n1,2,3\n", "text/csv")
    assert answer.status_code == 200
    assert answer.headers["mytorch-warnings"] == (r"request: columns that were not trained on are not used: 'n\xe9e'")
    told = post(client, "x,y,z\n1,2,3\n", "text/csv", Accept="application/json").json()
    assert told["warnings"] == ["request: columns that were not trained on are not used: 'z'"]


@pytest.mark.parametrize(
    ("headers", "status", "expected"),
    [
        ({"Content-Type": "text/xml"}, 415, "must be application/json or text/csv, got text/xml"),
        ({"Content-Type": ""}, 415, "got none"),
        ({"Content-Type": "text/csv; charset=latin-1"}, 415, "charset must be utf-8, got latin-1"),
        ({"Content-Type": "application/json; charset=odd"}, 415, "charset must be utf-8, got odd"),
        ({"Content-Type": "text/csv", "Content-Encoding": "gzip"}, 415, "Content-Encoding must be left out, got gzip"),
        ({"Content-Type": "text/csv", "Accept": "image/png"}, 406, "Accept must allow application/json or text/csv"),
        ({"Content-Type": "text/csv", "Accept": "*/*;q=0"}, 406, "got */*;q=0"),
    ],
)
def test_headers_that_are_refused(client, headers, status, expected):
    answer = client.post("/predict", content=ROWS, headers=headers)
    assert answer.status_code == status
    assert expected in answer.json()["error"]["message"]


@pytest.mark.parametrize("charset", ["UTF-8", "us-ascii", '"utf8"'])
def test_charsets_that_are_read(client, charset):
    assert post(client, ROWS, f"text/csv; charset={charset}").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "expected"),
    [
        ("GET", "/predict", 405, "method of /predict must be POST, got GET"),
        ("POST", "/health", 405, "must be GET, HEAD"),
        ("GET", "/nowhere", 404, "path must be /predict, /, /openapi.json, /health or /metrics, got /nowhere"),
    ],
)
def test_paths_and_methods(client, method, path, status, expected):
    answer = client.request(method, path)
    assert (answer.status_code, expected in answer.json()["error"]["message"]) == (status, True), answer.text


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("localhost", 200),
        ("LocalHost:1", 200),
        ("[::1]:8000", 200),
        ("page.example:8000", 421),
        ("localhost.page.example", 421),
        ("127.0.0.1@page.example", 421),
        ("127.0.0.1.", 421),
        ("[::1", 421),
        ("", 421),
    ],
)
def test_requests_for_another_host_are_refused_and_told_the_way_out(run, asking, host, status):
    with asking(run, hosts=("127.0.0.1", "localhost", "::1")) as client:
        answers = [client.get(path, headers={"Host": host}) for path in ("/", "/openapi.json", "/metrics")]
        answers.append(post(client, {"rows": RECORDS}, Host=host))
    assert [answer.status_code for answer in answers] == [status] * 4
    if status == 421:
        told = answers[0].json()["error"]["message"]
        assert re.match(r"request: Host must be 127.0.0.1, ::1, localhost, got .*--allow-host", told)


def test_bodies_that_are_too_large(run, asking):
    with asking(run, body=100) as client:
        assert post(client, ROWS, "text/csv").status_code == 200
        told = post(client, "x" * 101, "text/csv")
        assert (told.status_code, told.headers["connection"]) == (413, "close")
        assert "must have at most 100 bytes, got 101 bytes" in told.json()["error"]["message"]
        parts = client.post("/predict", content=iter([b"x" * 60] * 2), headers={"Content-Type": "text/csv"})
        assert parts.status_code == 413  # which does not say how long it is


def test_a_number_of_the_model_that_is_not_finite_is_refused_by_its_row(run, client):
    run.net.param()[0].value.fill_(3e38)
    answer = post(client, {"rows": RECORDS})
    assert answer.status_code == 422
    assert f"{run.path.name}: every output must be finite, got " in answer.json()["error"]["message"]
    assert answer.json()["error"]["kind"] == "NotFiniteError"


def test_an_error_of_the_server_is_told_in_its_log_alone(run, client, caplog, monkeypatch):
    monkeypatch.setattr(run.net, "forward", lambda *_: 1 / 0)
    answer = post(client, {"rows": RECORDS})
    assert (answer.status_code, answer.json()["error"]["kind"]) == (500, "ZeroDivisionError")
    assert "its log tells more" in answer.json()["error"]["message"]
    assert "division by zero" in caplog.text


def test_a_disk_that_is_full_is_an_error_of_the_server_which_goes_on(client, monkeypatch, caplog):
    def full(**_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("mytorch.experiments.serve.files.TemporaryDirectory", full)
        answer = post(client, ROWS, "text/csv")
        assert (answer.status_code, answer.json()["error"]["kind"]) == (500, "OSError")
    assert "No space left" in caplog.text
    assert post(client, ROWS, "text/csv").status_code == 200


def test_rows_of_a_table_in_json_need_no_file(client, monkeypatch):
    monkeypatch.setattr("mytorch.experiments.serve.files.TemporaryDirectory", None)
    assert post(client, {"rows": RECORDS}).status_code == 200


def test_many_rows_are_answered_as_predict_does_batch_by_batch(run, client, tmp_path):
    lines = [f"{number % 7 - 3},{number % 11 / 10}" for number in range(20_000)]
    (tmp_path / "many.csv").write_text("\n".join(["x,y", *lines]) + "\n")
    write_predictions(run, tmp_path / "many.csv", tmp_path / "out.csv")
    assert post(client, (tmp_path / "many.csv").read_bytes(), "text/csv").text == (tmp_path / "out.csv").read_text()


# Several at once


class Slow:
    """A model that waits until it may go on, and says which batches it has seen."""

    def __init__(self, run):
        self.sizes, self.go, self.forward = [], threading.Event(), run.net.forward
        run.net.forward = self

    def __call__(self, x):
        self.sizes.append(len(x))
        self.go.wait(20)
        return self.forward(x)


@pytest.fixture
def slow(run):
    slow = Slow(run)
    slow.go.set()  # for the rows that come before the first request
    return slow


def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def waiting(client):
    """How many requests were asked and are not answered."""
    return client.app.state.gatherer.open


def test_requests_that_come_at_once_go_through_the_model_together_and_keep_their_own_rows(run, asking, slow):
    expected = [run.predict(INPUTS[at : at + 1]).probabilities for at in range(3)]
    with asking(run, gather=0.5) as client, ThreadPoolExecutor(8) as pool:
        slow.go.clear()
        slow.sizes.clear()
        first = pool.submit(post, client, {"rows": RECORDS[:1]})
        until(lambda: slow.sizes)
        others = [pool.submit(post, client, {"rows": [RECORDS[at]]}) for at in (0, 1, 2)]
        bad = pool.submit(post, client, {"rows": [{"x": "no", "y": 1}]})
        mixed = pool.submit(post, client, "x,y\n1,2\n3,4\n", "text/csv")
        until(lambda: waiting(client) == 6)
        slow.go.set()
        assert first.result().status_code == 200
        assert bad.result().status_code == 422
        assert mixed.result().text.count("\n") == 3
        assert 5 in slow.sizes
        for answer, wanted in zip(others, expected, strict=True):
            found = answer.result().json()["predictions"][0]["probabilities"].values()
            torch.testing.assert_close(torch.tensor([list(found)], dtype=torch.float64), wanted, rtol=1e-5, atol=1e-7)


def test_large_bodies_are_not_read_together(run, asking, slow):
    large = json.dumps({"rows": RECORDS}) + " " * SMALL
    with asking(run, gather=0.5) as client, ThreadPoolExecutor(8) as pool:
        slow.go.clear()
        slow.sizes.clear()
        asked = [pool.submit(post, client, large) for _ in range(4)]
        until(lambda: waiting(client) == 4)
        slow.go.set()
        assert {answer.result().status_code for answer in asked} == {200}
        assert slow.sizes == [len(RECORDS)] * 4


def test_a_small_body_does_not_wait_for_a_large_one_behind_it(run, asking, slow):
    with asking(run, gather=0.5) as client, ThreadPoolExecutor(8) as pool:
        slow.go.clear()
        slow.sizes.clear()
        asked = []
        for content in ({"rows": RECORDS[:1]}, {"rows": RECORDS[:2]}, json.dumps({"rows": RECORDS}) + " " * SMALL):
            asked.append(pool.submit(post, client, content))
            until(lambda: slow.sizes and waiting(client) == len(asked))
        slow.go.set()
        assert {answer.result().status_code for answer in asked} == {200}
        assert slow.sizes == [1, 2, 3]


def test_without_gathering_each_request_goes_through_the_model_alone(run, asking, slow):
    with asking(run, gather=0) as client, ThreadPoolExecutor(8) as pool:
        slow.go.clear()
        slow.sizes.clear()
        asked = [pool.submit(post, client, {"rows": RECORDS[: 1 + at % 2]}) for at in range(4)]
        until(lambda: slow.sizes)
        slow.go.set()
        expected = [post(client, {"rows": RECORDS[:count]}).json() for count in (1, 2)]
        assert [answer.result().json() for answer in asked] == expected * 2
        assert set(slow.sizes) == {1, 2}


def test_a_model_whose_rows_depend_on_others_computes_each_request_alone(run, asking, caplog, slow):
    forward = run.net.forward

    def mixing(x):
        y, saved = forward(x)
        return y + x.sum(), saved

    run.net.forward = mixing
    expected = run.predict(INPUTS[:1]).probabilities
    with asking(run, gather=0.5) as client, ThreadPoolExecutor(8) as pool:
        slow.go.clear()
        asked = [pool.submit(post, client, {"rows": RECORDS[:1]}) for _ in range(8)]
        until(lambda: waiting(client) == 8)
        slow.go.set()
        for answer in asked:
            found = answer.result().json()["predictions"][0]["probabilities"].values()
            assert torch.equal(torch.tensor([list(found)], dtype=torch.float64), expected)
    assert "depend on the rows beside it" in caplog.text


def test_more_requests_at_once_than_may_wait(run, asking, slow):
    with asking(run, waiting=2) as client, ThreadPoolExecutor(8) as pool:
        slow.go.clear()
        asked = [pool.submit(post, client, {"rows": RECORDS}) for _ in range(4)]
        until(lambda: sum(answer.done() for answer in asked) == 2)
        slow.go.set()
        answers = sorted((answer.result() for answer in asked), key=lambda answer: answer.status_code)
        assert [answer.status_code for answer in answers] == [200, 200, 503, 503]
        assert answers[-1].headers["retry-after"] == "1"
        assert "requests at once must be at most 2" in answers[-1].json()["error"]["message"]


def test_an_answer_that_takes_too_long_and_a_model_that_does_not_answer(run, asking, slow):
    with asking(run, seconds=0.3) as client:
        slow.go.clear()
        answer = post(client, {"rows": RECORDS})
        assert answer.status_code == 503
        assert "an answer must take at most 0.3 seconds" in answer.json()["error"]["message"]
        until(lambda: client.get("/health").status_code == 503)
        slow.go.set()
        until(lambda: client.get("/health").status_code == 200)
        assert post(client, {"rows": RECORDS}).status_code == 200


def gatherer_of(run):
    return Gatherer(run, form_of(run.kept, run.dtype), Limits(), Metrics("served"))


def begins(gatherer):
    """Whether it begins within seconds."""
    thread = threading.Thread(target=gatherer.start, daemon=True)
    thread.start()
    thread.join(20)
    return not thread.is_alive()


def test_a_model_that_fails_with_the_example_answers_nevertheless(run, monkeypatch):
    def fails(*_):
        raise RuntimeError("a kernel of a plugin's layer")

    monkeypatch.setattr("mytorch.experiments.serve.gatherer.predict_batches", fails)
    gatherer = gatherer_of(run)
    assert begins(gatherer)
    assert gatherer.is_alive
    gatherer.stop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_model_that_cannot_begin_holds_up_nothing(run, monkeypatch):
    monkeypatch.setattr(run, "outputs_by", {}.__getitem__)
    gatherer = gatherer_of(run)
    assert begins(gatherer)
    until(lambda: not gatherer.is_alive)


def test_rows_of_who_gave_up_while_others_were_read_are_not_read(run, monkeypatch):
    gatherer, read = gatherer_of(run), []
    asked = [Question("application/json", "application/json", body, Future()) for body in (b"first", b"second")]

    def rows(media, body, files):
        read.append(body)
        asked[1].future.cancel()

    monkeypatch.setattr(gatherer.form, "rows", rows)
    gatherer._read_all(asked)
    assert read == [b"first"]


# What it says of itself


def test_metrics_count_what_was_answered(run, client):
    post(client, {"rows": RECORDS})
    post(client, "{")
    text = client.get("/metrics").text
    assert 'mytorch_requests_total{status="200"} 1.0' in text
    assert 'mytorch_requests_total{status="400"} 1.0' in text
    assert "mytorch_rows_total 3.0" in text
    assert "mytorch_batch_rows_count 1.0" in text
    assert f'mytorch_run{{run="{run.path.name}"}} 1.0' in text
    assert client.get("/health").json() == {"status": "ok", "run": run.path.name}


def test_the_document_has_the_columns_and_examples_that_are_answered(client):
    told = client.get("/openapi.json").json()
    content = told["paths"]["/predict"]["post"]["requestBody"]["content"]
    row = content["application/json"]["schema"]["oneOf"][0]["properties"]["rows"]["items"]
    assert row["required"] == ["x", "y"]
    assert row["properties"]["x"] == {"type": "number"}
    for media, form in content.items():
        assert post(client, form["example"], media).status_code == 200
    refused = {str(status) for status in (400, 406, 408, 413, 415, 422, 500, 503)}
    assert refused < told["paths"]["/predict"]["post"]["responses"].keys()


def test_the_page_loads_nothing_from_elsewhere_and_runs_nothing_that_is_not_its_own(run, client):
    answer = client.get("/")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy
    assert "img-src data:" in policy  # the icon, which is empty
    assert "//" not in answer.text.replace("http://HOST:PORT/predict", "")
    assert run.path.name in answer.text
    assert "<td>x<td>a number" in answer.text


def test_names_of_columns_are_text_on_the_page(run, asking):
    data = {**run.data, "columns": ["<script>alert(1)</script>", 'y" onclick="']}
    run.data = data
    with asking(run) as client:
        text = client.get("/").text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
    assert '" onclick="' not in text


def test_data_of_a_plugin_is_refused_by_name():
    kept = KeptData("runs/odd", preparation={"lines": {"dataset": "toy-lines:Lines", "scale": 1.0}})
    with pytest.raises(RunError, match=r"runs/odd: must be a run of a table, .* got one of toy-lines:Lines"):
        form_of(kept, torch.float32)


def test_a_client_that_gives_up_spoils_nothing(run, asking, slow):
    with asking(run, seconds=0.2, gather=0) as client, ThreadPoolExecutor(4) as pool:
        slow.go.clear()
        asked = [pool.submit(post, client, {"rows": RECORDS}) for _ in range(3)]
        assert {answer.result().status_code for answer in asked} == {503}
        slow.go.set()
        until(lambda: client.get("/health").status_code == 200)
        assert post(client, {"rows": RECORDS}).status_code == 200
