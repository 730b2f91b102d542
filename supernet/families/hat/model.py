"""A plain encoder-decoder Transformer for translation, post-norm, as HAT's (arXiv:2005.14187).

In incremental decoding, the hypotheses (beams) of a sentence stand where positions stand in training: a step is one
call of the decoder with `beam` new positions, each of which sees its own ancestors. So keys and values of the source
exist once for all beams, and those of the target stay where they are when beams are reordered.
"""

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.jit import is_tracing  # type: ignore[attr-defined] # public, but not in its list of names

from supernet.families.hat.layers import EOS, PAD, DecoderLayer, Embedding, EncoderLayer, MemoryProjection, Output
from supernet.families.hat.sizes import Sizes

_ROOM = 32  # steps that a decoding state has room for at first


@dataclass(frozen=True)
class Memory:
    """What the encoder made of a batch.

    Attributes:
        outputs: of every encoder layer, the last one last, each of shape (sentences, source positions, width).
        mask: added to attention scores, -inf at padding; shape (sentences, 1, 1, source positions).
    """

    outputs: tuple[Tensor, ...]
    mask: Tensor

    def seen_by(self, projection: nn.Module) -> tuple[Tensor, ...]:
        """What the projection of a decoder layer takes."""
        return self.mask, *(self.outputs[layer] for layer in cast(MemoryProjection, projection).memory)


class TranslationTransformer(nn.Module):
    """`model(src_tokens, prev_output_tokens)` gives logits of shape (sentences, target positions, words).

    Both are int64 of shape (sentences, positions). Sources are padded on either side and end with `EOS`; targets are
    padded on the right and begin with `EOS`. Raises ValueError for more tokens than positions, for sources without any
    token and for tokens outside the vocabulary (these two on the CPU alone: on a GPU, looking at values takes time).

    For decoding step by step: `encode`, `start`, `step` (see `supernet.decoding`).
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.encoder = Encoder(sizes)
        self.decoder = Decoder(sizes)
        if sizes.shared == "all":
            self.decoder.embed.weight = self.encoder.embed.weight
        if sizes.shared != "none":
            self.decoder.output.weight = self.decoder.embed.weight

    def forward(self, src_tokens: Tensor, prev_output_tokens: Tensor) -> Tensor:
        """Logits at all target positions at once (teacher forcing)."""
        self._check(prev_output_tokens, "prev_output_tokens", self.sizes.decoder.words)
        logits: Tensor = self.decoder(prev_output_tokens, self.encode(src_tokens))
        return logits

    @property
    def vocabulary_sizes(self) -> tuple[int, int]:
        """Numbers of words of the source and of the target."""
        return self.sizes.encoder.words, self.sizes.decoder.words

    @property
    def most_steps(self) -> int:
        """The most tokens that it can decode, end of sentence included."""
        return self.sizes.positions

    def check_source(self, src_tokens: Tensor) -> None:
        """Raises ValueError for sources that cannot be translated: those that `encode` refuses, and without a word."""
        check_source(src_tokens, self.sizes)

    def encode(self, src_tokens: Tensor) -> Memory:
        """Runs the encoder. Raises ValueError as calling the model does."""
        self._check(src_tokens, "src_tokens", self.sizes.encoder.words)
        memory: Memory = self.encoder(src_tokens)
        return memory

    def start(self, memory: Memory, beam: int, most_steps: int) -> "DecodingState":
        """A state for decoding with `beam` hypotheses per sentence. Raises ValueError above the number of positions."""
        if not 1 <= most_steps <= self.sizes.positions:
            raise ValueError(f"most_steps must lie in 1..{self.sizes.positions}, got {most_steps}")
        return DecodingState(self.decoder, memory, beam, most_steps)

    def step(self, tokens: Tensor, state: "DecodingState") -> Tensor:
        """Logits behind one more token of every hypothesis: (sentences, beam) -> (sentences, beam, words)."""
        return self.decoder.step(tokens, state)

    def _check(self, tokens: Tensor, name: str, n_words: int) -> None:
        if is_tracing() or torch.compiler.is_compiling():
            return
        check_tokens(tokens, name, n_words, self.sizes.positions, values=tokens.device.type == "cpu")


def check_source(src_tokens: Tensor, sizes: Sizes) -> None:
    """Raises ValueError for sources that a model of these sizes cannot translate."""
    check_tokens(src_tokens, "src_tokens", sizes.encoder.words, sizes.positions)
    wordless = (src_tokens.eq(PAD) | src_tokens.eq(EOS)).all(dim=1)
    if bool(wordless.any()):
        raise ValueError(f"src_tokens[{int(wordless.nonzero()[0])}] is empty: it holds no word")


def check_tokens(tokens: Tensor, name: str, n_words: int, positions: int, values: bool = True) -> None:
    """Raises ValueError for tokens that a model with these sizes cannot take; `values`: whether to look at them."""
    if tokens.ndim != 2 or tokens.dtype not in (torch.int64, torch.int32):
        raise ValueError(
            f"{name} must be integers of shape (sentences, positions), got {tokens.dtype} {tuple(tokens.shape)}"
        )
    if 0 in tokens.shape:
        raise ValueError(f"{name} of shape {tuple(tokens.shape)} is empty")
    if tokens.shape[1] > positions:
        raise ValueError(f"{name} has {tokens.shape[1]} tokens: the model has {positions} positions")
    if not values:
        return
    if int(tokens.min()) < 0 or int(tokens.max()) >= n_words:
        row, column = ((tokens < 0) | (tokens >= n_words)).nonzero()[0].tolist()
        raise ValueError(
            f"{name}[{row}, {column}] is {int(tokens[row, column])}: the vocabulary has the words 0..{n_words - 1}"
        )
    empty = tokens.eq(PAD).all(dim=1)
    if bool(empty.any()):
        raise ValueError(f"{name}[{int(empty.nonzero()[0])}] is empty: it holds nothing but padding")


class Encoder(nn.Module):
    """Embeds source tokens and runs the layers."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        side = sizes.encoder
        table_width = max(side.width, sizes.decoder.width) if sizes.shared == "all" else side.width
        self.embed = Embedding(sizes, side, table_width)
        self.layers = nn.ModuleList(EncoderLayer(sizes, layer) for layer in side.layers)

    def forward(self, tokens: Tensor) -> Memory:
        """Tokens (sentences, source positions) to the outputs of all layers."""
        x = self.embed(tokens, positions_of(tokens))
        mask = torch.zeros_like(tokens, dtype=x.dtype).masked_fill(tokens.eq(PAD), -math.inf)[:, None, None, :]
        outputs = []
        for layer in self.layers:
            x = layer(x, mask)
            outputs.append(x)
        return Memory(tuple(outputs), mask)


class Decoder(nn.Module):
    """Embeds target tokens, runs the layers, and projects to words."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        side = sizes.decoder
        table_width = max(side.width, sizes.encoder.width) if sizes.shared == "all" else side.width
        self.embed = Embedding(sizes, side, table_width)
        self.memories = nn.ModuleList(MemoryProjection(sizes, layer) for layer in side.layers)
        self.layers = nn.ModuleList(DecoderLayer(sizes, layer) for layer in side.layers)
        self.output = Output(side.words, table_width, side.width)

    def forward(self, tokens: Tensor, memory: Memory) -> Tensor:
        """Logits at all target positions, shape (sentences, positions, words)."""
        x = self.embed(tokens, positions_of(tokens))
        for layer, projection in zip(self.layers, self.memories, strict=True):
            x, _, _ = layer(x, *projection(*memory.seen_by(projection)))
        logits: Tensor = self.output(x)
        return logits

    def step(self, tokens: Tensor, state: "DecodingState") -> Tensor:
        """Logits at one more position of every hypothesis."""
        x = self.embed(tokens, torch.full_like(tokens, PAD + 1 + state.n_steps))
        first, visible = state.begun()
        for i, (layer, memory) in enumerate(zip(self.layers, state.memories, strict=True)):
            x, keys, values = layer(x, *memory, *state.pasts[i], visible, first)
            if is_tracing():  # a graph has not written them in place
                state.pasts[i] = keys, values
        logits: Tensor = self.output(x)
        return logits


class DecodingState:
    """Keys, values and visibility of all hypotheses of a batch of sentences between steps of decoding."""

    def __init__(self, decoder: Decoder, memory: Memory, beam: int, most_steps: int) -> None:
        self.beam, self.most_steps, self.n_steps = beam, most_steps, 0
        self.memories = [projection(*memory.seen_by(projection)) for projection in decoder.memories]
        self._own = torch.eye(
            beam, dtype=memory.mask.dtype, device=memory.mask.device
        ).log()  # 0 within, -inf elsewhere
        self._visible = memory.mask.new_empty(memory.mask.shape[0], 1, beam, 0)
        self.pasts: list[tuple[Tensor, Tensor]] = []
        for (keys, _, _), layer in zip(self.memories, decoder.sizes.decoder.layers, strict=True):
            n_heads = layer.heads
            past = keys.new_empty(len(keys), n_heads, 0, keys.shape[1] * keys.shape[3] // n_heads)
            self.pasts.append((past, past))

    def begun(self) -> tuple[int, Tensor]:
        """Begins a step: where its keys and values belong, and the mask of what its positions see."""
        first = self.n_steps * self.beam
        if first == self._visible.shape[3]:
            self._grow()
        self._visible[..., first : first + self.beam] = self._own
        self.n_steps += 1
        return first, self._visible[..., : first + self.beam]

    def reorder(self, parents: Tensor) -> None:
        """Each hypothesis goes on from hypothesis `parents[sentence, i]` of its sentence."""
        self._visible = self._visible.gather(2, parents[:, None, :, None].expand_as(self._visible))

    def keep(self, sentences: Tensor) -> None:
        """Drops all sentences but these (indices)."""
        self.memories = [tuple(t[sentences] for t in memory) for memory in self.memories]
        self.pasts = [(keys[sentences], values[sentences]) for keys, values in self.pasts]
        self._visible = self._visible[sentences]

    def _grow(self) -> None:
        n_steps = min(max(2 * self.n_steps, _ROOM), self.most_steps)
        missing = (n_steps - self.n_steps) * self.beam
        if missing <= 0:
            raise ValueError(f"this decoding state was started for {self.most_steps} steps at most")
        self.pasts = [(_widened(keys, 2, missing), _widened(values, 2, missing)) for keys, values in self.pasts]
        self._visible = _widened(self._visible, 3, missing)


def positions_of(tokens: Tensor) -> Tensor:
    """Numbers of the positions, counted over tokens that are no padding, from `PAD` + 1 on; `PAD` at padding."""
    words = tokens.ne(PAD).long()
    return words.cumsum(dim=1) * words + PAD


def _widened(tensor: Tensor, dim: int, missing: int) -> Tensor:
    shape = [missing if d == dim else size for d, size in enumerate(tensor.shape)]
    return torch.cat([tensor, tensor.new_zeros(shape)], dim=dim)
