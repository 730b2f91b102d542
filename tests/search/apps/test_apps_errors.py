"""Bad input: one clear line, exit code 2, nothing lost."""

import pickle
import resource
import shutil
from pathlib import Path

import pytest
from safetensors.torch import save_file


def refused(ran, *parts):
    assert ran.code == 2, (ran.out, ran.err)
    assert len(ran.err.strip().splitlines()) == 1, ran.err
    assert "Traceback" not in ran.err + ran.out
    for part in parts:
        assert part in ran.err
    return True


@pytest.mark.parametrize(
    ("argument", "parts"),
    [
        ("supernet=foo", ["unknown supernet 'foo'", "digits_mobilenetv3", "ofa_mobilenetv3"]),
        ("task=foo", ["unknown task 'foo'", "cifar10", "digits", "image_folder"]),
        ("hardware=foo", ["unknown hardware 'foo'", "onnxruntime_cpu, ", "torch_cpu, "]),
        ("tactic=foo", ["unknown tactic 'foo'", "linas, ", "random"]),
        ("predictor=foo", ["unknown predictor 'foo'", "auto"]),
        ("engine=foo", ["unknown engine 'foo'", "local"]),
        ("experiment=foo", ["unknown experiment 'foo'", "quick"]),
        ("supernet.name=foo", ["unknown super-network 'foo'", "digits_mobilenetv3"]),
        ("supernet=ofa_mobilenetv3", ["supernet.checkpoint"]),
        ("tactic.name=foo", ["unknown tactic 'foo'", "linas"]),
        ("predictor.name=foo", ["unknown predictor 'foo'", "ridge"]),
        ("+tactic.foo=1", ["no setting 'foo'", "population"]),
        ("objectives=[acc]", ["unknown objective 'acc'", "measured_latency"]),
        ("hardware=onnx_cpu", ["unknown hardware 'onnx_cpu'", "did you mean openvino_cpu or onnxruntime_cpu?"]),
        ("--budget=9", ["there is no option --budget", "without dashes, budget=9"]),
        ("metric=loss", ["metric=loss: less of it is better"]),
        ("metric=top2", ["gives no metric 'top2': it has top1, loss; did you mean 'top1'?"]),
        ("descriptors=[macs,flops]", ["unknown descriptor 'flops'", "params", "synflow"]),
        ("descriptors=flops", ["unknown descriptor 'flops'"]),
        ("objectives=acc", ["unknown objective 'acc'"]),
        ("objectives=null", ["a search needs objectives"]),
        ("objectives=5", ["objectives must list names", "got 5"]),
        ("descriptors=[1]", ["descriptors must list names"]),
        ("validate_on=foo", ["cannot validate on 'foo'", "cuda:1"]),
        ("objectives=accuracy,latency", ["objectives", "[value1,value2]"]),
        ("buget=9", ["unknown setting 'buget' (did you mean budget?)", "--help"]),
        ("hardware.foo=1", ["unknown setting 'hardware.foo': ", "+hardware.foo=... adds an argument"]),
        ("hardware.thread=1", ["unknown setting 'hardware.thread' (did you mean hardware.threads?)"]),
        ("+hardware.foo=1", ["hardware", "'foo'"]),
        ("budget", ["cannot read the argument 'budget'", "key=value"]),
        ("foo[bar=1", ["cannot read the argument 'foo[bar=1'"]),
        ("hardware.backend=foo", ["unknown backend 'foo'", "onnxruntime, ", "torch, "]),
        ("hardware.threads=9999", ["threads", "9999"]),
        ("hardware.threads=many", ["threads", "many"]),
        ("constraints=latency < 5", ["cannot read the constraint 'latency < 5'", "latency <= 5"]),
        ("constraints=5", ["cannot read the constraint '5'"]),
        ("constraints=latency <= 1.2.3", ["cannot read the constraint 'latency <= 1.2.3'"]),
        ("constraints=power <= 5", ["'power'", "accuracy, latency"]),
        ("constraints=latency <= 0.0001", ["no architecture meets", "best value found"]),
        ("batch_size=9", ["budget 8", "first batch of 9"]),
        ("budget=many", ["budget", "'many'"]),
        ("seed=-1", ["seed", "-1"]),
        ("deploy=first", ["deploy", "'first'", "ends"]),
        ("task=image_folder", ["task.root"]),
        ("task._target_=nowhere.Task", ["task", "nowhere", "in the folder where the command runs"]),
        ("latency_table=/nowhere.json", ["/nowhere.json", "No such file"]),
        ("store=/dev/full", ["/dev/full", "no store"]),
        ("output=/proc/nothing", ["/proc/nothing"]),
        ("supernet.checkpoint=/nowhere.safetensors", ["no checkpoint at /nowhere.safetensors"]),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(app, small, tmp_path, argument, parts):
    changed = argument.partition("=")[0]
    others = [given for given in small if not str(given).startswith((f"{changed}=", f"+{changed}."))]
    if changed == "tactic":
        others = [given for given in others if not str(given).startswith("tactic.")]
    output = [] if changed == "output" else [f"output={tmp_path / 'run'}"]
    assert refused(app("search", *others, *output, argument), *parts)


def test_a_setting_that_others_are_taken_from_is_asked_for_itself(app, tmp_path):
    ran = app("search", "experiment=sst2_bert", f"task.root={tmp_path}", f"output={tmp_path / 'run'}")
    assert refused(ran, "a value is missing: give supernet.model=")


def test_an_own_traceback_is_shown_on_request(app, monkeypatch, tmp_path):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    ran = app("search", "supernet.name=foo", f"output={tmp_path}")
    assert ran.code == 2
    assert "Traceback" in ran.err
    assert ran.err.strip().splitlines()[-1].startswith("supernet-search: unknown super-network 'foo'")


class Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def bad_checkpoint(kind, path):
    import torch

    import supernet

    if kind == "of another family":
        save_file({"layer.weight": torch.zeros(2, 2)}, path, metadata={"supernet": "other_family"})
        return
    supernet.create("digits_mobilenetv3", checkpoint="embedded").save_checkpoint(path)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-1000])
    if kind == "a pickle that would run code":
        path.write_bytes(pickle.dumps(Harmful(path.with_name("harm"))))
    if kind == "a torch pickle that would run code":
        torch.save(Harmful(path.with_name("harm")), path)


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("of another family", "other_family"),
        ("truncated", "not a complete safetensors file"),
        ("a pickle that would run code", "pickle"),
        ("a torch pickle that would run code", "pickle"),
    ],
)
def test_bad_checkpoints_are_refused(app, small, tmp_path, kind, part):
    path = tmp_path / "weights.safetensors"
    bad_checkpoint(kind, path)
    assert refused(app("search", *small, f"supernet.checkpoint={path}", f"output={tmp_path / 'run'}"), str(path), part)
    assert not (tmp_path / "harm").exists()


def test_tables_and_stores_of_another_space_are_refused(app, finished, table, other_space, tmp_path):
    folder, _ = finished
    store = tmp_path / "store.sqlite"
    shutil.copy(folder / "store.sqlite", store)
    before = store.read_bytes()
    output = f"output={tmp_path / 'run'}"
    ran = app("search", *other_space, "objectives=[accuracy,macs]", "budget=4", f"store={store}", output)
    assert refused(ran, str(store), "another search space")
    assert store.read_bytes() == before
    ran = app("search", *other_space, "budget=4", f"latency_table={table}", output)
    assert refused(ran, str(table), "another search space")


def test_a_table_of_another_device_is_refused(app, small, tmp_path):
    ran = app("search", *small, "hardware=torch_cpu", f"output={tmp_path}")
    assert refused(ran, "another device", "backend=onnxruntime", "backend=torch")


def test_damaged_files_are_refused(app, small, finished, table, tmp_path):
    damaged = tmp_path / "store.sqlite"
    content = bytearray((finished[0] / "store.sqlite").read_bytes())
    content[4096:12288] = b"\xff" * 8192
    damaged.write_bytes(content)
    assert refused(app("search", *small, f"store={damaged}", f"output={tmp_path / 'run'}"), str(damaged), "damaged")
    cut = tmp_path / "table.json"
    cut.write_text(table.read_text()[:500])
    ran = app("search", *small[1:], f"latency_table={cut}", f"output={tmp_path / 'run'}")
    assert refused(ran, str(cut), "not a complete latency table")


def test_an_output_folder_that_is_a_file_is_refused(app, small, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert refused(app("search", *small, f"output={tmp_path / 'file'}"), str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "mine"


@pytest.fixture
def file_size_limit():
    """Makes files stop growing at a size, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(n_bytes):
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("n_bytes", [20_000, 100_000])  # the store cannot grow; the bundle cannot be written
def test_a_full_disk_loses_nothing(app, accidental, finished, file_size_limit, tmp_path, n_bytes):
    command = [*accidental, "budget=4", "deploy=[0]", f"output={tmp_path / 'run'}"]
    file_size_limit(n_bytes)
    assert refused(app("search", *command))
    file_size_limit(resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    ran = app("search", *command)
    assert ran.code == 0, ran.err
    results, expected = (
        (folder / "results.csv").read_text().splitlines() for folder in (tmp_path / "run", finished[0])
    )
    assert results == expected[:5]
    assert len((tmp_path / "validated.txt").read_text().splitlines()) <= 5  # 4, and one that could not be recorded


@pytest.mark.parametrize("name", ["search", "train", "profile", "deploy"])
def test_every_application_explains_itself(app, name):
    ran = app(name, "--help")
    assert ran.code == 0
    assert f"supernet-{name}" in ran.out
    assert refused(app(name, "nonsense=1"), f"supernet-{name}: unknown setting 'nonsense'")


def test_help_tells_what_settings_mean(app, tmp_path):
    (tmp_path / "task").mkdir()
    own = tmp_path / "task" / "mine.yaml"
    own.write_text("_target_: mine.task\nroot: ${output} # where it costs 5$\nsizes: [1, -2] # of all\n")
    ran = app("search", "supernet=vit_imagenette", "task=mine", "--config-dir", tmp_path, "--help")
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert "budget: 80  # architectures to validate" in lines
    assert "  root: ${output}  # where it costs 5$" in lines
    assert "  sizes: [1, -2]  # of all" in lines
    assert "  qk_norm: true  # keeps the training stable" in lines  # in the file that this one extends
    assert "  depths: [5, 6, 7, 8, 9]" in lines


def test_errors_in_a_multirun_name_the_job_and_spare_the_others(app, other_space, tmp_path):
    settings = [*other_space, "objectives=[accuracy,macs]", "tactic=random", "budget=4", "deploy=none"]
    ran = app("search", "-m", *settings, f"output={tmp_path}", "hardware.threads=9999,1")
    assert refused(ran, "hardware.threads=9999: ", "9999")
    assert (tmp_path / "hardware.threads=1" / "results.csv").exists()
