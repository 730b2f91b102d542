"""The same weights and images give the numbers of the original implementation (see the README of the vectors)."""

import numpy as np
import pytest
import torch

import supernet

from .ofa_reference import NETWORKS, Reference, reference_weights, require_reference

QUICK = (1, 7)  # the smallest sub-network and a random one, both with recalibrated results
LOGIT_TOLERANCE = 5e-4  # in standard deviations of the logits
STATISTICS_TOLERANCE = 1e-4
N_CONFIGS = 12


@pytest.fixture(scope="module", params=list(NETWORKS))
def reference(request, tmp_path_factory):
    require_reference()
    found = Reference(request.param)
    return found, found.loaded(tmp_path_factory.mktemp("checkpoints"))


def each_config():
    return [pytest.param(i, marks=[] if i in QUICK else pytest.mark.slow) for i in range(N_CONFIGS)]


def assert_logits(outputs, arrays, kind, row, std):
    tolerance = LOGIT_TOLERANCE * std
    logits = outputs.numpy()
    np.testing.assert_allclose(logits[:, :64], arrays[kind][row], rtol=0, atol=tolerance)
    np.testing.assert_allclose(logits.mean(axis=1), arrays[f"{kind}_mean"][row], rtol=0, atol=tolerance)
    np.testing.assert_allclose(logits.std(axis=1), arrays[f"{kind}_std"][row], rtol=0, atol=tolerance)


def test_weights_and_images_are_those_of_the_vectors(reference):
    found, _ = reference
    digest = reference_weights().digest
    assert digest(found.state) == found.record["state_dict_sha256"]
    images = found.images(found.configs[0], "eval", 2).numpy()
    assert digest({"input": images}) == found.record["first_input_sha256"]


@pytest.mark.parametrize("i", each_config())
def test_logits(reference, i):
    found, net = reference
    config = found.configs[i]
    images = found.images(config, "eval", 2)
    with torch.inference_mode():
        through_shared_weights = net(images, net.space.validate(config["config"]))
        extracted = net.extract(config["config"])(images)
    assert_logits(through_shared_weights, found.arrays, "active", i, config["logit_std"])
    assert_logits(extracted, found.arrays, "static", i, config["logit_std"])


@pytest.mark.parametrize("i", each_config())
def test_recalibration(reference, i):
    found, net = reference
    config = found.configs[i]
    if not config["recalibrated"]:
        pytest.skip("the vectors hold no recalibrated result of this architecture")
    model = supernet.recalibrate(net.extract(config["config"]), [found.images(config, "calibration", 8)])
    row = found.arrays["recalibrated_index"].tolist().index(i)
    with torch.inference_mode():
        outputs = model(found.images(config, "eval", 2))
    assert_logits(outputs, found.arrays, "recalibrated", row, config["recalibrated_logit_std"])
    names = {theirs: own.removeprefix("shared.") for own, theirs in net.published_layout().names.items()}
    state = model.state_dict()
    for layer, means, variances in zip(
        found.record["bn_probe_layers"],
        found.arrays["recalibrated_bn_mean"][row],
        found.arrays["recalibrated_bn_var"][row],
        strict=True,
    ):
        own_mean, own_var = names[f"{layer}.running_mean"], names[f"{layer}.running_var"]
        if own_mean not in state:
            continue  # a block that this sub-network does not have
        np.testing.assert_allclose(state[own_mean][:8], means, rtol=0, atol=STATISTICS_TOLERANCE)
        np.testing.assert_allclose(state[own_var][:8], variances, rtol=STATISTICS_TOLERANCE, atol=0)


def test_parameters_and_macs(reference):
    found, net = reference
    at_own = net.costs([config["config"] for config in found.configs])
    at_224 = net.costs([{**config["config"], "r": 224} for config in found.configs])
    assert at_own["params"].tolist() == [config["params"] for config in found.configs]
    assert at_own["macs"].tolist() == [config["macs"] for config in found.configs]
    assert at_224["macs"].tolist() == [config["macs_224"] for config in found.configs]


def test_active_blocks(reference):
    found, net = reference
    layout = net.published_layout().names
    for config in found.configs:
        theirs = {layout[f"shared.{name}"] for name in net.skeleton(config["config"]).state_dict()}
        assert {int(name.split(".")[1]) for name in theirs if name.startswith("blocks.")} == set(
            config["active_blocks"]
        )
