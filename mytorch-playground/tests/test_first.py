"""What the command is given: a run opens with its weights, a link with the experiment that it holds."""

import base64
import re

import pytest
import torch
from click.testing import CliRunner
from playing import served

from mytorch.commands.playground import playground
from mytorch.experiments import train_experiment
from mytorch.experiments.file.load_experiment import load_experiment, to_toml
from mytorch.experiments.runs import run_folder
from mytorch.playground.first import EXPERIMENT_FILE, first_command
from mytorch.plugins import ArgumentError

SMALL = {"data.train.samples": 60, "epochs": 2}


def test_a_run_opens_with_the_weights_that_it_kept_and_its_file_says_so(page, tmp_path):
    run = train_experiment("disk", SMALL, output=tmp_path, quiet=True)
    told = page.load(**{key: value for key, value in first_command(str(run.path)).items() if key != "do"})
    assert told["content"]["model"]["from"]["path"] == str(run.path)
    state = page.session._built.setup.net.state_dict()
    assert all(torch.equal(state[name], value) for name, value in run.net.state_dict().items())
    file = tmp_path / "downloaded.toml"
    file.write_text(told["toml"])
    page.send("epoch")
    shown = page.until("epoch")["record"]
    again = train_experiment(file, {"epochs": 1}, output=tmp_path, quiet=True)
    assert again.history[0]["train_loss"] == pytest.approx(shown["train_loss"])


def test_a_run_of_a_run_opens_with_its_own_weights(page, tmp_path):
    first = train_experiment("disk", SMALL, output=tmp_path, quiet=True)
    part = {"model.from": {"path": str(first.path), "take": "0.*", "leave": "0.bias", "freeze": "0.*"}}
    second = train_experiment("disk", SMALL | part, output=tmp_path, quiet=True)
    told = page.load(**{key: value for key, value in first_command(str(second.path)).items() if key != "do"})
    state = page.session._built.setup.net.state_dict()
    assert all(torch.equal(state[name], value) for name, value in second.net.state_dict().items())
    assert told["content"]["model"]["from"]["freeze"] == "0.*"


def link(text):
    return f"http://127.0.0.1:8917/#experiment={base64.urlsafe_b64encode(text.encode()).decode()}"


@pytest.mark.parametrize("change", [str, lambda text: text.rstrip("="), lambda text: text.replace("=", "%3D")])
def test_a_link_holds_an_experiment(page, change):
    text = to_toml(load_experiment("disk", SMALL)) + "# ä"
    address, _, held = link(text).partition("#experiment=")
    command = first_command(f"{address}#experiment={change(held)}")
    assert command == {"do": "experiment", "toml": text}
    assert page.load(toml=command["toml"])["content"]["data"]["train"]["samples"] == 60


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("http://127.0.0.1:8917/", "a link must end in #experiment=..., as the button 'Copy a link' makes it"),
        ("http://127.0.0.1:8917/#token=abc", "a link must end in #experiment=..."),
        ("http://127.0.0.1:8917/#experiment=ä", "a link must hold an experiment as TOML, got something else: "),
        ("http://127.0.0.1:8917/#experiment=abcde", "a link must hold an experiment as TOML, got something else: "),
        ("http://[", "a link must end in #experiment=..."),
        (link("no = TOML = here"), "a link must hold an experiment as TOML, got something else: "),
        (link("\0"), "a link must hold an experiment as TOML, got something else: "),
        ("x" * 5000, "EXPERIMENT must be a TOML file or a name, got xxx"),
        (".", "RUN must be a folder with experiment.toml, such as runs/disk-20260101-120000, got . without one"),
    ],
)
def test_what_holds_no_experiment_is_one_sentence(tmp_path, monkeypatch, source, told):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArgumentError, match=f"^playground: {re.escape(told)}"):
        first_command(source)
    result = CliRunner().invoke(playground, [source, "--no-browser"])
    assert isinstance(result.exception, ArgumentError)  # which mytorch prints


def test_names_and_files_are_as_they_were(tmp_path):
    assert EXPERIMENT_FILE == run_folder.EXPERIMENT_FILE
    assert first_command("disk") == {"do": "experiment", "name": "disk"}
    file = tmp_path / "mine.toml"
    file.write_text("")
    assert first_command(str(file)) == {"do": "experiment", "name": str(file)}


@pytest.mark.slow
def test_the_command_takes_a_link():
    with served(link(to_toml(load_experiment("disk", SMALL)))) as (host, token, _):
        assert host
        assert token
