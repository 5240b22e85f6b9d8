"""Which tests take long. One Python runs them all, the others the rest; tox.ini says what runs where."""

import pytest

SLOW = (
    "mytorch-nn/tests/attention/test_multihead_attention.py::test_the_contract",
    "mytorch-nn/tests/recurrent/test_layers.py::test_the_contract",
    "mytorch-nn/tests/transformer/test_transformer.py::test_the_contract",
    "mytorch-nn/tests/test_conformance.py",
    "mytorch-nn/tests/test_one_graph.py",
    "mytorch-nn/tests/test_foreign_saved.py",
    "mytorch-optim/tests/test_conformance.py",
    "mytorch-data/tests/test_conformance.py",
    "mytorch-train/tests/compiled/test_compiled_forward_threads.py",
    "mytorch-train/tests/compiled/test_compiled_processes.py",
    "mytorch-experiments/tests/parity/test_parity.py",
    "mytorch-experiments/tests/test_export_step.py",
    "tests/test_benchmarks.py",
    "tests/test_compiled_parity.py",
    "tests/test_compiled_step.py",
    "tests/test_documents.py",
    "tests/test_family_parity.py",
    "tests/test_fuzz.py",
    "tests/test_notebook.py",
    "tests/test_optimizers_in_engines.py",
)
"""Files of tests, or tests in them, from the root of the checkout: the kit, what is compiled, and whole documents."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of those files, so that `-m "not slow"` leaves them out."""
    for item in items:
        if item.nodeid.startswith(SLOW):
            item.add_marker("slow")
