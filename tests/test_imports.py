"""Imports flow one way: supernet and predictors know nobody, hardware knows both, search ties them together."""

import ast
import subprocess
import sys
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


def test_spaces_tasks_devices_and_searches_start_without_what_only_some_need():
    code = "import sys, supernet.tasks, hardware, search; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert {"torch", "onnxruntime"} <= imported
    assert not imported & {"sklearn", "pandas", "timm", "torchvision", "transformers", "matplotlib", "hydra"}
