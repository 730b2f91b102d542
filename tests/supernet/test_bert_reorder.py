"""Putting important heads and neurons first."""

import pytest
import torch
from torch.nn.functional import cross_entropy

import supernet
from supernet.families.bert.network import units
from supernet.families.bert.resized_layers import LAYOUTS
from supernet.importance import rank

from .bert_models import SPACE, TYPES, USUAL_TYPES, classifier, sentences

LABELS = torch.tensor([0, 2, 1])


def batches(n=2):
    return [(sentences(seed=seed), LABELS) for seed in range(n)]


@pytest.mark.parametrize("kind", [pytest.param(k, marks=[] if k in USUAL_TYPES else pytest.mark.slow) for k in TYPES])
def test_the_largest_computes_the_same_and_importance_descends(kind):
    net = supernet.create("bert", model=classifier(kind), **SPACE)
    inputs = sentences(seed=5)
    before = net(**inputs, architecture=net.largest).logits
    smaller = net(**inputs, architecture=net.smallest).logits
    first = net.reorder(batches())
    torch.testing.assert_close(net(**inputs, architecture=net.largest).logits, before, rtol=0, atol=1e-5)
    assert (net(**inputs, architecture=net.smallest).logits - smaller).abs().max() > 1e-3
    second = net.reorder(batches())
    for scores, again in ((first.heads, second.heads), (first.neurons, second.neurons)):
        torch.testing.assert_close(again, scores.sort(dim=1, descending=True).values, rtol=1e-3, atol=1e-6)


def test_importance_is_the_derivative_by_a_factor_in_front_of_what_it_is_of():
    """Against finite differences: heads are scaled through the projection of values, neurons behind the activation."""
    model = classifier().double()
    heads, neurons = units(model, LAYOUTS["bert"])
    scores = rank(model, heads, batches(1)), rank(model, neurons, batches(1))
    inputs = sentences()
    step = 1e-5

    def losses():
        with torch.no_grad():
            return cross_entropy(model(**inputs).logits, LABELS, reduction="none")

    def derivative(weight):
        kept = weight.clone()
        weight.mul_(1 + step)
        above = losses()
        weight.copy_(kept * (1 - step))
        below = losses()
        weight.copy_(kept)
        return ((above - below) / (2 * step)).abs().mean()

    with torch.no_grad():
        for index, layer in enumerate(model.bert.encoder.layer):
            for head in range(4):
                columns = layer.attention.output.dense.weight[:, 6 * head : 6 * head + 6]
                torch.testing.assert_close(scores[0][index][head], derivative(columns), rtol=1e-4, atol=1e-8)
            for neuron in (0, 7, 19):
                column = layer.output.dense.weight[:, neuron]
                torch.testing.assert_close(scores[1][index][neuron], derivative(column), rtol=1e-4, atol=1e-8)


def test_batches_of_all_forms_and_sizes_give_the_same():
    inputs = sentences()
    forms = [
        [inputs | {"labels": LABELS}],
        [(inputs, LABELS)],
        [(tuple(inputs.values()), LABELS)],
        [({name: t[i : i + 1] for name, t in inputs.items()}, LABELS[i : i + 1]) for i in range(3)],
    ]
    found = [supernet.create("bert", model=classifier(), **SPACE).reorder(form) for form in forms]
    for scores in found[1:]:
        torch.testing.assert_close(scores.heads, found[0].heads, rtol=1e-4, atol=1e-7)
        torch.testing.assert_close(scores.neurons, found[0].neurons, rtol=1e-4, atol=1e-7)


def test_what_cannot_be_ranked():
    net = supernet.create("bert", model=classifier(), **SPACE)
    with pytest.raises(ValueError, match="needs at least one batch, got none"):
        net.reorder([])
    with pytest.raises(ValueError, match="a batch needs labels: give `labels` beside input_ids, attention_mask"):
        net.reorder([sentences()])


def test_a_net_in_training_mode_is_ranked_without_dropout_and_stays_in_it():
    net = supernet.create("bert", model=classifier(), **SPACE).train()
    expected = supernet.create("bert", model=classifier(), **SPACE).reorder(batches())
    torch.testing.assert_close(net.reorder(batches()).heads, expected.heads)
    assert net.shared.training
    assert all(p.grad is None for p in net.parameters())
