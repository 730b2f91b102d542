"""Translations are exported, run in ONNX Runtime as in PyTorch, and have latency tables of whole inferences."""

import numpy as np
import onnxruntime
import pytest
import torch

from hardware import Device, LatencyTable, Protocol
from hardware.backends.onnxruntime import open_session
from hardware.export import onnx_bytes, part_bytes, to_onnx
from hardware.measuring import prepared
from supernet.decoding import BeamSearch
from supernet.families.hat.outside import OutsideTranslation
from supernet.parts import Part

from ..supernet.hat_reference import small_net

PAD, EOS = 1, 2


@pytest.fixture(scope="module")
def net():
    return small_net()


def sources(n=4, longest=9):
    rng = np.random.default_rng(1)
    tokens = np.full((n, longest), PAD)
    for row in tokens:
        length = rng.integers(1, longest)
        row[-length - 1 :] = [*rng.integers(4, 30, length), EOS]
    return torch.from_numpy(tokens)


def outside(net, model, architecture):
    """The model with both parts in ONNX Runtime."""
    runs = {}
    for name, part in net.parts(model, architecture).items():
        session = open_session(part_bytes(part), 1)

        def run(inputs, session=session, part=part):
            feed = {key: tensor.numpy() for key, tensor in zip(part.inputs, inputs, strict=True)}
            return [torch.from_numpy(array) for array in session.run(list(part.outputs), feed)]

        runs[name] = run
    return OutsideTranslation(model.sizes, runs["encoder"], runs["decoder"])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_encoder_and_decoder_in_onnx_runtime_give_the_same_hypotheses(net, seed):
    (architecture,) = net.space.sample(1, seed)
    model = net.extract(architecture)
    with torch.no_grad():
        model.decoder.output.weight[EOS] *= 2.5
    search = BeamSearch(beam=3, max_length=12)
    for found, expected in zip(
        search(outside(net, model, architecture), sources()), search(model, sources()), strict=True
    ):
        assert [h.tokens for h in found] == [h.tokens for h in expected]
        np.testing.assert_allclose([h.score for h in found], [h.score for h in expected], rtol=0, atol=1e-4)


def test_a_whole_inference_is_the_same_in_both_runtimes(net):
    (architecture,) = net.space.sample(1, 7)
    model = net.extract(architecture)
    inputs = net.example_inputs(architecture, 2)
    tokens = [
        prepared(net.inference(model, architecture), inputs, Device("d", backend)).run()
        for backend in ("torch", "onnxruntime")
    ]
    assert tokens[0].shape == (5, 2, 3)  # steps, sentences, beam
    torch.testing.assert_close(*tokens)


def test_a_whole_inference_unrolls_into_one_graph(net):
    """As devices elsewhere get it."""
    (architecture,) = net.space.sample(1, 7)
    inference = net.inference(net.extract(architecture), architecture)
    inputs = net.example_inputs(architecture)
    session = open_session(onnx_bytes(inference, inputs), 1)
    (tokens,) = session.run(None, {session.get_inputs()[0].name: inputs[0].numpy()})
    np.testing.assert_array_equal(tokens[:-1], inference(*inputs)[:-1])  # in the last step, all end


def test_an_inference_is_what_beam_search_does_without_early_stop(net):
    model = net.extract(net.largest)
    inputs = net.example_inputs(net.largest)
    tokens = net.inference(model, net.largest)(*inputs)
    (hypotheses,) = BeamSearch(beam=3, min_length=4, max_length=4)(model, inputs[0])
    assert sorted(tokens[-2, 0].tolist()) == sorted(hypothesis.tokens[-2] for hypothesis in hypotheses)


@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
def test_tables_hold_whole_translations(backend):
    choices = {"encoder_embed_dim": [12], "decoder_embed_dim": [12], "decoder_self_attention_heads": [2]}
    choices |= {"encoder_self_attention_heads": [2], "decoder_ende_attention_heads": [2]}
    net = small_net(
        **choices,
        encoder_layer_num=[2],
        decoder_layer_num=[1, 2],
        encoder_ffn_embed_dim=[8],
        decoder_ffn_embed_dim=[8, 16],
        decoder_arbitrary_ende_attn=[-1],
    )
    table = LatencyTable.build(
        net, Device("d", backend), n_probes=3, protocol=Protocol(rounds=3, most_rounds=4), progress=False
    )
    assert table.complete
    latencies = table.latency([net.smallest, net.largest])
    assert latencies[0] > 0
    deep, shallow = (net.space.validate(dict(net.largest) | {"decoder_layer_num": n}) for n in (2, 1))
    assert table.block_sum([deep])[0] > table.block_sum([shallow])[0]


def test_the_plain_model_exports(net, tmp_path):
    (architecture,) = net.space.sample(1, 4)
    model = net.extract(architecture)
    inputs = sources(2), torch.tensor([[EOS, 5, 6], [EOS, 7, PAD]])
    with torch.inference_mode():
        expected = model(*inputs)
    program = torch.export.export(model, inputs)
    torch.testing.assert_close(program.module()(*inputs), expected, rtol=0, atol=1e-5)
    names = {"src_tokens": inputs[0], "prev_output_tokens": inputs[1]}
    part = Part(model, names, ("logits",), {name: {0: "batch", 1: f"length_of_{name}"} for name in names})
    session = onnxruntime.InferenceSession(to_onnx(part, tmp_path / "model.onnx"))
    (logits,) = session.run(None, {name: tensor.numpy() for name, tensor in names.items()})
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)
    shorter = {"src_tokens": inputs[0][:1, :4].clamp(min=4), "prev_output_tokens": inputs[1][:1, :2]}
    (logits,) = session.run(None, {name: tensor.numpy() for name, tensor in shorter.items()})
    with torch.inference_mode():
        np.testing.assert_allclose(logits, model(*shorter.values()), rtol=0, atol=1e-4)
