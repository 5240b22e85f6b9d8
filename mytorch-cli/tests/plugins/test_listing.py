"""`mytorch plugins list`."""

import json


def test_the_table_is_aligned(mytorch, site):
    site.distribution("acme-layers", layers={"Scale": "acme.layers:Scale", "VeryLongLayerName": "acme.layers:Long"})
    result = mytorch("plugins", "list", "layer")
    assert result.returncode == 0
    head, *rows = result.stdout.splitlines()
    mine = [row for row in rows if "acme-layers" in row]
    assert [row.split() for row in mine] == [
        ["layer", "Scale", "acme-layers", "1.5", ">=0.1,<0.2", "acme.layers:Scale"],
        ["layer", "VeryLongLayerName", "acme-layers", "1.5", ">=0.1,<0.2", "acme.layers:Long"],
    ]
    column = head.index("DISTRIBUTION")
    assert all(row[column:].startswith("acme-layers") and row[column - 2 : column] == "  " for row in mine)


def test_json_is_a_list_of_objects(mytorch, site):
    site.distribution("acme-layers", requires="click", layers={"Scale": "acme.layers:Scale"})
    parts = json.loads(mytorch("plugins", "list", "--json").stdout)
    assert {
        "kind": "layer",
        "name": "Scale",
        "distribution": "acme-layers",
        "version": "1.5",
        "target": "acme.layers:Scale",
        "core_requirement": None,
        "file": None,
        "blocked": None,
    } in parts


def test_the_same_name_in_two_kinds_is_no_duplicate(mytorch, site):
    site.distribution("acme-a", layers={"X": "acme:X"})
    site.distribution("acme-b", losses={"X": "acme:X"})
    assert mytorch("plugins", "list").stderr == ""


def test_a_stranger_with_a_name_of_the_projects_is_reported_by_reference(mytorch, site):
    site.distribution("acme-a", metrics={"X": "acme:X"})
    site.distribution("acme-b", metrics={"X": "acme:X"})
    assert mytorch("plugins", "list", "metric").stderr == (
        "Warning: metric 'X' is offered by several distributions; write 'acme-a:X' or 'acme-b:X', "
        "or choose one for good: mytorch plugins prefer acme-a:X\n"
    )


def test_an_empty_kind_prints_the_headings_only(mytorch):
    assert mytorch("plugins", "list", "hook").stdout.split() == [
        "KIND",
        "NAME",
        "DISTRIBUTION",
        "VERSION",
        "NEEDS",
        "CORE",
        "TARGET",
    ]


def test_hooks_may_share_a_name_since_all_are_used(mytorch, site):
    site.distribution("acme-a", hooks={"log": "acme"})
    site.distribution("acme-b", hooks={"log": "acme"})
    assert mytorch("plugins", "list").stderr == ""
    assert "same name" not in mytorch("plugins", "show", "log").stdout


def test_many_of_one_name_are_told_in_short(mytorch, site):
    for name in "abcde":
        site.distribution(f"acme-{name}", layers={"Gate": "acme:Gate"})
    said = mytorch("plugins", "list", "layer").stderr
    assert "write 'acme-a:Gate' or 'acme-b:Gate' or 'acme-c:Gate' or one of 2 more, or choose one for good" in said
