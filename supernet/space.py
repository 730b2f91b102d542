"""Search spaces: which genes matter when, and how architectures become arrays."""

import hashlib
import itertools
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from supernet.architecture import Architecture, ArchitectureError, frozen
from supernet.choices import Activity, Choice, When, within_depth
from supernet.counting import Counter

__all__ = ["Activity", "Choice", "Genes", "SearchSpace", "Translation", "When", "within_depth"]

Genes = NDArray[np.int64]
"""Indices into the values of each gene, shape (n_architectures, n_genes)."""


_MOST_OF_FLOAT = int(sys.float_info.max)

Translation = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Turns a configuration as its authors publish it into `{choice name: values}`."""


@dataclass(frozen=True)
class _Gene:
    """One position of a choice, with its rules turned into tables."""

    label: str
    values: tuple[Any, ...]
    canonical: tuple[int, ...]  # index of a value -> index of the value that stands for it
    parents: tuple[int, ...] = ()
    allowed: frozenset[tuple[int, ...]] = field(default_factory=frozenset)  # parent indices under which it matters


class SearchSpace:
    """All sub-networks of a super-network: an ordered list of choices.

    Encoded architectures ("genes") hold, per position of each choice in order, an index into its values. Genes that
    another gene switches off are *inactive*; canonical architectures hold the first value there, so that each distinct
    sub-network has exactly one encoding.

    Args:
        choices: in any order; a rule may name later choices, but not in a cycle.
        translate: turns a configuration as the family's authors publish it into `{choice name: values}`.
    """

    def __init__(self, *choices: Choice, translate: Translation | None = None) -> None:
        if others := [choice for choice in choices if not isinstance(choice, Choice)]:
            raise ValueError(f"a search space is made of choices, as in SearchSpace(Choice(...)), got {others[0]!r}")
        names = [choice.name for choice in choices]
        if not choices or len(set(names)) != len(names):
            raise ValueError(f"a search space needs choices with distinct names, got {names}")
        self.choices = choices
        self._translate = translate
        self._offsets = dict(zip(names, itertools.accumulate([0] + [c.n_genes for c in choices]), strict=False))
        self._genes = [self._gene(choice, i) for choice in choices for i in range(choice.n_genes)]
        self._order = self._topological_order()
        self._counter = Counter(
            n_values=[sorted(set(gene.canonical)) for gene in self._genes],
            parents=[gene.parents for gene in self._genes],
            allowed=[gene.allowed for gene in self._genes],
            order=self._order,
        )

    # --- shape ---

    @property
    def n_genes(self) -> int:
        """Number of genes: positions of all choices, the columns of `encode`."""
        return len(self._genes)

    @property
    def labels(self) -> list[str]:
        """Name of each gene, as in `"ks[3]"`."""
        return [gene.label for gene in self._genes]

    @cached_property
    def n_values(self) -> NDArray[np.int64]:
        """Number of values of each gene, shape (n_genes,)."""
        return np.array([len(gene.values) for gene in self._genes], dtype=np.int64)

    @cached_property
    def fingerprint(self) -> str:
        """Digest of names, values and rules: equal for spaces that hold the same sub-networks."""
        described = json.dumps(self.describe(), sort_keys=True, default=repr)
        return hashlib.sha256(described.encode()).hexdigest()[:16]

    @property
    def size(self) -> int:
        """Number of distinct sub-networks (exact)."""
        return self._counter.size

    def choice(self, name: str) -> Choice:
        """The choice of this name. Raises ValueError where there is none."""
        for choice in self.choices:
            if choice.name == name:
                return choice
        raise ValueError(f"no choice {name!r}: this space has {', '.join(choice.name for choice in self.choices)}")

    def describe(self) -> dict[str, Any]:
        """The space as JSON-compatible data: choices, and for each gene its aliases and activity table."""
        return {
            "choices": [{"name": c.name, "values": list(c.values), "repeat": c.repeat} for c in self.choices],
            "genes": [
                {"canonical": list(g.canonical), "parents": list(g.parents), "allowed": sorted(map(list, g.allowed))}
                | ({} if g.values == c.values else {"values": list(g.values)})
                for g, c in zip(self._genes, (c for c in self.choices for _ in range(c.n_genes)), strict=True)
            ],
        }

    @classmethod
    def from_description(cls, description: Mapping[str, Any], translate: Translation | None = None) -> Self:
        """The space that `describe` described; the translation of published configurations is not part of it."""
        choices = [Choice(c["name"], tuple(c["values"]), c["repeat"]) for c in description["choices"]]
        labels = [(c, i) for c in choices for i in range(c.n_genes)]
        records = dict(zip([c.label(i) for c, i in labels], description["genes"], strict=True))

        def values_at(choice: Choice, position: int) -> tuple[Any, ...]:
            return tuple(frozen(records[choice.label(position)].get("values", choice.values)))

        def rules(choice: Choice) -> Choice:
            def active(position: int) -> When | None:
                record = records[choice.label(position)]
                if not record["parents"]:
                    return None
                parents = [labels[p] for p in record["parents"]]
                columns = [values_at(parent, i) for parent, i in parents]
                allowed = {tuple(v[i] for v, i in zip(columns, row, strict=True)) for row in record["allowed"]}
                return When(*((c.name, i) for c, i in parents), test=lambda *values: values in allowed)

            def aliases(position: int) -> dict[Any, Any]:
                values = values_at(choice, position)
                canonical = records[choice.label(position)]["canonical"]
                return {values[i]: values[j] for i, j in enumerate(canonical) if i != j}

            return Choice(choice.name, choice.values, choice.repeat, active, aliases, partial(values_at, choice))

        return cls(*(rules(choice) for choice in choices), translate=translate)

    @cached_property
    def smallest(self) -> Architecture:
        """The architecture with the first value of every gene."""
        return self.decode(np.zeros((1, self.n_genes), dtype=np.int64))[0]

    @cached_property
    def largest(self) -> Architecture:
        """The architecture with the last value of every gene."""
        return self.decode(self.n_values[None] - 1)[0]

    # --- architectures <-> genes ---

    def validate(self, mapping: Mapping[str, Any]) -> Architecture:
        """The canonical architecture that a mapping describes.

        Takes this space's vocabulary and the family's published configurations. A list of one may stand for a scalar,
        and a scalar for a repeated choice that has this value everywhere. What has one value only may be left out.

        Raises:
            ArchitectureError: (a ValueError) names the gene, the value and what is allowed.
        """
        if isinstance(mapping, Architecture) and mapping.origin == self.fingerprint:
            return mapping
        return self.decode(self._encode_one(mapping)[None])[0]

    def encode(self, architectures: Sequence[Mapping[str, Any]]) -> Genes:
        """Canonical genes, shape (n_architectures, n_genes). Raises ArchitectureError as `validate` does."""
        if isinstance(architectures, (Mapping, str)):
            raise ArchitectureError(f"expected a list of architectures, got one: {architectures!r}")
        if not len(architectures):
            return np.zeros((0, self.n_genes), dtype=np.int64)
        origin = self.fingerprint
        if all(isinstance(a, Architecture) and a.origin == origin for a in architectures):
            joined = b"".join(a.genes for a in architectures if isinstance(a, Architecture) and a.genes)
            return np.frombuffer(joined, dtype=np.uint16).reshape(-1, self.n_genes).astype(np.int64)
        return self.canonical(np.stack([self._encode_one(a) for a in architectures]))

    def genes_of(self, architectures: Sequence[Mapping[str, Any]] | Genes) -> Genes:
        """Canonical genes of architectures; genes stay as they are."""
        return architectures if isinstance(architectures, np.ndarray) else self.encode(architectures)

    def decode(self, genes: NDArray[np.integer[Any]]) -> list[Architecture]:
        """Canonical architectures of genes of shape (n_architectures, n_genes)."""
        rows = self.canonical(np.asarray(genes)).astype(np.uint16)
        origin, decode = self.fingerprint, self._values_of
        return [Architecture.encoded(row.tobytes(), origin, decode) for row in rows]

    def canonical(self, raw: NDArray[np.integer[Any]]) -> Genes:
        """Genes with aliases resolved and inactive genes set to the first value, same shape.

        Raises ArchitectureError for a wrong number of genes or an index out of range.
        """
        genes: Genes = np.array(raw, dtype=np.int64)
        if genes.ndim != 2 or genes.shape[1] != self.n_genes:
            raise ArchitectureError(f"genes must have shape (n, {self.n_genes}), got {genes.shape}")
        if ((genes < 0) | (genes >= self.n_values)).any():
            row, column = np.argwhere((genes < 0) | (genes >= self.n_values))[0]
            allowed = f"0..{self.n_values[column] - 1}"
            raise ArchitectureError(f"row {row}, {self.labels[column]}: index {genes[row, column]} is not in {allowed}")
        genes = self._canonical_values[np.arange(self.n_genes), genes]
        genes[~self.active(genes)] = 0
        return genes

    def active(self, genes: Genes) -> NDArray[np.bool_]:
        """Which genes matter, shape (n_architectures, n_genes)."""
        active = np.ones(genes.shape, dtype=bool)
        for columns, parents, tables in self._activity_tables:
            shape = tables.shape[1:]
            rows = np.ravel_multi_index(tuple(genes[:, p] for p in np.moveaxis(parents, 1, 0)), shape)
            allowed = tables.reshape(len(columns), -1)[np.arange(len(columns)), rows]
            active[:, columns] = allowed & active[:, parents].all(axis=2)
        return active

    def features(self, architectures: Sequence[Mapping[str, Any]] | Genes) -> NDArray[np.float32]:
        """Predictor features: one-hot per gene, zeros where the gene is inactive (as in arXiv:1908.09791).

        Takes architectures or canonical genes. Returns shape (n_architectures, sum of n_values), in gene order.
        """
        genes = self.genes_of(architectures)
        starts = np.concatenate([[0], np.cumsum(self.n_values)])
        features = np.zeros((len(genes), int(starts[-1])), dtype=np.float32)
        np.put_along_axis(features, genes + starts[:-1], self.active(genes).astype(np.float32), axis=1)
        return features

    @cached_property
    def switchable(self) -> NDArray[np.bool_]:
        """Which genes another gene can make inactive, shape (n_genes,)."""
        return np.array([bool(gene.parents) for gene in self._genes])

    @property
    def switches(self) -> list[int]:
        """Positions of the genes that can make others inactive, ascending."""
        return sorted({parent for gene in self._genes for parent in gene.parents})

    def with_controllers(self, genes: Sequence[int]) -> list[int]:
        """These genes and all that may switch them off, ascending."""
        found = set(genes)
        for gene in reversed(self._order):
            if gene in found:
                found.update(self._genes[gene].parents)
        return sorted(found)

    # --- drawing ---

    def sample(self, n: int, seed: int | np.random.Generator = 0) -> list[Architecture]:
        """`n` distinct architectures, uniform over the distinct sub-networks, without replacement.

        Raises ValueError where the space holds fewer than `n`.
        """
        return self.decode(self.sample_genes(n, np.random.default_rng(seed)))

    def sample_genes(self, n: int, rng: np.random.Generator) -> Genes:
        """As `sample`, encoded: shape (n, n_genes)."""
        if not 0 <= n <= self.size:
            raise ValueError(f"cannot draw {n} distinct sub-networks: the space holds {self.size}")
        if self.size <= max(4 * n, 4096):
            return self._counter.unrank(rng.permutation(self.size)[:n])
        drawn = np.zeros((0, self.n_genes), dtype=np.int64)
        while len(drawn) < n:
            drawn = np.concatenate([drawn, self._counter.draw(n + n // 8 + 8, rng)])
            first = dict(zip(reversed([row.tobytes() for row in drawn]), range(len(drawn) - 1, -1, -1), strict=True))
            drawn = drawn[sorted(first.values())]
        return drawn[:n]

    def enumerate(self) -> Genes:
        """All distinct sub-networks, encoded, shape (size, n_genes). Raises ValueError above a million."""
        if self.size > 1_000_000:
            raise ValueError(f"the space holds {self.size} sub-networks: too many to enumerate")
        return self._counter.unrank(np.arange(self.size))

    # --- internals ---

    def _position(self, parent: str | tuple[str, int], label: str) -> int:
        name, i = (parent, 0) if isinstance(parent, str) else parent
        choice = next((c for c in self.choices if c.name == name), None)
        if choice is None or not 0 <= i < choice.n_genes:
            raise ValueError(f"the activity rule of {label} names {parent!r}, which is no gene of this space")
        return self._offsets[name] + i

    def _gene(self, choice: Choice, position: int) -> _Gene:
        label = choice.label(position)
        aliases = choice.aliases(position) if choice.aliases else {}
        values = choice.values_at(position)
        if not values:
            raise ValueError(f"{label}: none of {choice.values} is possible there")
        same = [aliases.get(value, value) for value in values]
        canonical = tuple((values if value in values else same).index(value) for value in same)
        rule = choice.active(position) if choice.active else None
        if rule is None:
            return _Gene(label, values, canonical)
        parents = tuple(self._position(parent, label) for parent in rule.parents)
        values_of = [c.values_at(i) for c in self.choices for i in range(c.n_genes)]
        combinations = itertools.product(*(enumerate(values_of[p]) for p in parents))
        allowed = frozenset(
            tuple(i for i, _ in combination) for combination in combinations if rule.test(*(v for _, v in combination))
        )
        return _Gene(label, values, canonical, parents, allowed)

    def _topological_order(self) -> list[int]:
        order: list[int] = []
        pending = list(range(len(self._genes)))
        while pending:
            ready = [g for g in pending if all(p in order for p in self._genes[g].parents)]
            if not ready:
                raise ValueError(f"activity rules form a cycle among {[self._genes[g].label for g in pending]}")
            order += ready
            pending = [g for g in pending if g not in ready]
        return order

    @cached_property
    def _canonical_values(self) -> Genes:
        table = np.zeros((self.n_genes, int(self.n_values.max())), dtype=np.int64)
        for row, gene in zip(table, self._genes, strict=True):
            row[: len(gene.canonical)] = gene.canonical
        return table

    @cached_property
    def _activity_tables(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]]:
        """Genes with rules, in groups that are evaluated at once: columns, their parents, tables over parent values."""
        level: dict[int, int] = {}
        groups: dict[tuple[Any, ...], list[int]] = {}
        for g in self._order:
            gene = self._genes[g]
            level[g] = 1 + max((level[p] for p in gene.parents), default=-1)
            if gene.parents:
                groups.setdefault((level[g], *(self.n_values[p] for p in gene.parents)), []).append(g)
        tables = []
        for (_, *shape), columns in sorted(groups.items()):
            table = np.zeros((len(columns), *shape), dtype=bool)
            for row, g in zip(table, columns, strict=True):
                for indices in self._genes[g].allowed:
                    row[indices] = True
            tables.append((np.array(columns), np.array([self._genes[g].parents for g in columns]), table))
        return tables

    def _values_of(self, genes: bytes) -> dict[str, Any]:
        """Values of one encoded architecture (as `Architecture.genes` holds it), by choice."""
        indices = np.frombuffer(genes, dtype=np.uint16).tolist()
        held = [values[i] for values, i in zip(self._gene_values, indices, strict=True)]
        return {
            choice.name: held[start] if choice.repeat is None else tuple(held[start : start + choice.n_genes])
            for choice, start in zip(self.choices, self._offsets.values(), strict=True)
        }

    @cached_property
    def _gene_values(self) -> list[tuple[Any, ...]]:
        return [gene.values for gene in self._genes]

    def _encode_one(self, mapping: Mapping[str, Any]) -> Genes:
        if not isinstance(mapping, Mapping):
            raise ArchitectureError(f"an architecture maps choices to values, got {mapping!r}")
        values = self._translate(mapping) if self._translate else mapping
        names = [choice.name for choice in self.choices]
        if unknown := [name for name in values if name not in names]:
            raise ArchitectureError(f"unknown choice {unknown[0]!r}: this space has {', '.join(names)}")
        return np.concatenate([self._encode_choice(choice, values) for choice in self.choices])

    def _encode_choice(self, choice: Choice, values: Mapping[str, Any]) -> Genes:
        if choice.name not in values and len(choice.values) > 1:
            raise ArchitectureError(f"{choice.name} is missing: allowed values are {choice.values}")
        value = frozen(values.get(choice.name, choice.values[0]))
        listed = value if isinstance(value, tuple) and value not in choice.values else (value,) * choice.n_genes
        if len(listed) != choice.n_genes:
            raise ArchitectureError(f"{choice.name} needs {choice.n_genes} values, got {len(listed)}: {value!r}")
        return np.array([self._index(choice, i, one) for i, one in enumerate(listed)], dtype=np.int64)

    @staticmethod
    def _index(choice: Choice, position: int, value: Any) -> int:
        values = choice.values_at(position)
        for index, allowed in enumerate(values):
            if allowed == value and isinstance(allowed, bool) == isinstance(value, bool):
                return index
        raise ArchitectureError(f"{choice.label(position)}: {value!r} is not one of {values}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.describe(), self._translate)

    def __repr__(self) -> str:
        choices = ", ".join(f"{c.name}{'' if c.repeat is None else f'[{c.repeat}]'}{c.values}" for c in self.choices)
        size = f"{self.size:.4g}" if self.size < _MOST_OF_FLOAT else f"about 10^{math.log10(self.size):.0f}"
        return f"SearchSpace({choices}; size {size})"


def _restored(cls: type[SearchSpace], description: Mapping[str, Any], translate: Translation | None) -> SearchSpace:
    return cls.from_description(description, translate)
