"""A classifier in a folder, as Hugging Face keeps it, on the whole way to a sub-network that classifies sentences."""

import json
import subprocess
import sys

import pandas as pd
import pytest

from ...supernet.sentences import sentence_task, write_classifier, write_sentences

SPACE = ["supernet.depths=[1,2]", "supernet.heads=[2,4]", "supernet.ffn_sizes=[8]", "supernet.sequence_length=12"]
LEARNING = [
    *("recipe.epochs=3", "recipe.largest_epochs=2", "recipe.rank_batches=4", "recipe.batch_size=16"),
    *("recipe.learning_rate=0.01", "recipe.n_random=1", "recipe.evaluate_every=0", "recipe.device=cpu"),
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Sentences, and a classifier with its tokenizer."""
    root = write_sentences(tmp_path_factory.mktemp("sentences"))
    (root / "test.tsv").write_text((root / "dev.tsv").read_text())
    return root, write_classifier(sentence_task(root), tmp_path_factory.mktemp("classifier"))


@pytest.fixture(scope="module")
def given_both(folders):
    """Arguments of both experiments."""
    root, model = folders
    columns = ["+task.text=text", "+task.label=label", "+task.header=true", "task.max_length=16"]
    return [f"task.root={root}", *columns, f"supernet.model={model}", *SPACE]


@pytest.fixture(scope="module")
def searched(app, given_both, tmp_path_factory):
    output = tmp_path_factory.mktemp("output")
    trained = app("train", "experiment=train_sst2_bert", *given_both, *LEARNING, f"output={output / 'train'}")
    assert trained.code == 0, trained.err
    weights = f"supernet.checkpoint={output / 'train' / 'weights.safetensors'}"
    quick = ["predictor=ridge", "tactic.population=12", "tactic.generations=3", "budget=5", "deploy=[0]"]
    found = app("search", "experiment=sst2_bert", *given_both, weights, *quick, f"output={output / 'search'}")
    assert found.code == 0, found.err
    return output


def test_sub_networks_classify(searched):
    summary = json.loads((searched / "train" / "summary.json").read_text())
    assert all(metrics["accuracy"] > 85 for metrics in summary["metrics"].values())
    results = pd.read_csv(searched / "search" / "results.csv")
    assert len(results) == 5
    assert results["accuracy"].min() > 85
    assert results["latency"].nunique() >= 4


def test_a_bundle_classifies_a_sentence(searched):
    (bundle,) = (searched / "search" / "bundle" / "onnxruntime_cpu").iterdir()
    command = [sys.executable, bundle / "run.py", "the plot is great", "a dull cast", "--repeats", "2"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    best = [guesses["top"][0]["class"] for guesses in json.loads(done.stdout)["predictions"]]
    assert best == ["positive", "negative"]
    assert "BertForSequenceClassification" in (bundle / "README.md").read_text()


@pytest.mark.slow
def test_a_sub_network_as_transformers_keep_it(searched):
    """The weights of a bundle go into what its README says, in a process without this framework."""
    (bundle,) = (searched / "search" / "bundle" / "onnxruntime_cpu").iterdir()
    code = (bundle / "README.md").read_text().split("```python\n")[1].split("```")[0]
    blocked = "import sys\nsys.modules['supernet'] = None\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{blocked}{code}\nprint(type(model).__name__)"],
        capture_output=True,
        text=True,
        cwd=bundle,
    )
    assert done.stdout.split() == ["BertForSequenceClassification"], done.stderr


def test_a_folder_without_a_model_is_named(app, folders, given_both, tmp_path):
    root, _ = folders
    ran = app("search", "experiment=sst2_bert", *given_both, f"supernet.model={root}", f"output={tmp_path / 'run'}")
    assert ran.code == 2
    assert str(root) in ran.err
