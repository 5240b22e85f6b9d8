"""Tables of learned vectors, from which indices choose."""

from mytorch.nn.embedding.embedding import Embedding
from mytorch.nn.embedding.embedding_bag import EmbeddingBag

__all__ = ["Embedding", "EmbeddingBag"]
