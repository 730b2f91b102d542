"""Vision transformers: stock timm models, sharing by heads, published configurations, clear refusals."""

import numpy as np
import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer
from torch.testing import assert_close

import supernet
from supernet import ArchitectureError, CheckpointError
from supernet.blocks import count_macs

from .conftest import randomised, tiny_vit

VARIANTS = {
    "bare": {},
    "stock": {"model": "test_vit", "depths": (2, 6), "hidden_sizes": (40, 64), "resolutions": (32, 48)},
    "registers, layer scale, query norm, sigmoid pool": {"model": "test_vit2", "resolutions": (32, 48)},
    "attention pool": {"model": "test_vit3", "heads": (1, 3), "resolutions": (32, 48)},
    "rms norm": {"model": "test_vit4", "resolutions": (48,)},
    "mean of patches": {"class_token": False, "global_pool": "avg"},
    "pre-norm, layer scale": {"pre_norm": True, "init_values": 0.1, "norm_layer": "rmsnorm", "act_layer": "quick_gelu"},
    "norms inside": {"scale_attn_norm": True, "scale_mlp_norm": True, "qk_norm": True, "hidden_sizes": (20, 30)},
    "no biases": {"qkv_bias": False, "proj_bias": False, "reg_tokens": 2, "no_embed_class": True},
    "no positions": {"pos_embed": "none"},
    "any size of image": {"dynamic_img_size": True},
    "no classifier": {"num_classes": 0},
    "no pooling": {"global_pool": ""},
}


def small(name):
    changes = VARIANTS[name]
    stock = {"depths": None, "hidden_sizes": None, "heads": None, "mlp_sizes": None, "head_dim": None, "patch_size": 16}
    return tiny_vit(**((stock if "model" in changes else {}) | changes))


@pytest.fixture(params=list(VARIANTS), scope="module")
def variant(request):
    return randomised(small(request.param))


def test_every_variant_acts_like_the_extracted_model(variant):
    for architecture in [variant.smallest, variant.largest, *variant.space.sample(4, 1)]:
        (images,) = variant.example_inputs(architecture, batch_size=2)
        with torch.no_grad():
            model = variant.extract(architecture)
            assert_close(variant(images, architecture), model(images), rtol=0, atol=1e-5)
        assert type(model) is VisionTransformer
        assert {type(module).__module__.partition(".")[0] for module in model.modules()} <= {"timm", "torch"}


def test_costs_of_every_variant_are_those_of_the_modules(variant):
    architectures = [variant.smallest, variant.largest, *variant.space.sample(6, 2)]
    costs = variant.costs(architectures)
    for i, architecture in enumerate(architectures):
        model = variant.skeleton(architecture).eval()
        assert costs["params"][i] == sum(p.numel() for p in model.parameters())
        assert costs["macs"][i] == count_macs(model, [t.to("meta") for t in variant.example_inputs(architecture)])


@pytest.mark.parametrize("name", ["test_vit", "test_vit2", "test_vit3", "test_vit4"])
def test_the_largest_sub_network_is_the_stock_model_to_the_bit(name, tmp_path):
    stock = randomised(timm.create_model(name))
    save_file(stock.state_dict(), tmp_path / "stock.safetensors")
    net = supernet.create("vit", model=name, checkpoint=tmp_path / "stock.safetensors")
    model = net.extract(net.largest)
    assert model.state_dict().keys() == stock.state_dict().keys()
    (images,) = net.example_inputs(net.largest, batch_size=2)
    with torch.no_grad():
        assert_close(model(images), stock(images), rtol=0, atol=0)
    net.save_checkpoint(tmp_path / "again.pth", layout="timm")
    stock.load_state_dict(torch.load(tmp_path / "again.pth", weights_only=True)["state_dict"])


def test_a_new_super_network_starts_like_a_new_stock_model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        stock = timm.create_model("test_vit")
        torch.manual_seed(0)
        net = supernet.create("vit", model="test_vit")
    assert_close(net.shared.state_dict(), stock.state_dict(), rtol=0, atol=0)


def test_heads_are_cut_from_queries_keys_and_values_each(vit):
    smaller = vit.space.validate(dict(vit.largest) | {"num_attention_heads": 2, "hidden_size": 20})
    shared = vit.share(smaller)
    whole = dict(vit.shared.named_parameters())
    rows = torch.cat([torch.arange(16) + start for start in (0, 24, 48)])
    assert_close(shared["blocks.1.attn.qkv.weight"], whole["blocks.1.attn.qkv.weight"][rows][:, :20])
    assert_close(shared["blocks.1.attn.qkv.bias"], whole["blocks.1.attn.qkv.bias"][rows])
    assert_close(shared["blocks.1.attn.proj.weight"], whole["blocks.1.attn.proj.weight"][:20, :16])
    assert_close(shared["pos_embed"], whole["pos_embed"][..., :20])


def test_gates_are_cut_each_by_itself():
    """SwiGLU packs two matrices in one, as DINOv2's giant has it."""
    net = randomised(
        supernet.create("vit", model="vit_giant_patch14_dinov2", depths=(1,), hidden_sizes=(16,), heads=(1,),
                        mlp_sizes=(8, 12), head_dim=16, resolutions=(28,), num_classes=3)
    )  # fmt: skip
    smallest, whole = net.extract(net.smallest), net.shared.blocks[0].mlp.fc1.weight
    assert_close(smallest.blocks[0].mlp.fc1.weight, whole[[*range(8), *range(12, 20)]])
    (images,) = net.example_inputs(net.smallest)
    with torch.no_grad():
        assert_close(net(images, net.smallest), smallest(images), rtol=0, atol=1e-5)


def test_positions_of_smaller_images_are_resampled_as_timm_does():
    net = randomised(small("stock"))
    architecture = net.space.validate(dict(net.largest) | {"r": 32})
    stock = timm.create_model("test_vit", img_size=48, num_classes=5)
    stock.load_state_dict(net.shared.state_dict())
    stock.set_input_size(32)
    (images,) = net.example_inputs(architecture)
    with torch.no_grad():
        assert_close(net(images, architecture), stock.eval()(images), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kept", [8, 20, 32])
@pytest.mark.parametrize("class_token", [False, True])
def test_waves_tell_every_place_from_the_first_channels_on(kept, class_token):
    net = tiny_vit(positions="sincos", class_token=class_token, global_pool="avg", resolutions=(16,))
    waves = net.shared.pos_embed[0, int(class_token) :].detach()
    distances = torch.cdist(waves[:, :kept], waves[:, :kept]) + 9 * torch.eye(16)
    assert distances.min() > 0.2
    neighbours = distances.view(4, 4, 4, 4)
    assert (neighbours[0, 0, 0, 1:3].diff() > 0).all()  # and what is near is similar
    assert (neighbours[0, 0, 1:3, 0].diff() > 0).all()
    plain = tiny_vit(class_token=class_token, global_pool="avg", resolutions=(16,))
    assert plain.shared.pos_embed.std() < 0.05 < waves.std()


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_every_architecture_has_one_form(data):
    net = tiny_vit()
    raw = [data.draw(st.integers(0, int(n) - 1)) for n in net.space.n_values]
    (architecture,) = net.space.decode(np.array([raw]))
    assert net.space.validate(dict(architecture)) == architecture
    depth = architecture["num_layers"]
    cut = {name: value[:depth] if isinstance(value, tuple) else value for name, value in architecture.items()}
    assert net.space.validate(cut) == architecture
    model = net.skeleton(architecture)
    assert [block.attn.num_heads for block in model.blocks] == list(architecture["num_attention_heads"][:depth])
    assert [block.mlp.fc1.out_features for block in model.blocks] == list(architecture["intermediate_size"][:depth])
    assert model.embed_dim == architecture["hidden_size"]
    assert model.patch_embed.img_size == (architecture["r"],) * 2


def test_the_size_of_the_space_counts_distinct_networks():
    net = tiny_vit()
    assert net.space.size == 2 * 2 * sum((3 * 2) ** depth for depth in (1, 2, 3))
    assert len({str(net.skeleton(a)) for a in net.space.decode(net.space.enumerate()[::20])}) > 50


def test_default_values_are_parts_of_the_model():
    space = supernet.create("vit", model="vit_base_patch16_224", pretrained=False).space
    assert {c.name: c.values for c in space.choices} == {
        "num_layers": (6, 7, 8, 9, 10, 11, 12),
        "hidden_size": (512, 640, 768),
        "num_attention_heads": (6, 8, 10, 12),
        "intermediate_size": (1024, 2048, 3072),
        "r": (224,),
    }


def test_published_configurations():
    space = tiny_vit(hidden_sizes=(32,), resolutions=(16,)).space
    published = {
        "vit_hidden_sizes": 32,
        "num_layers": [2],
        "num_attention_heads": [1, 3],
        "vit_intermediate_sizes": [24, 50, 50],
    }
    expected = {"num_layers": 2, "hidden_size": 32, "num_attention_heads": [1, 3, 1], "intermediate_size": [24, 50, 24]}
    assert space.validate(published) == space.validate(expected | {"r": 16})
    del published["vit_hidden_sizes"]
    widths = tiny_vit(hidden_sizes=(16, 32), resolutions=(16,)).space
    assert widths.validate(published) == widths.validate(expected)
    with pytest.raises(
        ArchitectureError, match=r"num_attention_heads needs a value for each of 3 layers, got \[1, 3\]"
    ):
        space.validate(published | {"num_layers": 3})
    with pytest.raises(ArchitectureError, match=r"num_attention_heads\[1\]: 4 is not one of \(1, 2, 3\)"):
        space.validate(published | {"num_attention_heads": [1, 4]})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": "vit_smal"}, "timm has no model 'vit_smal'"),
        ({"model": "vit_small_patch16_224.nix"}, "Invalid pretrained tag"),
        ({"model": "resnet18"}, "resnet18 is a ResNet, not a plain timm VisionTransformer"),
        ({"model": "vit_small_patch16_18x2_224"}, "blocks.0 of .* is a ParallelThingsBlock"),
        ({"model": "vit_dwee_patch16_reg1_gap_256"}, "blocks.0.attn of .* is a DiffAttention"),
        ({"model": "test_vit3", "hidden_sizes": (48, 96)}, r"hidden_sizes must be \(96,\).*attention pool"),
        ({"embed_dim": 96}, "'embed_dim' is what varies: give hidden_sizes"),
        ({"norm_layer": torch.nn.LayerNorm}, "is no plain data"),
        ({"no_such": 1}, "unexpected keyword argument 'no_such'"),
        ({"global_pool": "nix"}, "timm cannot make"),
        ({"patch_size": (4, 8)}, "images and patches must be square"),
        ({"heads": (0, 2)}, r"heads must be positive integers, got \[0, 2\]"),
        ({"depths": ()}, r"depths must be positive integers, got \[\]"),
        ({"hidden_sizes": (24.5,)}, r"hidden_sizes must be positive integers, got \[24.5\]"),
        ({"resolutions": (2, 16)}, "at least a patch of 4 pixels, got 2"),
        ({"pretrained": True}, "need the name of a timm model"),
        ({"positions": "sincos2d"}, "positions must be random or sincos, got 'sincos2d'"),
        ({"positions": "sincos", "pos_embed": "none"}, "needs a model with position embeddings"),
    ],
)  # fmt: skip
def test_what_is_not_supported_is_refused_by_name(given, message):
    settings = {"patch_size": 4, "depths": (1,), "hidden_sizes": (32,)} if "model" not in given else {}
    with pytest.raises(ValueError, match=message):
        supernet.create("vit", **(settings | given))


def test_weights_that_timm_downloads(monkeypatch):
    stock = randomised(timm.create_model("test_vit", num_classes=7))

    def create(name, pretrained=False, **arguments):
        model = timm.create_model(name, **arguments)
        if pretrained:
            model.load_state_dict(stock.state_dict())
        return model

    monkeypatch.setattr("supernet.families.vit.stock.create_model", create)
    net = supernet.create("vit", model="test_vit", num_classes=7, pretrained=True)
    assert_close(net.shared.state_dict(), stock.state_dict(), rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"must be test_vit itself to start from its weights: \S+ differs"):
        supernet.create("vit", model="test_vit", num_classes=7, pretrained=True, hidden_sizes=(32,))


def test_another_model_does_not_fit(tmp_path):
    save_file(timm.create_model("test_vit").state_dict(), tmp_path / "stock.safetensors")
    with pytest.raises(CheckpointError, match=r"does not fit vit of test_vit4.*of another shape"):
        supernet.create("vit", model="test_vit4", checkpoint=tmp_path / "stock.safetensors")


def test_a_stock_checkpoint_for_another_size_of_image_and_other_classes(tmp_path):
    stock = randomised(timm.create_model("test_vit", num_classes=7))
    path = tmp_path / "stock.safetensors"
    save_file(stock.state_dict(), path)
    settings = {"model": "test_vit", "resolutions": (64, 96)}
    net = supernet.create("vit", **settings, num_classes=7, checkpoint=path)
    stock.set_input_size(96)
    (images,) = net.example_inputs(net.largest)
    with torch.no_grad():
        assert_close(net.extract(net.largest)(images), stock(images), rtol=0, atol=1e-5)
    with pytest.raises(CheckpointError, match=r"2 of another shape: head.weight \(7, 64\) instead of \(3, 64\)"):
        supernet.create("vit", **settings, num_classes=3, checkpoint=path)
    fresh = supernet.create("vit", **settings, num_classes=3, new_head=True, checkpoint=path)
    assert_close(fresh.shared.blocks.state_dict(), stock.blocks.state_dict(), rtol=0, atol=0)
    assert fresh.shared.head.weight.shape == (3, 64)
    fresh.save_checkpoint(tmp_path / "own.safetensors")
    again = supernet.create("vit", **settings, num_classes=3, new_head=True, checkpoint=tmp_path / "own.safetensors")
    assert_close(again.shared.state_dict(), fresh.shared.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["bare", "stock", "attention pool", "norms inside", "no biases"])
def test_library_code_rebuilds_the_model(name, tmp_path, monkeypatch):
    net = randomised(small(name))
    monkeypatch.chdir(tmp_path)
    for architecture in (net.smallest, net.largest, *net.space.sample(2, 4)):
        model = net.extract(architecture)
        save_file(model.state_dict(), tmp_path / "model.safetensors")
        scope = {}
        exec(net.library_code(architecture), scope)
        assert "supernet" not in net.library_code(architecture)
        (images,) = net.example_inputs(architecture, batch_size=2)
        with torch.no_grad():
            assert_close(scope["model"](images), model(images), rtol=0, atol=0)


def test_equal_layers_need_timms_own_arguments_alone():
    code = supernet.create("vit", model="vit_small_patch16_224").library_code
    net = supernet.create("vit", model="vit_small_patch16_224")
    alike = net.space.validate(
        {"num_layers": 8, "hidden_size": 320, "num_attention_heads": 5, "intermediate_size": 1024, "r": 224}
    )
    assert "Attention" not in code(alike)
    assert "embed_dim=320" in code(alike)


def test_grey_images_and_own_normalisation():
    net = supernet.create("vit", model="test_vit", in_chans=1, num_classes=4)
    assert net.mean == (0.5,)
    cfg = net.extract(net.smallest).pretrained_cfg
    assert cfg["input_size"] == (1, 160, 160)
    assert cfg["num_classes"] == 4
    assert tiny_vit(mean=(0.1, 0.2, 0.3)).extract(tiny_vit().smallest).pretrained_cfg["mean"] == (0.1, 0.2, 0.3)


def test_two_thousand_architectures_take_less_than_a_second(takes_seconds):
    """The super-network, the architectures and their costs from nothing, in processor time."""

    def from_nothing():
        net = supernet.create("vit", model="vit_tiny_patch16_224")
        return net.costs(net.space.sample(2000))

    assert takes_seconds(1, from_nothing)
    assert len(np.unique(from_nothing()["macs"])) > 200  # layers are alike


def test_stochastic_depth_and_dropout_act_in_training_alone():
    small = {"depths": (1, 2), "hidden_sizes": (20,), "mlp_sizes": (24,), "resolutions": (12,)}
    net = randomised(tiny_vit(drop_path_rate=0.5, drop_rate=0.2, proj_drop_rate=0.1, **small))
    architecture = net.largest
    (images,) = net.example_inputs(architecture, batch_size=3)
    with torch.no_grad():
        assert_close(net(images, architecture), net.extract(architecture)(images), rtol=0, atol=1e-5)
        net.train()
        assert not torch.equal(net(images, architecture), net(images, architecture))
    assert len(net.block_map.cover()) > len(tiny_vit(**small).block_map.cover())


@pytest.mark.parametrize("name", ["bare", "stock", "norms inside", "no biases", "gates"])
def test_what_matters_comes_first_and_the_largest_computes_the_same(name):
    gates = {
        "model": "vit_giant_patch14_dinov2",
        "depths": (1, 2),
        "hidden_sizes": (24,),
        "heads": (1, 3),
        "head_dim": 8,
    }
    gates |= {"mlp_sizes": (8, 24), "resolutions": (28,), "num_classes": 5}
    net = randomised(supernet.create("vit", **gates) if name == "gates" else small(name))
    (images,) = net.example_inputs(net.largest, batch_size=6)
    batches = [(images, torch.arange(6) % 5)]
    with torch.no_grad():
        before, smaller = net(images, net.largest), net.extract(net.smallest)
        first = net.reorder(batches, torch.nn.functional.cross_entropy)
        assert_close(net(images, net.largest), before, rtol=1e-4, atol=1e-4)
        second = net.reorder(batches, torch.nn.functional.cross_entropy)
    for scores, again in ((first.heads, second.heads), (first.neurons, second.neurons)):
        assert len(scores) == net.largest["num_layers"]
        assert_close(again, scores.sort(dim=1, descending=True).values, rtol=1e-2, atol=1e-6)
    assert not torch.equal(net.extract(net.smallest).blocks[0].mlp.fc2.weight, smaller.blocks[0].mlp.fc2.weight)
