"""Labels of horizontal lines: apart from one another, outside the panel, near their line."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minigen.plots.curves import curves_figure, spread_out

PLACES = st.lists(st.floats(0, 300), min_size=1, max_size=8)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PLACES)
def test_places_are_moved_apart_keep_their_order_and_stay_within(places: list[float]) -> None:
    given = np.array(places)
    moved = spread_out(given, 13.0, 0.0, 300.0)
    order = np.argsort(given, kind="stable")
    assert (np.diff(moved[order]) >= 13.0 - 1e-9).all()
    assert moved.min() >= -1e-9
    assert moved.max() <= 300 + 1e-9


def test_places_that_are_apart_already_stay_and_a_pair_too_close_moves_evenly() -> None:
    np.testing.assert_allclose(spread_out(np.array([90.0, 10.0]), 13, 0, 300), [90, 10])
    np.testing.assert_allclose(spread_out(np.array([50.0, 51.0]), 13, 0, 300), [44, 57])
    np.testing.assert_allclose(spread_out(np.array([1.0, 1.0]), 13, 0, 300), [0, 13])
    np.testing.assert_allclose(spread_out(np.array([300.0, 300.0]), 13, 0, 300), [287, 300])


def test_no_label_lies_on_another_on_a_panel_or_outside_the_picture() -> None:
    oracles = {"3-gram": 2.05, "4-gram": 1.77, "5-gram": 1.67, "below: a leak": 1.4, "twin": 1.68}
    records = [
        *(
            {"step": 0, "split": "oracle", "metric": "nll", "label": label, "value": value}
            for label, value in oracles.items()
        ),
        *({"step": s, "split": "train", "nll": 1.7 + 2 / s, "kl": 1.0 / s} for s in range(1, 99)),
        {"step": 98, "split": "val", "nll": 1.72},
    ]
    for metrics in (["nll"], ["nll", "kl"]):
        figure = curves_figure(records, metrics, "t")
        figure.canvas.draw()
        labels = [text for axes in figure.axes for text in axes.texts]
        assert len(labels) == len(oracles)
        # the text alone: an annotation's own extent has its leader with it
        boxes = [type(text).__mro__[1].get_window_extent(text) for text in labels]
        for index, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[index + 1 :])
            assert not any(box.overlaps(axes.get_window_extent()) for axes in figure.axes)
            assert box.x1 <= figure.bbox.x1
