"""HAT's super-network: its spaces, configurations and sub-networks."""

import pickle

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import supernet
from supernet import ArchitectureError
from supernet.blocks import count_macs
from supernet.families.hat import HatSettings, available_spaces, latency_features, nested

from .hat_reference import SMALL, small_net

DIFFERENT_WIDTHS = {"encoder_embed_dim": [8, 12], "shared_embeddings": "none"}
NETS = {
    "all shared": {},
    "decoder shared": {"shared_embeddings": "decoder", "target_vocab_size": 40},
    "none shared": {"shared_embeddings": "none", "target_vocab_size": 40},
    "other widths": DIFFERENT_WIDTHS,
    "elastic encoder": {"encoder_layer_num": [2, 3, 4]},
}


@pytest.fixture(scope="module", params=list(NETS))
def net(request):
    return small_net(**NETS[request.param])


@pytest.fixture(scope="module")
def shared_net():
    return small_net()


def sentences(net, n=3, length=6):
    generator = torch.Generator().manual_seed(3)
    source, target = (torch.randint(4, words, (n, length), generator=generator) for words in net.words)
    source[1, :2] = 1
    source[2, 4:] = 1
    return source, target


def test_extracted_sub_networks_equal_the_shared_weights(net):
    inputs = sentences(net)
    for architecture in [net.smallest, net.largest, *net.space.sample(6, 1)]:
        with torch.inference_mode():
            extracted, shared = net.extract(architecture)(*inputs), net(*inputs, architecture)
        torch.testing.assert_close(extracted, shared, rtol=0, atol=1e-6)
        assert extracted.shape == (3, 6, net.words[1])


def test_costs_are_those_of_the_extracted_models(net):
    architectures = [net.smallest, *net.space.sample(2, 2)]
    costs, by_blocks = net.costs(architectures), net.block_map.costs(architectures)
    for i, architecture in enumerate(architectures):
        model = net.extract(architecture)
        assert costs["params"][i] == sum(p.numel() for p in model.parameters())
        assert costs["macs"][i] == by_blocks["macs"][i] == count_macs(model, net.example_inputs(architecture))


def test_the_side_of_the_padding_does_not_matter(shared_net):
    model = shared_net.extract(shared_net.largest)
    words = torch.randint(4, 30, (1, 5), generator=torch.Generator().manual_seed(0))
    padding = torch.ones(1, 3, dtype=torch.long)
    target = torch.tensor([[2, 7, 9]])
    with torch.inference_mode():
        expected = model(words, target)
        for padded in (torch.cat([padding, words], 1), torch.cat([words, padding], 1)):
            torch.testing.assert_close(model(padded, target), expected, rtol=0, atol=1e-5)


def test_later_targets_do_not_change_earlier_logits(shared_net):
    source, target = sentences(shared_net)
    model = shared_net.extract(shared_net.largest)
    changed = target.clone()
    changed[:, 4:] = 9
    with torch.inference_mode():
        before, after = model(source, target), model(source, changed)
    torch.testing.assert_close(before[:, :4], after[:, :4], rtol=0, atol=1e-6)
    assert (before[:, 4:] - after[:, 4:]).abs().max() > 1e-3


def test_heads_change_results_but_no_costs(shared_net):
    inputs = sentences(shared_net)
    largest = dict(shared_net.largest)
    for name in ("encoder_self_attention_heads", "decoder_self_attention_heads", "decoder_ende_attention_heads"):
        fewer = largest | {name: [2] * 3}
        costs = shared_net.costs([largest, fewer])
        assert costs["macs"][0] == costs["macs"][1]
        assert costs["params"][0] == costs["params"][1]
        with torch.inference_mode():
            difference = shared_net.extract(largest)(*inputs) - shared_net.extract(fewer)(*inputs)
        assert difference.abs().max() > 1e-3


def test_gradients_reach_the_shared_weights(shared_net):
    net = small_net().train()
    inputs = sentences(net)
    net(*inputs, net.space.validate(dict(net.smallest) | {"decoder_embed_dim": 20})).sum().backward()
    weight = net.shared.encoder.embed.weight
    assert weight.grad is not None
    assert weight.grad[:, :20].abs().sum() > 0
    layer = net.shared.encoder.layers[0]
    assert layer.ffn.fc1.weight.grad[:8, :12].abs().sum() > 0
    assert layer.ffn.fc1.weight.grad[8:].abs().sum() == 0
    assert net.shared.decoder.layers[2].ffn.fc1.weight.grad is None


def test_dropout_is_scaled_with_the_width():
    net = small_net(dropout=0.4)
    model = net.build(net.smallest)
    assert model.encoder.embed.dropout == pytest.approx(0.4 * 12 / 20)
    assert model.encoder.layers[0].self_attn.dropout == 0.4
    assert model.encoder.layers[0].ffn.dropout == pytest.approx(0.4 * 12 / 20)
    assert model.decoder.layers[0].self_attn.dropout == pytest.approx(0.4 * 12 / 20)


# --- spaces ---


def test_spaces_of_the_paper():
    assert {"wmt14_en_de", "wmt14_en_fr", "wmt19_en_de", "iwslt14_de_en", "multi30k_en_de"} <= set(available_spaces())
    for name in available_spaces():
        space = HatSettings.read(name).search_space()
        assert [choice.name for choice in space.choices][:2] == ["encoder_embed_dim", "encoder_layer_num"]
    space = HatSettings.read("wmt14_en_de").search_space()
    per_layer = 3 * 2 * 2 * 3
    assert space.size == 2 * 2 * (3 * 2) ** 6 * sum(per_layer**n for n in range(1, 7))
    assert space.size == 417846678672384
    assert HatSettings.read("iwslt14_de_en").shared_embeddings == "none"
    searched = {name: [v] if isinstance(v, int) else list(v) for name, v in space.sample(1)[0].items()}
    full = space.validate(searched)
    del searched["encoder_layer_num"]  # as searches that only keep what varies
    assert space.validate(searched) == full


def test_spaces_are_known_by_name():
    net = supernet.create("hat_transformer", space="multi30k_en_de", vocab_size=16)
    assert net.title == "hat_transformer of space multi30k_en_de with 16 words"
    assert net.skeleton(net.smallest).sizes.encoder.width == net.smallest["encoder_embed_dim"] == 192


def test_a_space_is_one_yaml_file(tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(SMALL))
    net = supernet.create("hat_transformer", space=tmp_path / "mine.yaml", vocab_size=30, beam=2)
    assert net.title == "hat_transformer of space mine with 30 words"
    assert net.settings.beam == 2
    assert net.space.fingerprint == small_net().space.fingerprint


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder_self_attention_heads": [3]}, "encoder_self_attention_heads: 3 heads do not divide qkv_dim=16"),
        ({"decoder_arbitrary_ende_attn": [-1, 3]}, r"3 is neither -1 .* nor a number of further ones in 1\.\.2"),
        ({"decoder_arbitrary_ende_attn": [0]}, "0 is neither"),
        ({"encoder_embed_dim": [8]}, "same largest width, got 8 and 20"),
        ({"shared_embeddings": "some"}, "'some' is not one of"),
        ({"encoder_ffn_embed_dim": [8, 8]}, "encoder_ffn_embed_dim needs distinct values"),
        ({"decoder_layer_num": [0, 1]}, "decoder_layer_num must be a positive integer, got 0"),
        ({"dropout": 1.5}, r"dropout must lie in 0\.\.1, got 1.5"),
        ({"source_length": 41}, "must not exceed max_positions=40"),
        ({"heads": 3}, "unknown setting 'heads'"),
    ],
)
def test_wrong_settings_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        supernet.create("hat_transformer", space=SMALL | changes, vocab_size=30)


def test_unknown_spaces_and_vocabularies_that_do_not_go_together():
    with pytest.raises(ValueError, match="unknown space 'wmt15': it is neither one of .*wmt14_en_de.* nor a YAML file"):
        supernet.create("hat_transformer", space="wmt15", vocab_size=30)
    with pytest.raises(ValueError, match="shares all embeddings"):
        supernet.create("hat_transformer", space=SMALL, vocab_size=30, target_vocab_size=31)
    with pytest.raises(ValueError, match="vocab_size must be an integer above 4, got 3"):
        supernet.create("hat_transformer", space=SMALL, vocab_size=3)
    incomplete = {name: value for name, value in SMALL.items() if name != "qkv_dim"}
    with pytest.raises(ValueError, match="incomplete.*qkv_dim"):
        supernet.create("hat_transformer", space=incomplete, vocab_size=30)


# --- configurations ---


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), extra=st.integers(0, 3))
def test_nested_and_ragged_configurations_are_the_same_architecture(shared_net, seed, extra):
    space = shared_net.space
    (architecture,) = space.sample(1, seed)
    config = nested(architecture)
    assert space.validate(config) == architecture
    ragged = {side: dict(values) for side, values in config.items()}
    n_layers = config["decoder"]["decoder_layer_num"]
    for name, value in config["decoder"].items():
        if isinstance(value, list):
            ragged["decoder"][name] = (value + [99] * 3)[: min(3, n_layers + extra)]  # without effect beyond the depth
    assert space.validate(ragged) == architecture
    np.testing.assert_array_equal(latency_features([config]), latency_features([architecture]))


def test_the_authors_yaml_files_are_taken(shared_net):
    largest = shared_net.largest
    config = {
        f"{name.replace('_', '-')}{'-all' if isinstance(value, tuple) else ''}-subtransformer": value
        for name, value in largest.items()
    }
    assert shared_net.space.validate(config) == largest


@pytest.mark.parametrize(
    ("side", "changes", "message"),
    [
        ("decoder", {"decoder_layer_num": 4}, r"decoder_layer_num: 4 is not one of \(1, 2, 3\)"),
        (
            "decoder",
            {"decoder_ffn_embed_dim": [8, 8]},
            "decoder_ffn_embed_dim needs a value for each of 3 layers, got 2",
        ),
        ("encoder", {"encoder_self_attention_heads": [2, 2, 8]}, r"encoder_self_attention_heads\[2\]: 8 is not one of"),
        ("encoder", {"encoder_heads": 3}, "unknown choice 'encoder_heads'"),
    ],
)
def test_wrong_configurations_are_named(shared_net, side, changes, message):
    config = nested(shared_net.largest)
    config[side] |= changes
    with pytest.raises(ArchitectureError, match=message):
        shared_net.space.validate(config)


def test_the_space_survives_pickling(shared_net):
    copied = pickle.loads(pickle.dumps(shared_net.space))
    assert copied.validate(nested(shared_net.smallest)) == shared_net.smallest


def test_encoders_of_other_depths_repeat_their_last_output():
    """As in HAT: there are as many outputs as the super-network has layers, the missing ones copies of the last."""
    net = small_net(encoder_layer_num=[2, 4])
    shallow = net.space.validate(dict(net.largest) | {"encoder_layer_num": 2})
    assert [layer.memory for layer in net.sizes(shallow).decoder.layers] == [(1, 1, 1)] * 3
    once = net.space.validate(dict(shallow) | {"decoder_arbitrary_ende_attn": [-1] * 3})
    inputs = sentences(net)
    with torch.inference_mode():
        torch.testing.assert_close(net(*inputs, shallow), net(*inputs, once), rtol=0, atol=1e-5)


# --- wrong inputs ---


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (torch.full((1, 41), 5), "src_tokens has 41 tokens: the model has 40 positions"),
        (torch.tensor([[5, 30, 2]]), r"src_tokens\[0, 1\] is 30: the vocabulary has the words 0\.\.29"),
        (torch.tensor([[5, -1, 2]]), r"src_tokens\[0, 1\] is -1"),
        (torch.tensor([[5, 6], [1, 1]]), r"src_tokens\[1\] is empty: it holds nothing but padding"),
        (torch.zeros(2, 0, dtype=torch.long), "is empty"),
        (torch.tensor([5, 6]), "must be integers of shape"),
        (torch.tensor([[5.0, 6.0]]), "must be integers of shape"),
    ],
)
def test_wrong_sources_are_named(shared_net, source, message):
    model = shared_net.extract(shared_net.smallest)
    with pytest.raises(ValueError, match=message):
        model(source, torch.tensor([[2, 5]]).expand(len(source), 2))
