"""The wheel holds everything that an installation outside the checkout needs."""

import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[1]
PACKAGES = ("supernet", "search", "predictors", "hardware", "conf")


@pytest.fixture(scope="module")
def wheel_files(tmp_path_factory):
    builder = WheelBuilder(str(ROOT))
    (path,) = builder.build(directory=str(tmp_path_factory.mktemp("wheel")), versions=["standard"])
    with zipfile.ZipFile(path) as wheel:
        return set(wheel.namelist())


def test_every_file_of_the_packages_is_in_the_wheel(wheel_files):
    expected = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert expected <= wheel_files
    assert sum(name.endswith(".yaml") for name in wheel_files) >= 15
    assert any(name.endswith(".safetensors") for name in wheel_files)
    assert {f"{package}/py.typed" for package in PACKAGES[:4]} <= wheel_files


def test_nothing_else_is_in_the_wheel(wheel_files):
    tops = {name.split("/")[0] for name in wheel_files}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)


def test_console_scripts_exist():
    import search.apps

    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert set(scripts) == {"supernet-search", "supernet-train", "supernet-profile", "supernet-deploy"}
    for target in scripts.values():
        module, _, name = target.partition(":")
        assert module == "search.apps"
        assert callable(getattr(search.apps, name))
