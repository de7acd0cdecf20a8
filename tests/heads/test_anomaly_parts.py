"""What finds defects, part by part, against slow loops and other libraries."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.covariance import EmpiricalCovariance

from sightline.system.errors import UserError
from sightline.training.heads.anomaly.coreset import coreset
from sightline.training.heads.anomaly.maps import Layout, heat_of
from sightline.training.heads.anomaly.padim import PlaceGaussians, gaussians_of
from sightline.training.heads.anomaly.patch_core import PatchMemory, memory_of
from sightline.training.heads.anomaly.scaling import Scaling, scaling_of
from sightline.training.heads.anomaly.threshold import threshold_of

RANDOM = np.random.default_rng(0)


def test_the_coreset_takes_the_farthest_point_each_time() -> None:
    points = RANDOM.normal(size=(80, 5)).astype(np.float32)
    chosen = coreset(points, 12, seed=0)
    taken = [int(np.linalg.norm(points - points.mean(0), axis=1).argmin())]
    for _ in range(11):
        apart = [min(float(np.linalg.norm(own - points[other])) for other in taken) for own in points]
        taken.append(int(np.argmax(apart)))
    assert chosen.tolist() == taken


def test_a_coreset_has_no_point_twice_and_its_projection_keeps_it_good() -> None:
    same = np.ones((30, 3), np.float32)
    assert sorted(coreset(same, 30, 0).tolist()) == list(range(30))
    wide = RANDOM.normal(size=(400, 600)).astype(np.float32)
    wide[:, :4] *= 40  # what varies is in a few directions

    def radius(chosen: np.ndarray) -> float:  # type: ignore[type-arg]
        return float(np.linalg.norm(wide[:, None] - wide[chosen], axis=2).min(1).max())

    greedy, drawn = radius(coreset(wide, 40, 0)), radius(RANDOM.permutation(400)[:40])
    assert greedy < 0.85 * drawn
    assert coreset(wide, 40, 0).tolist() == coreset(wide, 40, 0).tolist() != coreset(wide, 40, 1).tolist()


@pytest.mark.parametrize("neighbours", [1, 3, 50])
def test_patch_core_scores_are_those_of_a_loop(neighbours: int) -> None:
    memory = RANDOM.normal(size=(20, 4)).astype(np.float32)
    scaling = Scaling(np.full(4, 0.5, np.float32), np.full(4, 2.0, np.float32))
    patches = RANDOM.normal(size=(5, 9, 4)).astype(np.float32)
    scores, places = PatchMemory(memory, scaling, neighbours).score(patches)
    for image in range(5):
        points = (patches[image] - 0.5) / 2
        apart = np.linalg.norm(points[:, None] - memory, axis=2)
        np.testing.assert_allclose(places[image], apart.min(1), rtol=1e-4)
        worst = int(apart.min(1).argmax())
        nearest, distance = int(apart[worst].argmin()), float(apart[worst].min())
        around = np.argsort(np.linalg.norm(memory - memory[nearest], axis=1))[: min(neighbours, 20)]
        weight = 1 - np.exp(distance) / np.exp(apart[worst, around]).sum() if neighbours > 1 else 1
        assert scores[image] == pytest.approx(weight * distance, rel=1e-4)


def test_a_place_of_the_memory_has_no_distance() -> None:
    candidates = RANDOM.normal(3, 2, size=(200, 6)).astype(np.float32)
    memory = memory_of(candidates, 1.0, 9, standardize=True, seed=0)
    assert memory.memory.std(0) == pytest.approx(np.ones(6), abs=1e-4)
    scores, places = memory.score(candidates[None])
    assert places.max() < 2e-3
    assert scores.max() < 2e-3
    few = memory_of(candidates, 0.1, 9, standardize=False, seed=0)
    assert len(few.memory) == 20
    assert {tuple(row) for row in few.memory.tolist()} < {tuple(row) for row in candidates.tolist()}


@pytest.mark.parametrize("standardize", [True, False])
def test_padim_distances_are_those_of_scikit_learn(standardize: bool) -> None:
    """Place by place, the Mahalanobis distance from the empirical covariance with the constant on its diagonal."""
    train = RANDOM.normal(2, 3, size=(30, 6, 5)).astype(np.float32) @ RANDOM.normal(size=(5, 5)).astype(np.float32)
    tested = RANDOM.normal(2, 5, size=(4, 6, 5)).astype(np.float32)
    fitted = gaussians_of(lambda: iter([train[:17], train[17:]]), 6, 5, 99, 0.01, standardize, seed=0)
    nothing, distances = fitted.score(tested)
    assert nothing is None
    scaling = scaling_of(train.reshape(-1, 5)) if standardize else Scaling.none(5)
    for place in range(6):
        own = EmpiricalCovariance().fit(scaling(train[:, place]).astype(float))
        own._set_covariance(np.cov(scaling(train[:, place]).astype(float).T) + 0.01 * np.eye(5))
        np.testing.assert_allclose(distances[:, place] ** 2, own.mahalanobis(scaling(tested[:, place])), rtol=2e-3)


def test_padim_draws_channels_and_needs_few_images() -> None:
    train = RANDOM.normal(size=(4, 3, 40)).astype(np.float32)
    fitted, other = (gaussians_of(lambda: iter([train]), 3, 40, 10, 0.01, True, seed) for seed in (0, 1))
    assert len(set(fitted.channels.tolist())) == 10
    assert fitted.channels.tolist() != other.channels.tolist()
    assert np.isfinite(fitted.score(train)[1]).all()
    again = PlaceGaussians.from_tensors(fitted.tensors())
    np.testing.assert_array_equal(again.score(train)[1], fitted.score(train)[1])
    with pytest.raises(UserError, match=r"channels: 500: 3,136 places .* lower channels, or embed at most 16 x 16"):
        gaussians_of(lambda: iter([train]), 56 * 56, 600, 500, 0.01, True, 0)


def test_maps_are_averaged_enlarged_and_joined() -> None:
    fine, coarse = (RANDOM.normal(size=(2, *shape)).astype(np.float32) for shape in ((3, 6, 6), (2, 3, 3)))
    layout = Layout(((3, 6, 6), (2, 3, 3)), 3)
    assert (layout.grid, layout.places, layout.channels) == ((6, 6), 36, 5)
    patches = layout.patches([fine.reshape(2, -1), coarse.reshape(2, -1)]).reshape(2, 6, 6, 5)
    for row, column in ((0, 0), (2, 3), (5, 4)):
        part = fine[:, :, max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
        np.testing.assert_allclose(patches[:, row, column, :3], part.mean((2, 3)), rtol=1e-5, atol=1e-6)
    averaged = Layout(((2, 3, 3),), 3).patches([coarse.reshape(2, -1)]).reshape(2, 3, 3, 2)
    np.testing.assert_allclose(patches[:, 0, 0, 3:], averaged[:, 0, 0], rtol=1e-5, atol=1e-6)
    between = 0.75 * averaged[:, 1, 1] + 0.25 * averaged[:, 1, 0]  # the centre of column 2 is 0.75 from column 0
    np.testing.assert_allclose(patches[:, 2:4, 2, 3:].mean(1), between, rtol=0.5, atol=0.3)


def test_a_heat_map_is_warm_where_its_place_is() -> None:
    scores = np.zeros((1, 16), np.float32)
    scores[0, 6] = 5  # row 1, column 2
    sharp, soft = (heat_of(scores, (4, 4), 32, blur)[0] for blur in (0.0, 4.0))
    for heat in (sharp, soft):
        assert heat.shape == (32, 32)
        row, column = np.unravel_index(heat.argmax(), heat.shape)
        assert abs(row - 11.5) <= 1
        assert abs(column - 19.5) <= 1
    assert soft.max() < sharp.max() == pytest.approx(5, rel=0.2)


@pytest.mark.parametrize(("count", "asked"), [(19, 0.05), (99, 0.05), (40, 0.1), (7, 0.05)])
def test_false_alarms_are_as_asked_on_average(count: int, asked: float) -> None:
    draws = RANDOM.normal(size=(6000, count + 1)).astype(np.float32)
    found = [threshold_of(own[:-1], asked) for own in draws]
    rate = np.mean([own[-1] > threshold.value for own, threshold in zip(draws, found, strict=True)])
    assert rate == pytest.approx(found[0].expected, abs=4 * (found[0].expected / 6000) ** 0.5)
    assert found[0].expected <= max(asked, 1 / (count + 1)) + 1e-9
    assert SimpleNamespace(**vars(found[0])).images == count
