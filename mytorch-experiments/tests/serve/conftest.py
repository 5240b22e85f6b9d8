"""A run behind HTTP; the tests need the extra `serve`, and `httpx2` for starlette's client."""

from contextlib import contextmanager

import pytest

from mytorch.experiments import load, train_experiment


@pytest.fixture(scope="module")
def trained():
    """Where the run of a module's tests is, once it is."""
    return []


@pytest.fixture
def run(content, parts, trained, tmp_path_factory):
    """The toys' run, trained once and opened for each test."""
    if not trained:
        folder = tmp_path_factory.mktemp("served")
        trained.append(train_experiment(content, {"epochs": 2}, output=folder, quiet=True).path)
    return load(trained[0])


@pytest.fixture
def asking():
    """Makes a client of a run, as a context."""
    from starlette.testclient import TestClient

    from mytorch.experiments.serve.app import app_of
    from mytorch.experiments.serve.limits import Limits

    @contextmanager
    def client_of(run, hosts=(), **limits):
        with TestClient(app_of(run, Limits(**limits), hosts), raise_server_exceptions=False) as client:
            yield client

    return client_of


@pytest.fixture
def client(run, asking):
    """A client of the toys' run, of columns x and y and classes below and above."""
    with asking(run) as client:
        yield client
