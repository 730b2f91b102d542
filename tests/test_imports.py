"""Imports flow one way: supernet and predictors know nobody, hardware knows both, search ties them together."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "supernet": set(),
    "predictors": set(),
    "hardware": {"supernet", "predictors"},
    "search": {"supernet", "hardware", "predictors"},
}


def imported_packages(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_those_before_it(package):
    own = set(MAY_IMPORT) - {package}
    for path in (ROOT / package).rglob("*.py"):
        if "templates" not in path.parts:
            forbidden = (set(imported_packages(path)) & own) - MAY_IMPORT[package]
            assert not forbidden, f"{path.relative_to(ROOT)} imports {sorted(forbidden)}"
