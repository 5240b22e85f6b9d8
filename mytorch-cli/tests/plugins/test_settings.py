"""`mytorch plugins block`, `unblock`, `prefer`, and what the other commands say about blocked parts."""

import json

import pytest


@pytest.fixture
def settings(tmp_path):
    return tmp_path / "config" / "plugins.toml"


@pytest.fixture
def run(mytorch, settings):
    return lambda *arguments, **environment: mytorch(*arguments, MYTORCH_CONFIG=str(settings), **environment)


def test_block_and_unblock_a_distribution(run, site, settings):
    site.command("go", "print('went')")
    assert run("go").stdout == "went\n"
    done = run("plugins", "block", "acme-go")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"acme-go is blocked in {settings}. Undo: mytorch plugins unblock acme-go\n"
    imported = len(site.imported)
    refused = run("go")
    assert refused.returncode == 1
    assert refused.stderr == (
        f"Error: command 'go' of acme-go 1.5 is blocked by 'acme-go' in {settings}. "
        "Remove that entry: mytorch plugins unblock acme-go\n"
    )
    assert "go " not in run("--help").stdout
    assert len(site.imported) == imported
    assert run("plugins", "unblock", "acme-go").stdout == "acme-go is allowed again.\n"
    assert run("go").stdout == "went\n"


def test_a_part_may_be_blocked_by_its_bare_name(run, site, settings):
    site.distribution("acme-layers", layers={"Gate": "acme:Gate", "Other": "acme:Other"})
    run("plugins", "block", "Gate")
    rows = {row.split()[1]: row for row in run("plugins", "list", "layer").stdout.splitlines()}
    assert rows["Gate"].endswith(f"(blocked by 'acme-layers:Gate' in {settings})")
    assert rows["Other"].endswith("acme:Other")
    parts = json.loads(run("plugins", "list", "layer", "--json").stdout)
    assert {part["name"] for part in parts if part["blocked"]} == {"Gate"}


def test_comments_of_the_file_stay(run, site, settings):
    site.distribution("acme-layers", layers={"Gate": "acme:Gate"})
    settings.parent.mkdir()
    settings.write_text('# mine\nblock = [\n    "old",  # since May\n]\nprefer = ["x"] # why\n')
    run("plugins", "block", "acme-layers")
    run("plugins", "block", "acme-layers")
    text = settings.read_text()
    assert text.count("acme-layers") == 1
    for kept in ("# mine", "# since May", "# why", '"old"'):
        assert kept in text
    run("plugins", "unblock", "old")
    assert '"old"' not in settings.read_text()


def test_a_file_that_is_a_link_stays_one(run, site, settings, tmp_path):
    site.distribution("acme-layers", layers={"Gate": "acme:Gate"})
    kept = tmp_path / "dotfiles.toml"
    kept.write_text("# mine\n")
    settings.parent.mkdir()
    settings.symlink_to(kept)
    run("plugins", "block", "acme-layers")
    assert settings.is_symlink()
    assert kept.read_text().startswith("# mine\n")
    assert "acme-layers" in kept.read_text()


def test_a_folder_that_cannot_be_made_is_told_by_name(run, site, settings, tmp_path):
    site.distribution("acme-layers", layers={"Gate": "acme:Gate"})
    settings.parent.write_text("a file where the folder belongs")
    done = run("plugins", "block", "acme-layers")
    assert done.returncode == 1
    assert "must be" in done.stderr
    assert str(settings) in done.stderr


def test_a_name_that_is_not_installed_is_blocked_with_a_warning(run, site):
    site.distribution("acme-layers", layers={"Gate": "acme:Gate"})
    done = run("plugins", "block", "acme-layer")
    assert done.returncode == 0
    assert done.stderr == "Warning: 'acme-layer' is not installed. Nearest: acme-layers.\n"


def test_prefer_decides_between_two(run, site):
    for name in ("acme-a", "acme-b"):
        site.distribution(name, layers={"Gate": f"{name[-1]}:Gate"})
    assert "prefer acme-a:Gate" in run("plugins", "list", "layer").stderr
    run("plugins", "prefer", "acme-b:Gate")
    assert "the name means 'acme-b:Gate' (preferred by 'acme-b:Gate' in" in run("plugins", "list", "layer").stderr
    assert "use           acme-a:Gate" in run("plugins", "show", "acme-a:Gate").stdout
    assert "use           Gate\n" in run("plugins", "show", "acme-b:Gate").stdout


def test_unblock_of_what_is_not_blocked(run):
    done = run("plugins", "unblock", "acme")
    assert done.returncode == 1
    assert "'acme' is not blocked in" in done.stderr


def test_show(run, site):
    site.module("acme_shown", 'class Gate:\n    """Open and close."""\n')
    site.distribution("acme-layers", requires="mytorch-core<0.1", layers={"Gate": "acme_shown:Gate"})
    said = run("plugins", "show", "Gate").stdout
    for part in ("layer", "acme-layers 1.5", "<0.1", str(site.folder / "acme_shown.py"), "Open and close."):
        assert part in said
    assert "cannot be used" in said
    assert site.imported == []
    unknown = run("plugins", "show", "Gat")
    assert unknown.returncode == 1
    assert "'Gat' is not installed. Nearest: Gate" in unknown.stderr


def test_a_damaged_file_stops_no_listing_and_is_never_written_over(run, site, settings):
    site.command("go", "print('went')")
    settings.parent.mkdir()
    settings.write_text("block = [")
    for arguments in (["--help"], ["plugins", "list"], ["plugins", "show", "go"]):
        done = run(*arguments)
        assert done.returncode == 0, done.stderr
        assert f"Warning: {settings}: must be a TOML file, got" in done.stderr
    for arguments in (["go"], ["plugins", "block", "acme-go"]):
        done = run(*arguments)
        assert done.returncode == 1
        assert f"Error: {settings}: must be a TOML file, got" in done.stderr
    assert settings.read_text() == "block = ["
    assert site.imported == []


def test_a_damaged_file_is_fatal_if_so_asked(run, settings):
    settings.parent.mkdir()
    settings.write_text("block = [")
    assert run("plugins", "list", MYTORCH_STRICT_PLUGINS="1").returncode == 1


def test_with_every_plugin_broken_the_tools_work(run, site):
    for number in range(3):
        site.module(f"acme_{number}", "import os; os._exit(3)")
        site.distribution(
            f"acme-{number}",
            layers={"Gate": f"acme_{number}:Gate"},
            commands={f"go{number}": f"acme_{number}:go"},
            hooks={"log": f"acme_{number}"},
        )
    for arguments in (["--help"], ["plugins", "list"], ["plugins", "show", "Gate"], ["plugins", "block", "acme-0"]):
        assert run(*arguments).returncode == 0
    assert site.imported == []
