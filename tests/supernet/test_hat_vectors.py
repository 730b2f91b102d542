"""The same weights and sentences give the numbers of HAT's implementation (see the README of the vectors)."""

import numpy as np
import pytest
import torch

import supernet
from supernet.decoding import BeamSearch
from supernet.families.hat import latency_features, nested

from .hat_reference import record, reference_arrays, reference_net, require_reference

TOLERANCE = 1e-4
N_SUB_NETWORKS = 12
QUICK = (2, 5)  # the smallest, and a random one with different widths and depths of attention


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    require_reference()
    return reference_net(tmp_path_factory.mktemp("hat"))


@pytest.fixture(scope="module")
def sub_networks():
    return record("hat_wmt14_en_de.json")["sub_networks"]


def each(numbers, quick):
    return [pytest.param(i, marks=[] if i in quick else pytest.mark.slow) for i in numbers]


@pytest.mark.parametrize("i", each(range(N_SUB_NETWORKS), QUICK))
def test_logits_and_encoder_outputs(net, sub_networks, i):
    arrays = reference_arrays()
    source, target = (torch.from_numpy(arrays[name]) for name in ("src_tokens", "prev_output_tokens"))
    model = net.extract(sub_networks[i]["config"])
    with torch.inference_mode():
        logits = model(source, target)
        shared = net(source, target, net.space.validate(sub_networks[i]["config"]))
        encoded = model.encode(source).outputs[-1]
    torch.testing.assert_close(shared, logits, rtol=0, atol=1e-5)
    expected = {"logits": logits[..., :64], "logits_mean": logits.mean(-1), "logits_std": logits.std(-1, correction=0)}
    for name, tensor in expected.items():
        np.testing.assert_allclose(tensor, arrays[name][i], rtol=0, atol=TOLERANCE, err_msg=name)
    words = source.ne(1)
    np.testing.assert_allclose(encoded[words][:, :16], arrays["encoder_out"][i][words], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("i", each(range(4), (1,)))
def test_beam_search(net, sub_networks, i):
    settings = record("hat_beam_search.json")
    result = settings["results"][i]
    model = net.extract(sub_networks[result["sub_network"]]["config"])
    with torch.no_grad():
        model.decoder.output.weight[2] *= settings["eos_row_factor"]
    assert model.decoder.output.weight is model.encoder.embed.weight
    search = BeamSearch(
        beam=settings["beam"],
        length_penalty=settings["length_penalty"],
        min_length=settings["min_len"],
        max_length=settings["max_len_b"],
    )
    source = torch.from_numpy(reference_arrays()["src_tokens"])
    for found, expected in zip(search(model, source), result["hypotheses"], strict=True):
        assert [list(hypothesis.tokens) for hypothesis in found] == [each["tokens"] for each in expected]
        for hypothesis, each_ in zip(found, expected, strict=True):
            assert hypothesis.score == pytest.approx(each_["score"], abs=TOLERANCE)
            assert hypothesis.positional_scores == pytest.approx(each_["positional_scores"], abs=TOLERANCE)


def test_counts(net, sub_networks):
    configs = [each["config"] for each in sub_networks]
    costs, published, totals = net.costs(configs), net.published_costs(configs), net.totals(configs)
    macs = {name: [each["macs"][name] for each in sub_networks] for name in sub_networks[0]["macs"]}
    assert costs["macs"].tolist() == (np.array(macs["linear"]) + macs["bmm"]).tolist()
    assert costs["params"].tolist() == [each["params_used"] for each in sub_networks]
    assert published["params"].tolist() == [each["params"] for each in sub_networks]
    assert published["flops"].tolist() == (2 * (np.array(macs["total"]) - macs["output_projection"])).tolist()
    found = {"linear": totals.linear, "bmm": totals.products, "output_projection": totals.projection}
    found |= {"layer_norm": totals.normed, "elementwise": totals.scaled}
    for name, counts in found.items():
        assert counts.tolist() == macs[name], name
    assert totals.layers.tolist() == [each["params_used_without_embedding"] for each in sub_networks]


def test_published_sub_networks():
    published = record("hat_published.json")["sub_networks"]
    net = supernet.create("hat_transformer", space="wmt14_en_de", vocab_size=32768)
    costs = net.published_costs([each["config"] for each in published])
    assert costs["params"].tolist() == [each["params"] for each in published]
    assert costs["flops"].tolist() == [each["flops_without_output_projection"] for each in published]
    for each in published:
        assert nested(net.space.validate(each["config"])) == each["config"]


def test_latency_features(net, sub_networks):
    expected = [each["latency_features"] for each in sub_networks]
    for architectures in (
        [each["config"] for each in sub_networks],
        [net.space.validate(each["config"]) for each in sub_networks],
    ):
        np.testing.assert_allclose(latency_features(architectures), expected, rtol=1e-12)


def test_names_and_shapes_are_those_of_the_authors(net, tmp_path):
    net.save_checkpoint(tmp_path / "net.pt", layout="hat")
    content = torch.load(tmp_path / "net.pt", weights_only=False)
    shapes = {name: list(tensor.shape) for name, tensor in content["model"].items()}
    assert shapes == record("keys_hat_wmt14_en_de.json")
