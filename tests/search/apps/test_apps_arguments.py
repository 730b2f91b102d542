"""Command lines as people write them."""

import importlib

import pytest


@pytest.mark.parametrize(
    ("program", "setting", "value"),
    [("search", "budget", 80), ("train", "seed", 0), ("profile", "check", 40), ("deploy", "rank", None)],
)
def test_a_program_without_arguments_runs_with_its_defaults(app, monkeypatch, tmp_path, program, setting, value):
    from omegaconf import OmegaConf

    given = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.import_module(f"search.apps.{program}_app"), "run", given.append)
    ran = app(program)
    assert ran.code == 0, ran.err
    assert OmegaConf.select(given[0], setting, default="missing") == value
