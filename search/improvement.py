"""Expected hypervolume improvement in closed form, for any number of objectives."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Floats = NDArray[np.float64]
_ROOT_OF_TAU = np.sqrt(2.0 * np.pi)


@dataclass(frozen=True, eq=False)
class Region:
    """The region that minimised points dominate, up to a reference point, decomposed into disjoint boxes.

    Kept as local upper bounds and their defining points: Lacour, Klamroth & Fonseca (2017), Computers & Operations
    Research 79.

    Args:
        reference: shape (n_objectives,).
        bounds: local upper bounds of the region that is not dominated, shape (n_bounds, n_objectives).
        defining: the point that defines each bound in each objective, shape (n_bounds, n_objectives, n_objectives).
    """

    reference: Floats
    bounds: Floats
    defining: Floats

    @classmethod
    def of(cls, reference: Floats, points: Floats) -> "Region":
        """The region of points of shape (n, n_objectives), which may be dominated or beyond the reference."""
        m = len(reference)
        defining = np.full((1, m, m), -np.inf)
        defining[0, np.arange(m), np.arange(m)] = reference
        region = cls(reference, reference[None].copy(), defining)
        for point in points[np.lexsort(points.T[::-1])]:
            region = region.with_point(point)
        return region

    def with_point(self, point: Floats) -> "Region":
        """The region with one more point."""
        inside = (point < self.bounds).all(axis=1)
        if not inside.any():
            return self
        bounds, defining = [self.bounds[~inside]], [self.defining[~inside]]
        old, old_defining = self.bounds[inside], self.defining[inside]
        for j in range(len(point)):
            others = np.delete(old_defining[:, :, j], j, axis=1)
            proper = point[j] >= others.max(axis=1, initial=-np.inf)
            moved, moved_defining = old[proper].copy(), old_defining[proper].copy()
            moved[:, j], moved_defining[:, j] = point[j], point
            bounds.append(moved)
            defining.append(moved_defining)
        return Region(self.reference, np.concatenate(bounds), np.concatenate(defining))

    @property
    def boxes(self) -> tuple[Floats, Floats]:
        """Lower and upper corners of disjoint boxes that make up the region, each of shape (n_boxes, n_objectives)."""
        lower, upper = self.bounds.copy(), self.bounds.copy()
        upper[:, 0] = self.reference[0]
        for j in range(1, len(self.reference)):
            lower[:, j] = self.defining[:, :j, j].max(axis=1)
        filled = (upper > lower).all(axis=1)
        return lower[filled], upper[filled]

    def expected_improvement(self, mean: Floats, std: Floats) -> Floats:
        """Expected hypervolume improvement of normally distributed points, in closed form.

        The expected part of a box with corners a, b that a point y dominates is prod_j E[(b_j - max(a_j, y_j))+]. The
        improvement is that of the whole orthant below the reference, less those of the region's boxes. For one
        objective it is the expected improvement (Mockus, 1975), for `std` 0 the hypervolume improvement.

        Args:
            mean: shape (n, n_objectives), minimised.
            std: of each objective, independent of the others, same shape.

        Returns: shape (n,).
        """
        lower, upper = self.boxes
        covered = np.ones((len(mean), len(lower)))
        total = np.ones(len(mean))
        for j, reference in enumerate(self.reference):
            edges, places = np.unique(np.concatenate([lower[:, j], upper[:, j], [reference]]), return_inverse=True)
            reach = _expected_excess(edges, mean[:, j], std[:, j])
            below, above = places[: len(lower)], places[len(lower) : -1]
            covered *= reach[:, above] - reach[:, below]
            total *= reach[:, places[-1]]
        return np.asarray(np.maximum(total - covered.sum(axis=1), 0.0))


def _expected_excess(edges: Floats, mean: Floats, std: Floats) -> Floats:
    """E[(edge - y)+] for y ~ N(mean, std^2), shape (len(mean), len(edges))."""
    gap = edges - mean[:, None]
    if not std.any():
        return np.maximum(gap, 0.0)
    spread = np.maximum(std, 1e-300)[:, None]
    z = np.clip(gap / spread, -40.0, 40.0)
    normal = spread * (z * ndtr(z) + np.exp(-0.5 * z * z) / _ROOT_OF_TAU)
    return np.where(gap / spread > 40.0, gap, np.where(gap / spread < -40.0, 0.0, normal))
