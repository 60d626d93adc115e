"""Embedding: a table from which rows are read by number."""

from __future__ import annotations

from typing import Any

from minigen.autograd.tensor import Tensor
from minigen.nn import init
from minigen.nn._arguments import positive
from minigen.nn.module import Module
from minigen.nn.parameter import Parameter
from minigen.ops._arguments import one_dim
from minigen.ops.creation import empty
from minigen.ops.indexing import embedding
from minigen.ops.random import Generator

__all__ = ["Embedding"]


class Embedding(Module):
    """Row ``input[…]`` of a learned table: (…) integers -> (…, embedding_dim).

    Args:
        num_embeddings: rows of the table.
        embedding_dim: length of a row.
        padding_idx: the number of a row that starts as zeros and gets no gradient, or None.
        generator: where the initial weights come from.

    Attributes:
        weight: (num_embeddings, embedding_dim), starts as N(0, 1).
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        positive("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.weight = Parameter(empty(num_embeddings, embedding_dim))
        init.normal_(self.weight, generator=generator)
        self.padding_idx = None
        if padding_idx is not None:
            self.padding_idx = one_dim(padding_idx, num_embeddings, "Embedding: padding_idx")
            self.weight.data[self.padding_idx] = 0

    def forward(self, input: Tensor) -> Tensor:
        """(…) -> (…, embedding_dim)."""
        if not isinstance(input, Tensor) or input.dtype.kind not in "iu":
            kind: Any = getattr(input, "dtype", type(input).__name__)
            raise TypeError(f"Embedding: input must be an integer tensor, got {kind}")
        return embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.num_embeddings}, {self.embedding_dim}"
