"""Throughput of batched beam search against Hugging Face's `generate`, side by side in one run.

    python benchmarks/supernet/decoding.py                                   # this CPU, one thread
    python benchmarks/supernet/decoding.py --device cuda --dtype bfloat16 --batches 1 32 256 --rounds 7

Both models have random weights and equal sizes: 6 + 6 layers, 512 channels, 2048 neurons, 8 heads, one table of words
(a HAT sub-network, and a Marian model, which computes the same function). Both decode the same sources with the same
beam into the same number of tokens; `speed-up` is the ratio of their times, round by round.
"""

import argparse
import platform
import time

import numpy as np
import torch
import transformers
from transformers import MarianConfig, MarianMTModel

import supernet
from supernet.decoding import BeamSearch

PAD, EOS = 1, 2


def ours(words):
    """A sub-network of HAT's."""
    net = supernet.create("hat_transformer", space="wmt14_en_de", vocab_size=words)
    layers = {"ffn_embed_dim": [2048] * 6, "self_attention_heads": [8] * 6, "layer_num": 6, "embed_dim": 512}
    sides = {side: {f"{side}_{name}": value for name, value in layers.items()} for side in ("encoder", "decoder")}
    sides["decoder"] |= {"decoder_ende_attention_heads": [8] * 6, "decoder_arbitrary_ende_attn": [-1] * 6}
    return net.extract(sides)


def theirs(words):
    """A Marian model of the same sizes."""
    config = MarianConfig(
        vocab_size=words,
        d_model=512,
        encoder_layers=6,
        decoder_layers=6,
        encoder_ffn_dim=2048,
        decoder_ffn_dim=2048,
        encoder_attention_heads=8,
        decoder_attention_heads=8,
        activation_function="relu",
        scale_embedding=True,
        pad_token_id=PAD,
        eos_token_id=EOS,
        decoder_start_token_id=EOS,
        forced_eos_token_id=EOS,
    )
    return MarianMTModel(config).eval()


def sources(n_sentences, length, words, device):
    """Sentences of half to the whole length, padded on the left."""
    rng = np.random.default_rng(0)
    tokens = np.full((n_sentences, length), PAD)
    for row in tokens:
        n = rng.integers(length // 2, length)
        row[-n - 1 :] = [*rng.integers(4, words, n), EOS]
    return torch.from_numpy(tokens).to(device)


def seconds(run, device):
    """How long one run takes."""
    if device == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def main():
    """Measures and prints one line per batch size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--length", type=int, default=30, help="tokens of source and target")
    parser.add_argument("--words", type=int, default=32000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    transformers.utils.logging.set_verbosity_error()
    dtype = getattr(torch, given.dtype)
    hat, marian = (model(given.words).to(given.device, dtype) for model in (ours, theirs))
    search = BeamSearch(beam=given.beam, min_length=given.length - 1, max_length=given.length - 1)
    sizes = [sum(p.numel() for p in model.parameters()) for model in (hat, marian)]
    where = (
        torch.cuda.get_device_name() if given.device == "cuda" else f"{platform.machine()} CPU, {given.threads} threads"
    )
    print(
        f"{where}; torch {torch.__version__}, transformers {transformers.__version__}; {given.dtype}, beam {given.beam}"
    )
    print(f"{given.length} tokens, {given.words} words; parameters: ours {sizes[0]:,}, Marian {sizes[1]:,}")
    print("batch  ours sentences/s  generate sentences/s  speed-up (lowest .. highest)")
    for batch in given.batches:
        source = sources(batch, given.length, given.words, given.device)

        def run_ours(source=source):
            found = search(hat, source)
            assert all(len(hypotheses[0].tokens) == given.length for hypotheses in found)

        def run_theirs(source=source):
            with torch.inference_mode():
                found = marian.generate(
                    source,
                    attention_mask=source.ne(PAD).long(),
                    num_beams=given.beam,
                    min_new_tokens=given.length,
                    max_new_tokens=given.length,
                    early_stopping=True,
                    length_penalty=0.6,
                    bad_words_ids=[[PAD]],
                )
            assert found.shape[1] == given.length + 1

        for run in (run_ours, run_theirs):
            run()
        times = np.array([[seconds(run, given.device) for run in (run_ours, run_theirs)] for _ in range(given.rounds)])
        ratios = times[:, 1] / times[:, 0]
        speeds = batch / np.median(times, axis=0)
        print(
            f"{batch:5d}  {speeds[0]:16.2f}  {speeds[1]:20.2f}  "
            f"{np.median(ratios):.2f} ({ratios.min():.2f} .. {ratios.max():.2f})"
        )


if __name__ == "__main__":
    main()
