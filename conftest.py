"""Surroundings without the user's settings, and which tests take long or need a GPU; tox.ini says what runs where."""

import atexit
import importlib.util
import os
import shutil
import tempfile
from collections.abc import MutableMapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import pytest

READ = ("MYTORCH", "_MYTORCH", "MPL", "MATPLOTLIB", "TORCH_LOGS", "TORCHINDUCTOR_CACHE")
"""How the names of variables begin by which a user sets what the project, or what it draws and compiles with, does."""
OF_TERMINALS = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "PYTHONWARNINGS")


def clear(variables: MutableMapping[str, str], folder: Path) -> None:
    """Hide the user's settings and caches from this process and those that it starts; `folder` stands for theirs.

    pip alone keeps what it has: where packages come from is no matter of this project.
    """
    settings = Path(variables.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    if (pip := settings / "pip" / "pip.conf").is_file():
        variables.setdefault("PIP_CONFIG_FILE", str(pip))
    caches = Path(variables.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    variables.setdefault("PIP_CACHE_DIR", str(caches / "pip"))
    for name in [name for name in variables if name.startswith(READ) or name in OF_TERMINALS]:
        del variables[name]
    for name in ("CONFIG", "CACHE", "DATA", "STATE"):
        variables[f"XDG_{name}_HOME"] = str(folder / name.lower())
    variables["MYTORCH_CONFIG"] = str(folder / "config" / "mytorch" / "plugins.toml")
    variables["MYTORCH_CACHE"] = str(folder / "cache" / "mytorch")
    variables["MPLBACKEND"] = "agg"
    with suppress(OSError):  # matplotlib's list of the fonts is nobody's choice, and takes seconds to make
        shutil.copytree(caches / "matplotlib", folder / "cache" / "matplotlib")


_folder = Path(tempfile.mkdtemp(prefix="mytorch-tests-"))
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
clear(os.environ, _folder)  # now, before any test imports what reads them

SLOW = (
    "mytorch-nn/tests/test_conformance.py",
    "mytorch-nn/tests/test_arguments.py::test_arguments_of",
    "mytorch-nn/tests/test_one_graph.py",
    "mytorch-nn/tests/test_foreign_saved.py",
    "mytorch-nn/tests/test_odd_inputs.py::test_odd_inputs",
    "mytorch-nn/tests/test_bad_calls.py::test_a_kernel_never_sees",
    "mytorch-nn/tests/ragged/test_padded.py::test_the_kit",
    "mytorch-nn/tests/container/test_variational_autoencoder.py::test_the_kit",
    "mytorch-optim/tests/test_conformance.py",
    "mytorch-optim/tests/test_sgd_memory.py::test_no_process_ends",
    "mytorch-data/tests/test_conformance.py",
    "mytorch-data/tests/test_bad_tables.py::test_a_hundred_thousand_columns",
    "mytorch-data/tests/arrays/test_larger_than_memory.py",
    "mytorch-train/tests/checkpoint/test_resume.py::test_the_compiled_engine",
    "mytorch-train/tests/compiled/test_compiled.py::test_a_run_equals_eager_and_the_second",
    "mytorch-train/tests/compiled/test_compiled_fallback.py::test_without_a_compiler",
    "mytorch-train/tests/compiled/test_compiled_forward.py",
    "mytorch-train/tests/compiled/test_compiled_forward_threads.py",
    "mytorch-train/tests/compiled/test_compiled_processes.py",
    "mytorch-train/tests/half_precision/test_compiled_in_half_precision.py",
    "mytorch-train/tests/test_device.py",
    "mytorch-train/tests/test_completion.py::test_two_processes",
    "mytorch-experiments/tests/file/test_gradients_of_a_step.py::test_an_exported_step",
    "mytorch-experiments/tests/parity/test_parity.py",
    "mytorch-experiments/tests/search/test_search.py",
    "mytorch-experiments/tests/test_device.py",
    "mytorch-experiments/tests/export/test_export_step.py",
    "mytorch-experiments/tests/training/test_failing_disk.py",
    "mytorch-experiments/tests/training/test_power_loss.py",
    "mytorch-experiments/tests/training/test_resume.py::test_a_process_that_was_killed",
    "mytorch-testing/tests/test_pytest_plugin.py",
    "mytorch-cli/tests/plugins/test_doctor.py",
    "tests/test_benchmarks.py",
    "tests/test_compiled_parity.py",
    "tests/test_compiled_step.py",
    "tests/test_crashes.py",
    "tests/test_documents.py",
    "tests/test_end_to_end.py::test_parity",
    "tests/test_example_programs.py",
    "tests/test_failing_system.py",
    "tests/test_family_parity.py",
    "tests/test_fuzz.py",
    "tests/test_fuzz_files.py",
    "tests/test_fuzz_tables.py",
    "tests/test_new_sequences.py::test_classes",
    "tests/test_new_sequences.py::test_numbers",
    "tests/test_notebook.py",
    "tests/test_optimizers_in_engines.py",
    "tests/test_sequences.py::test_pytorch",
    "tests/test_shipped.py",
    "tests/test_surroundings.py::test_tests_pass",
    "tests/test_surroundings.py::test_benchmarks",
    "tests/test_text.py::test_a_new_experiment_learns",
    "tests/test_text.py::test_the_result",
    "tests/test_text.py::test_pytorch",
)
"""Files of tests, or tests in them, from the root of the checkout: the kit, what is compiled, and whole documents.

Beside them every test_the_contract, which hands the kit a part with other arguments than its own, and every case of an
engine that is compiled where another is not."""

NUMBERS = (
    *("mytorch-nn/tests/activation/", "mytorch-nn/tests/attention/", "mytorch-nn/tests/convolution/"),
    *("mytorch-nn/tests/distance/", "mytorch-nn/tests/dropout/", "mytorch-nn/tests/embedding/"),
    *("mytorch-nn/tests/linear/", "mytorch-nn/tests/loss/", "mytorch-nn/tests/normalization/"),
    *("mytorch-nn/tests/padding/", "mytorch-nn/tests/pooling/", "mytorch-nn/tests/ragged/"),
    *(
        "mytorch-nn/tests/rearrangement/",
        "mytorch-nn/tests/recurrent/",
        "mytorch-nn/tests/resampling/",
        "mytorch-nn/tests/transformer/",
    ),
    *("mytorch-nn/tests/test_activation.py", "mytorch-nn/tests/test_arguments.py"),
    "mytorch-nn/tests/test_upstream_dtype.py",
    *("mytorch-optim/tests/test_against_torch.py", "mytorch-optim/tests/test_sgd.py"),
)
"""Tests of what is computed with torch alone: they depend on no other distribution and on no version but torch's, of
which there is one. Python's own can hardly matter; the oldest and the newest show it."""

NEWER_TORCH = (
    "mytorch-core/tests/test_rows.py::test_rows_at_of_any_dtype[dtype2]",
    "mytorch-core/tests/test_training_step.py::test_a_training_step_equals_autograd[True]",
    "mytorch-core/tests/test_training_step.py::test_a_learning_rate",
    "mytorch-nn/tests/activation/test_activations.py::test_prelu_in_the_kit",
    "mytorch-nn/tests/container/test_checkpoint.py::test_under_inference_mode_and_as_one_graph",
    "mytorch-nn/tests/container/test_module_dict.py::test_its_children_are_found_and_trained",
    "mytorch-nn/tests/container/test_module_list.py::test_its_children_are_found_and_trained",
    "mytorch-nn/tests/embedding/test_embedding.py::test_the_row_of_padding_has_no_gradient",
    "mytorch-nn/tests/init/test_init.py::test_every_name_of_torch",
    "mytorch-nn/tests/loss/test_linear_cross_entropy_loss.py::test_as_torch",
    "mytorch-nn/tests/loss/test_linear_cross_entropy_loss.py::test_ignored_targets",
    "mytorch-nn/tests/loss/test_losses.py::test_half_precision[SmoothL1Loss-options1-torch.float16]",
    "mytorch-nn/tests/pooling/test_lp_pool.py::test_windows_of_zeros_have_no_gradient",
    "mytorch-nn/tests/test_all_of_torch.py",
    *(
        f"mytorch-nn/tests/test_arguments.py::test_as_torch[{kind}"
        for kind in ("Batch", "EmbeddingBag", "Group", "Instance", "LazyB", "LazyI", "LinearCross", "LPPool", "Sync")
    ),
    "mytorch-nn/tests/test_arguments.py::test_every_class_of_torch_has_a_strategy",
    "mytorch-nn/tests/test_bad_calls.py::test_an_input_in_a_form_that_kernels_do_not_know[bool-Re",
    "mytorch-nn/tests/test_lazy_layers.py::test_after_the_first_forward_it_is_the_layer_of_torch",
    "mytorch-nn/tests/test_odd_inputs.py::test_a_shuffle_of_a_dtype_that_torch_only_stores",
    "mytorch-nn/tests/test_odd_inputs.py::test_relu_of_a_dtype_that_torch_only_stores",
    "mytorch-optim/tests/test_against_torch.py::test_equals_torch_over_drawn_settings_and_gradients[Adam-",
    "mytorch-optim/tests/test_against_torch.py::test_equals_torch_over_drawn_settings_and_gradients[Muon-",
    "mytorch-optim/tests/test_against_torch.py::test_state_goes_to_torch_and_back_half_way[Adam-",
    "mytorch-optim/tests/test_against_torch.py::test_state_goes_to_torch_and_back_half_way[Muon-",
    "mytorch-optim/tests/test_against_torch.py::test_state_takes_no_more_memory_than_torchs[Muon]",
    "mytorch-optim/tests/test_against_torch.py::test_lr_may_be_a_tensor[Muon-",
    "mytorch-optim/tests/test_against_torch.py::test_every_optimizer_that_torch_has_too_is_here",
    "mytorch-optim/tests/test_lbfgs.py::test_equals_torch",
    "mytorch-optim/tests/test_nested_schedules.py::test_equal_to_torch_step_for_step_and_resumed_in_the_middle",
    "mytorch-optim/tests/test_optimizer_settings.py::test_adamw_takes_no_state_of_the_other_decay",
    "mytorch-optim/tests/test_schedule_states.py::test_state_goes_to_torch_and_back[",
    "mytorch-optim/tests/test_schedule_states.py::test_a_state_of_torch_with_other_arguments_is_refused",
    "mytorch-train/tests/test_auto.py",
    "mytorch-train/tests/test_clip_gradients.py::test_a_step_that",
    "mytorch-train/tests/test_clip_gradients.py::test_runs_that_clip_by_value",
    "mytorch-testing/tests/commands/test_check.py::test_a_layer_is_built_and_fed_by_guessing",
    "mytorch-testing/tests/commands/test_check.py::test_arguments_shapes_and_seed_can_be_told",
    "mytorch-testing/tests/commands/test_check.py::test_a_mask_is_told_by_its_name",
    "mytorch-testing/tests/commands/test_check.py::test_other_parts_pass[Nested-",
    "mytorch-testing/tests/commands/test_check.py::test_other_parts_pass[Descent-",
    "mytorch-testing/tests/commands/test_check.py::test_other_parts_pass[Matrices-",
    "mytorch-testing/tests/layer/test_check_layer.py::test_a_right_layer_passes_every_check_in_both_modes",
    "mytorch-testing/tests/layer/test_check_layer.py::test_a_forward_that_autograd_cannot_follow",
    "mytorch-testing/tests/loss/test_check_loss.py::test_a_right_loss_passes_every_check",
    "mytorch-testing/tests/loss/test_check_loss.py::test_a_loss_of_several_predictions",
    "mytorch-testing/tests/module/test_contract.py::test_keyword_options_are_passed_and_written_out",
    "mytorch-testing/tests/module/test_devices.py::test_a_wrong_layer_fails_where_its_twin_passes[AsksForNumbers]",
    "mytorch-testing/tests/module/test_lazy.py::test_a_right_one_passes",
    "mytorch-testing/tests/optimizer/test_check_optimizer.py::test_a_wrong_optimizer_fails_where_its_twin_passes[AsksFor",
    "mytorch-testing/tests/optimizer/test_check_optimizer.py::test_the_right_twin_passes_all",
    "mytorch-testing/tests/optimizer/test_check_optimizer.py::test_shapes_are_those_of_the_parameters",
    "mytorch-testing/tests/optimizer/test_optimizers_with_a_closure.py::test_the_right_twin_with_a_closure_passes_all",
)
"""Tests of what a torch before 2.13 has not: classes, arguments and kernels of PyTorch with which ours are compared,
whole steps in one graph, and all checks of the kit, which then leaves out that of one graph. Those of the compiled
engine are not written out."""


def needs_newer_torch(nodeid: str) -> bool:
    """Whether a test cannot pass with the torch that is installed."""
    if importlib.util.find_spec("torch") is None:  # where wheels are built and installed
        return False
    major, minor = map(int, version("torch").split(".")[:2])
    compiles = "compiled" in nodeid or "one_graph" in nodeid
    return (major, minor) < (2, 13) and (compiles or nodeid.startswith(NEWER_TORCH))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--first-case", action="store_true", help="run a parametrised test with its first arguments only")


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
        max_examples=5 if "not slow" in config.option.markexpr else 10,
    )
    settings.load_profile("mytorch")


def is_slow(item: pytest.Item) -> bool:
    """Whether a test is among SLOW, or hands the kit a part with other arguments than its own, or compiles."""
    used = {*getattr(item, "fixturenames", ())} & {"compiles", "interpreted"}  # the second: nothing is compiled
    compiles = "-compiled]" in item.nodeid or used == {"compiles"}
    return item.nodeid.startswith(SLOW) or "::test_the_contract" in item.nodeid or compiles


def first_cases(items: list[pytest.Item]) -> list[pytest.Item]:
    """One case of each parametrised test, or two where a mark is on some of its cases only."""
    firsts: dict[tuple[str, bool, bool], pytest.Item] = {}
    for item in items:
        marked = (item.get_closest_marker(name) is not None for name in ("slow", "numbers"))
        firsts.setdefault((item.nodeid.partition("[")[0], *marked), item)
    return list(firsts.values())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests of those files, so that `-m "not slow and not numbers"` leaves them out."""
    for item in items:
        if is_slow(item):
            item.add_marker("slow")
        if item.nodeid.startswith(NUMBERS):
            item.add_marker("numbers")
        if needs_newer_torch(item.nodeid):
            item.add_marker(pytest.mark.skip(reason="needs torch 2.13"))
    if need := [item for item in items if item.get_closest_marker("cuda")]:
        import torch

        if not torch.cuda.is_available():
            for item in need:
                item.add_marker(pytest.mark.skip(reason="needs a GPU that torch.cuda can use"))
    if config.option.first_case:
        kept = first_cases(items)
        config.hook.pytest_deselected(items=list({*items} - {*kept}))
        items[:] = kept
