"""Which tests take long. One Python runs them all, the others the rest; tox.ini says what runs where."""

import importlib.util

import pytest

SLOW = (
    "mytorch-nn/tests/test_conformance.py",
    "mytorch-nn/tests/test_one_graph.py",
    "mytorch-nn/tests/test_foreign_saved.py",
    "mytorch-optim/tests/test_conformance.py",
    "mytorch-data/tests/test_conformance.py",
    "mytorch-train/tests/checkpoint/test_resume.py::test_the_compiled_engine",
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
"""Files of tests, or tests in them, from the root of the checkout: the kit, what is compiled, and whole documents.

Beside them every test_the_contract, which hands the kit a part with other arguments than its own."""

EXAMPLES = {"not slow": 5}
"""How many examples hypothesis draws for a test of a selection; 25 without one."""


def pytest_configure(config: pytest.Config) -> None:
    """Draw the same examples on every machine, fewer in the quick selection."""
    if importlib.util.find_spec("hypothesis") is None:  # where wheels are built and installed
        return
    from hypothesis import HealthCheck, settings

    settings.register_profile(
        "mytorch",
        deadline=None,  # machines differ
        suppress_health_check=[HealthCheck.too_slow],
        derandomize=True,
        print_blob=True,
        max_examples=EXAMPLES.get(config.option.markexpr, 25),
    )
    settings.load_profile("mytorch")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of those files, so that `-m "not slow"` leaves them out."""
    for item in items:
        if item.nodeid.startswith(SLOW) or "::test_the_contract" in item.nodeid:
            item.add_marker("slow")
