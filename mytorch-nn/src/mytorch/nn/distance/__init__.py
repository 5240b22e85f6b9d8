"""Distances and similarities between pairs of vectors."""

from mytorch.nn.distance.cosine_similarity import CosineSimilarity
from mytorch.nn.distance.pairwise_distance import PairwiseDistance

__all__ = ["CosineSimilarity", "PairwiseDistance"]
