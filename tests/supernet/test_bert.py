"""The bert family: sub-networks of stock classifiers, their spaces, costs, and what is refused."""

import copy
import pickle

import numpy as np
import pytest
import torch
from transformers import AlbertConfig, AlbertForSequenceClassification, BertForMaskedLM, BertForSequenceClassification

import supernet
from supernet.blocks import count_macs
from supernet.families.bert.space import default_depths, default_ffn_sizes, default_heads

from .bert_models import SPACE, TYPES, USUAL_TYPES, classifier, sentences


def small(kind="Bert", **changes):
    return supernet.create("bert", model=classifier(kind), **(SPACE | changes))


@pytest.fixture(scope="module")
def net():
    return small()


def each_type():
    return [pytest.param(kind, marks=[] if kind in USUAL_TYPES else pytest.mark.slow) for kind in TYPES]


@pytest.mark.parametrize("kind", each_type())
def test_the_largest_is_the_model_and_others_are_stock_models_that_equal_the_shared_weights(kind):
    whole = classifier(kind)
    net = supernet.create("bert", model=whole, **SPACE)
    inputs = sentences()
    with torch.no_grad():
        torch.testing.assert_close(net(**inputs, architecture=net.largest).logits, whole(**inputs).logits)
        for architecture in [net.smallest, net.largest, *net.space.sample(4, 1)]:
            model = net.extract(architecture)
            assert type(model) is type(whole)
            found, shared = model(**inputs).logits, net(**inputs, architecture=architecture).logits
            torch.testing.assert_close(found, shared, rtol=0, atol=1e-6)
            assert len(model.base_model.get_submodule(net._layout.layers)) == architecture["num_layers"]


@pytest.mark.parametrize("kind", each_type())
def test_costs_are_those_of_the_extracted_models(kind):
    net = small(kind)
    architectures = [net.smallest, net.largest, *net.space.sample(5, 2)]
    costs = net.costs(architectures)
    for i, architecture in enumerate(architectures):
        model = net.extract(architecture)
        assert costs["params"][i] == sum(p.numel() for p in model.parameters())
        assert costs["macs"][i] == count_macs(model, net.example_inputs(architecture))
    np.testing.assert_array_equal(net.block_map.costs(architectures)["macs"], costs["macs"])


@pytest.mark.parametrize("choice", ["depths", "heads", "ffn_sizes"])
def test_costs_of_a_space_in_which_something_does_not_vary(choice):
    net = small(**{choice: SPACE[choice][-1:]})
    for architecture in [net.smallest, *net.space.sample(3, 0)]:
        model = net.extract(architecture)
        assert net.costs([architecture])["params"][0] == sum(p.numel() for p in model.parameters())
        assert net.costs([architecture])["macs"][0] == count_macs(model, net.example_inputs(architecture))


def test_attention_counts_as_full_products_of_matrices(net):
    """A layer: projections and feed-forward per token, and scores and values for every pair of tokens."""
    tokens, width, head = 9, 24, 6
    one, two = {"num_layers": 1}, {"num_layers": 2}
    sizes = {"num_attention_heads": 3, "intermediate_size": 6}
    macs = net.costs([net.space.validate(depth | sizes) for depth in (one, two)])["macs"]
    channels = 3 * head
    linear = tokens * (4 * width * channels + 2 * width * 6)
    assert macs[1] - macs[0] == linear + 2 * tokens * tokens * channels


def test_every_layer_of_a_size_is_one_block(net):
    assert len(net.block_map.cover()) == 3 * 2 + 3  # heads x neurons; embeddings, pooler, classifier


def test_gradients_reach_the_slice_and_nothing_else(net):
    net = copy.deepcopy(net)
    output = net.train()(**sentences(), architecture=net.smallest, labels=torch.tensor([0, 1, 2]))
    output.loss.backward()
    shares = net.share(net.smallest)
    for name, parameter in net.shared.named_parameters():
        reached = 0 if parameter.grad is None else parameter.grad.count_nonzero()
        assert reached <= (shares[name].numel() if name in shares else 0)
    first = net.shared.bert.encoder.layer[0].attention.self.query.weight.grad
    assert first[:6].count_nonzero() > 0
    assert first[6:].count_nonzero() == 0
    assert net.shared.bert.encoder.layer[1].output.dense.weight.grad is None


def test_inputs_by_position_and_by_name(net):
    inputs = sentences()
    architecture = net.space.sample(1, 3)[0]
    by_name = net(**inputs, architecture=architecture)
    by_position = net(inputs["input_ids"], inputs["attention_mask"], architecture)
    torch.testing.assert_close(by_position.logits, by_name.logits)
    everything = net(**inputs, architecture=architecture, output_hidden_states=True)
    assert len(everything.hidden_states) == architecture["num_layers"] + 1
    torch.testing.assert_close(net.extract(architecture)(**inputs).logits, by_name.logits)


def test_a_super_network_is_copied_and_pickled(net):
    architecture = net.space.sample(1, 5)[0]
    expected = net(**sentences(), architecture=architecture).logits
    for again in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        torch.testing.assert_close(again(**sentences(), architecture=architecture).logits, expected)


def test_the_given_model_stays_as_it_is():
    whole = classifier()
    net = supernet.create("bert", model=whole, **SPACE)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    assert all(parameter.abs().sum() > 0 for parameter in whole.parameters())


def test_a_space_may_end_below_the_model():
    whole = classifier()
    net = supernet.create("bert", model=whole, depths=(1, 2), heads=(1, 2), ffn_sizes=(6, 8))
    query = net.shared.bert.encoder.layer[1].attention.self.query.weight
    torch.testing.assert_close(query, whole.bert.encoder.layer[1].attention.self.query.weight[:12])
    assert net(**sentences(), architecture=net.largest).logits.shape == (3, 3)


# --- spaces ---


def test_the_default_space_is_that_of_dynas_t():
    assert default_depths(12) == [6, 7, 8, 9, 10, 11, 12]
    assert default_heads(12) == [6, 8, 10, 12]
    assert default_ffn_sizes(3072) == [1024, 2048, 3072]


@pytest.mark.parametrize("n", range(1, 40))
def test_defaults_end_with_the_whole(n):
    for values in (default_depths(n), default_heads(n), default_ffn_sizes(n)):
        assert values[-1] == n
        assert values == sorted(set(values))
        assert values[0] >= 1
    assert default_heads(n)[0] >= n / 2


def test_published_configurations(net):
    published = {
        "hidden_size": 24,
        "num_layers": [2],
        "num_attention_heads": [1, 3, 4],
        "intermediate_size": [6, 20, 6],
    }
    architecture = net.space.validate(published)
    assert architecture == {"num_layers": 2, "num_attention_heads": (1, 3, 1), "intermediate_size": (6, 20, 6)}
    ends_early = published | {"num_attention_heads": [1, 3], "intermediate_size": [6, 20]}
    assert net.space.validate(ends_early) == architecture
    assert net.space.validate(architecture) == architecture


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": 32}, r"hidden_size: 32 is not 24: the width is a setting"),
        ({"num_attention_heads": [1, 2, 4]}, r"num_attention_heads\[1\]: 2 is not one of \(1, 3, 4\)"),
        ({"num_layers": 4}, r"num_layers: 4 is not one of \(1, 2, 3\)"),
        ({"intermediate_size": [6, 20]}, r"intermediate_size needs 3 values, got 2"),
        ({"dropout": 0.1}, r"unknown choice 'dropout'"),
    ],
)
def test_wrong_architectures_name_what_is_wrong(net, change, message):
    published = {"num_layers": 3, "num_attention_heads": [1, 3, 4], "intermediate_size": 6}
    with pytest.raises(supernet.ArchitectureError, match=message):
        net.space.validate(published | change)


# --- what is refused ---


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_size": 20, "num_attention_heads": 3}, "num_attention_heads: 3 heads do not divide hidden_size 20"),
        ({"heads": (2, 16)}, r"heads: 16 is not in 1..12"),
        ({"heads": (2.5, 4)}, r"heads: 2.5 is not in 1..12"),
        ({"depths": ()}, "depths must hold at least one value"),
        ({"ffn_sizes": (0, 5)}, r"ffn_sizes: 0 is not in 1..3072"),
        ({"sequence_length": 513}, "sequence_length of 513 tokens: .* takes 1 to 512"),
    ],
)
def test_settings_that_do_not_fit(settings, message):
    small_enough = {"hidden_size": 24, "num_hidden_layers": 2, "vocab_size": 30}
    with pytest.raises(ValueError, match=message):
        supernet.create("bert", **(small_enough | settings))


def test_an_unknown_setting_is_refused(tmp_path):
    with pytest.raises(TypeError, match="'depth' is neither an argument of bert nor a setting of BertConfig"):
        supernet.create("bert", depth=3)
    classifier().save_pretrained(tmp_path)
    with pytest.raises(TypeError, match="'head' is neither an argument of bert nor a setting of BertConfig"):
        supernet.create("bert", model=tmp_path, head=3)
    with pytest.raises(TypeError, match="num_labels: settings cannot change a model that is given as it is"):
        supernet.create("bert", model=classifier(), num_labels=5)


def test_models_that_are_laid_out_otherwise(tmp_path):
    config = AlbertConfig(vocab_size=20, hidden_size=8, num_attention_heads=2, intermediate_size=8, embedding_size=8)
    with pytest.raises(ValueError, match="type 'albert' cannot be made elastic: .* is known for bert, camembert"):
        supernet.create("bert", model=AlbertForSequenceClassification(config))
    with pytest.raises(ValueError, match="BertForMaskedLM is no sequence classifier"):
        supernet.create("bert", model=BertForMaskedLM(classifier().config))
    net = small()
    net.extract(net.space.sample(1, 0)[0]).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="its layers differ in size, as those of a sub-network do"):
        supernet.create("bert", model=tmp_path)


def test_a_model_that_is_not_there(tmp_path):
    with pytest.raises(OSError, match="nothing"):
        supernet.create("bert", model=tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="no model at ./no/folder: give a folder"):
        supernet.create("bert", model="./no/folder")


def test_sequences_longer_than_the_positions(net):
    ids = torch.full((1, 21), 5)
    with pytest.raises(ValueError, match=r"a sequence of 21 tokens: bert .* takes 1 to 20; truncate it"):
        net(input_ids=ids, architecture=net.smallest)
    roberta = small("Roberta")  # its first position is behind that of padding
    with pytest.raises(ValueError, match=r"a sequence of 19 tokens: .* takes 1 to 18"):
        roberta(ids[:, :19], roberta.smallest)
    assert roberta(ids[:, :18], roberta.smallest).logits.shape == (1, 3)


@pytest.mark.parametrize("token", [-1, 40])
def test_tokens_that_the_model_does_not_know(net, token):
    with pytest.raises(ValueError, match=rf"token {token} is not in 0\.\.39: give the model's own tokenizer"):
        net(torch.tensor([[5, token]]), net.smallest)


# --- models in directories ---


def test_a_directory(tmp_path):
    whole = classifier()
    whole.save_pretrained(tmp_path)
    net = supernet.create("bert", model=str(tmp_path), **SPACE)
    assert net.num_labels == 3
    torch.testing.assert_close(net(**sentences(), architecture=net.largest).logits, whole(**sentences()).logits)
    assert net.title == "bert (bert: 3 layers of width 24, vocabulary 40, 3 labels)"


def test_half_precision_weights_are_held_in_single_precision(tmp_path):
    classifier().half().save_pretrained(tmp_path)
    net = supernet.create("bert", model=tmp_path, **SPACE)
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    assert type(net.extract(net.smallest)) is BertForSequenceClassification


def test_checkpoints_in_our_layout_and_in_that_of_transformers(tmp_path):
    whole = classifier()
    whole.save_pretrained(tmp_path / "whole")
    net = small()
    net.save_checkpoint(tmp_path / "own.safetensors")
    for path in (tmp_path / "own.safetensors", tmp_path / "whole" / "model.safetensors"):
        fresh = supernet.create("bert", model=classifier(num_labels=3).apply(_zeroed), checkpoint=path, **SPACE)
        found = fresh(**sentences(), architecture=fresh.largest).logits
        torch.testing.assert_close(found, whole(**sentences()).logits)
    other = supernet.create("bert", model=classifier(num_labels=5), **SPACE)
    with pytest.raises(supernet.CheckpointError, match=r"does not fit bert .*classifier.weight \(3, 24\) instead of"):
        other.load_checkpoint(tmp_path / "whole" / "model.safetensors")


def _zeroed(module):
    for parameter in module.parameters(recurse=False):
        parameter.data.zero_()
