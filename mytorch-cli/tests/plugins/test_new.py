"""`mytorch plugins new`; tests/test_templates.py of the whole project installs and runs what it writes."""

import sys

import pytest
from click.testing import CliRunner

from mytorch.cli.plugins.new import core_range, import_name_of, new, part_name
from mytorch.cli.root import mytorch
from mytorch.plugins import ArgumentError, Catalogue, FileError, MissingRequirementError, Part


def test_names_become_import_names():
    assert import_name_of("acme-swish_2-x") == "acme_swish_2_x"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Acme", "must be lower-case words with - between them, such as acme-swish, got 'Acme'"),
        ("-x", "must be lower-case words"),
        ("../x", "must be lower-case words"),
        ("mytorch", "must not begin with mytorch or test, got 'mytorch'; give another, such as acme-mytorch"),
        ("mytorch-nn", "must not begin with mytorch or test"),
        ("test-layer", "must not begin with mytorch or test"),
        ("class", "must not be taken"),
        ("json", "must not be taken, got 'json', .* give another, such as acme-json"),
        ("winreg", "must not be taken"),
        ("pluggy", "must not be taken"),
        ("list", "must not be taken"),
        ("none", "must not be taken"),
        ("value-error", "must not be taken"),
        ("tensor", "must not be taken"),
    ],
)
def test_a_name_must_be_one_of_its_own(name, reason):
    with pytest.raises(ArgumentError, match=f"plugins new: .*{reason}"):
        import_name_of(name)


@pytest.mark.parametrize(
    ("installed", "wanted"), [("0.1.0", ">=0.1,<0.2"), ("0.12.3", ">=0.12,<0.13"), ("2.3.1", ">=2.3,<3")]
)
def test_the_range_ends_where_the_contract_may_break(installed, wanted):
    assert core_range(installed) == wanted


@pytest.mark.parametrize("command", sorted(mytorch.commands))
def test_the_commands_of_the_command_line_itself_are_taken(command):
    with pytest.raises(ArgumentError, match=f"the command {command} must not be offered already, got .* mytorch-cli"):
        part_name(command, "command")


def test_what_another_distribution_offers_is_taken(monkeypatch):
    offered = Catalogue([Part("layer", "Swish", "other", "1.0", "other:Swish", ">=0.1,<0.2")])
    monkeypatch.setattr("mytorch.cli.plugins.new.catalogue", lambda: offered)
    wanted = "plugins new: the layer Swish must not be offered already, got that of other; give another name, such as "
    with pytest.raises(ArgumentError, match=f"{wanted}acme-swish"):
        part_name("swish", "layer")
    assert part_name("swish", "loss") == "Swish"
    assert part_name("other", "layer") == "Other"


def invoke(*arguments):
    return CliRunner().invoke(new, [str(argument) for argument in arguments])


def test_without_the_extra_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "copier", None)
    error = invoke("acme-x", "--kind", "layer", "--folder", tmp_path).exception
    assert isinstance(error, MissingRequirementError)
    assert "python -m pip install './mytorch-cli[new]'" in str(error)
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_left_alone(tmp_path):
    (tmp_path / "acme-x").mkdir()
    (tmp_path / "acme-x" / "mine.txt").write_text("mine")
    error = invoke("acme-x", "--kind", "layer", "--folder", tmp_path).exception
    assert isinstance(error, FileError)
    assert "must not exist yet, or be an empty folder" in str(error)
    assert [file.name for file in (tmp_path / "acme-x").iterdir()] == ["mine.txt"]


def test_three_commands_follow(tmp_path):
    pytest.importorskip("copier", reason="it comes with mytorch-cli[new]")
    result = invoke("acme-x", "--kind", "layer", "--folder", tmp_path)
    assert result.exit_code == 0, result.output
    first, *commands = result.output.splitlines()
    assert first == f"{tmp_path / 'acme-x'} offers the layer AcmeX. Next:"
    assert [command.strip() for command in commands] == [
        f"cd {tmp_path / 'acme-x'}",
        "python -m pip install -e '.[test]'",
        "python -m pytest",
    ]
    assert (tmp_path / "acme-x/src/acme_x/py.typed").exists()


def test_the_commands_that_follow_can_be_pasted(tmp_path):
    pytest.importorskip("copier", reason="it comes with mytorch-cli[new]")
    result = invoke("acme-x", "--kind", "layer", "--folder", tmp_path / "my folder")
    assert f"  cd '{tmp_path / 'my folder' / 'acme-x'}'" in result.output.splitlines()


def test_an_unknown_kind_names_the_known_ones(tmp_path):
    result = invoke("acme-x", "--kind", "layr", "--folder", tmp_path)
    assert result.exit_code == 2
    assert "'layer', 'loss', 'optimizer', 'dataset', 'metric', 'callback', 'rule', 'command', 'hook'" in result.output
