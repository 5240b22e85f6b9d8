"""Predicting by the compiled engine: the same, from Python and from the command."""

import copy
import pickle

import pytest
import torch
from click.testing import CliRunner
from toy_rows import INPUTS

from mytorch.commands.predict import predict as predict_command
from mytorch.core import ArgumentError
from mytorch.experiments import load


def test_the_compiled_engine_says_the_same_and_is_kept_for_the_next_call(run, rows, tmp_path, interpreted):
    for source in (INPUTS, rows, INPUTS[:1]):
        expected = run.predict(source)
        for _ in range(2):
            found = run.predict(source, engine="compiled")
            torch.testing.assert_close(found.probabilities, expected.probabilities)
            assert found.labels == expected.labels
            assert not found.probabilities.is_inference()
    run.net.param()[0].value.mul_(-2)
    torch.testing.assert_close(run.predict(INPUTS, engine="compiled").indices, run.predict(INPUTS).indices)
    assert len(interpreted) == 1
    for engine in ("eager", "compiled"):
        arguments = [str(run.path), str(rows), "--output", str(tmp_path / f"{engine}.csv"), "--engine", engine]
        result = CliRunner().invoke(predict_command, [*arguments, "--batch-size", "2"])
        assert result.exit_code == 0, result.output
    written = [(tmp_path / f"{engine}.csv").read_text().splitlines() for engine in ("eager", "compiled")]
    first, second = ([line.split(",")[0] for line in lines] for lines in written)
    assert first == second == ["prediction", *load(run.path).predict(rows).labels]


def test_another_net_is_compiled_and_a_copy_of_the_run_predicts(run, interpreted):
    run.predict(INPUTS, engine="compiled")
    for other in (copy.deepcopy(run), pickle.loads(pickle.dumps(run))):
        torch.testing.assert_close(other.predict(INPUTS, engine="compiled").indices, run.predict(INPUTS).indices)
        assert other.compiled.net is other.net
    run.net = copy.deepcopy(run.net)
    run.net.param()[0].value.mul_(-2)
    for _ in range(2):
        found = run.predict(INPUTS, engine="compiled").probabilities
        torch.testing.assert_close(found, run.predict(INPUTS).probabilities)
    assert run.compiled is run.compiled


def test_an_unknown_engine_is_refused(run):
    with pytest.raises(ArgumentError, match=r"engine: must be one of eager, compiled, got 'compile'. Nearest: comp"):
        run.predict(INPUTS, engine="compile")
