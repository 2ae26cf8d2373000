"""Every module imports only downwards, and nothing reaches around the layer that owns a thing."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import molq

SOURCE = Path(molq.__file__).parent

LAYERS = {
    "values": "quantities job_spec job_state records policies errors tracking retained endings conditions field_rules "
    "array_indices array_elements job_ids paths plain_problems plain_values typed_text toml_keys",
    "boundary": "backend backend_tools command_replies hookspecs loaded_backend discovery commands job_script "
    "job_files job_folder manifest folder_removal tree_removal testing",
    "store": "store",
    "engine": "submission submission_plan requests snapshots evidence reconciliation recovery polling pacing "
    "cancellation waiting events retries dependencies cleanup site_report attempts dependants late_submission upkeep "
    "neighbours patience array_evidence array_reconciliation array_listing async_waiting element_cancellation "
    "submitter_environment told matching",
    "facade": "engine submitor job_queries job_handle config scheduler_options daemon config_file profile_file "
    "profile_settings profile_edits profile_retention toml_edits toml_statements",
    "faces": "cli monitoring __main__",
}
ORDER = list(LAYERS)
LAYER_OF = {part: layer for layer, parts in LAYERS.items() for part in parts.split()}

# What users may import themselves, with what lists jobs and backends.
OPEN_TO_FACES = {
    "store",
    "plain_values",
    "array_listing",
    "cleanup",
    "daemon",
    "discovery",
    "events",
    "submitor",
    "job_handle",
    "config",
    "config_file",
    "profile_edits",
    "profile_file",
    "profile_retention",
    "profile_settings",
    "cli",
    "scheduler_options",
    "monitoring",
}
OPEN_TO_FACES |= set(LAYERS["values"].split())

BACKENDS = ("molq_local", "molq_slurm", "molq_pbs", "molq_lsf")

MODULES = sorted(SOURCE.rglob("*.py"))


def name_of(path):
    """Return a module's name without the leading ``molq.``; "" for the package itself."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module):
    return module.partition(".")[0]


def imports(path):
    """Yield what a module imports, wherever in it, and whether only type checkers see that."""
    tree = ast.parse(path.read_text())
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in for_types
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            if node.module == "molq":
                for alias in node.names:
                    yield f"molq.{alias.name}", id(node) in for_types
            else:
                yield node.module, id(node) in for_types


def molq_imports(path, *, with_types=True):
    """Return the parts of molq that a module imports."""
    own = {
        part_of(name.removeprefix("molq."))
        for name, for_types in imports(path)
        if name.startswith("molq.") and (with_types or not for_types)
    }
    # ``from molq import X``: a name that the package hands out counts as the module that defines it.
    return {molq._MODULES.get(part, part) for part in own if part != "__version__"}


def modules_in(*layers):
    return [path for path in MODULES if LAYER_OF.get(part_of(name_of(path))) in layers]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_has_a_layer(path):
    part = part_of(name_of(path))

    assert part == "" or part in LAYER_OF, f"{part} has no layer: add it to LAYERS, where architecture.md puts it"


@pytest.mark.parametrize("path", modules_in(*LAYERS), ids=name_of)
def test_a_module_imports_only_what_lies_below_it(path):
    higher = ORDER[ORDER.index(LAYER_OF[part_of(name_of(path))]) + 1 :]

    # What only type checkers see cannot tie a layer to the one above it.
    above = {part for part in molq_imports(path, with_types=False) if LAYER_OF.get(part) in higher}

    assert above == set()


@pytest.mark.parametrize("path", modules_in("values"), ids=name_of)
def test_values_know_nothing_but_values(path):
    assert {part for part in molq_imports(path) if LAYER_OF.get(part) != "values"} == set()


@pytest.mark.parametrize("path", modules_in("store"), ids=name_of)
def test_the_store_knows_only_itself_and_values(path):
    assert {part for part in molq_imports(path) if LAYER_OF.get(part) not in ("values", "store")} == set()


@pytest.mark.parametrize("path", modules_in("boundary"), ids=name_of)
def test_what_crosses_to_backends_does_not_know_the_store(path):
    assert "store" not in molq_imports(path)


@pytest.mark.parametrize("path", modules_in("faces"), ids=name_of)
def test_faces_know_what_users_may_know(path):
    assert molq_imports(path) - OPEN_TO_FACES == set()


@pytest.mark.parametrize("path", modules_in("faces"), ids=name_of)
def test_faces_know_the_store_only_as_a_whole(path):
    inner = [name for name, _ in imports(path) if name.startswith("molq.store.")]

    assert inner == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_the_store_knows_sqlite(path):
    names = {name.partition(".")[0] for name, _ in imports(path)}

    assert "sqlite3" not in names or part_of(name_of(path)) == "store"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_the_boundary_knows_pluggy(path):
    names = {name.partition(".")[0] for name, _ in imports(path)}

    assert "pluggy" not in names or path in modules_in("boundary")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_the_core_imports_no_backend(path):
    found = {(name, for_types) for name, for_types in imports(path) if name.partition(".")[0] in BACKENDS}

    allowed = {(backend, True) for backend in BACKENDS} if name_of(path) == "" else set()
    assert found <= allowed


def test_the_backend_module_hands_out_what_it_names():
    from molq import backend

    assert [name for name in backend.__all__ if not hasattr(backend, name)] == []
