"""The tables inside the package are the published ones, and their splits are clean."""

import numpy as np
import pytest

from minigen.data import SPLITS, load, tables

PUBLISHED = {
    "wine": ((178, 13), [59, 71, 48], [14.23, 1.71, 2.43, 15.6, 127, 2.8], (118, 30, 30)),
    "breast-cancer": (
        (569, 30),
        [212, 357],
        [17.99, 10.38, 122.8, 1001, 0.1184, 0.2776],
        (399, 85, 85),
    ),
}
NAMES = pytest.mark.parametrize("name", PUBLISHED)


def published(name: str) -> tuple[np.ndarray, np.ndarray]:
    with np.load(tables.FOLDER / f"{name}.npz", allow_pickle=False) as file:
        return file["rows"], file["labels"]


@NAMES
def test_the_file_holds_the_published_table(name):
    shape, classes, first_row, _ = PUBLISHED[name]
    rows, labels = published(name)
    assert rows.shape == shape
    assert np.bincount(labels).tolist() == classes
    assert rows[0, :6].tolist() == first_row


@NAMES
def test_no_row_is_in_two_splits_and_none_is_lost(name):
    (count, columns), _, _, sizes = PUBLISHED[name]
    parts = [load(name, split).data for split in SPLITS]
    assert [part.shape for part in parts] == [(size, columns) for size in sizes]
    assert len(np.unique(np.concatenate(parts), axis=0)) == count  # all rows differ
    numbers = np.concatenate(list(tables.row_numbers(name, count).values()))
    assert sorted(numbers) == list(range(count))


@NAMES
def test_columns_are_standardised_by_the_training_rows_alone(name):
    train = load(name).data
    np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(train.std(axis=0), 1, atol=1e-5)
    rows, _ = published(name)
    numbers = tables.row_numbers(name, len(rows))
    used = rows[numbers["train"]]
    back = load(name, "val").data * used.std(axis=0) + used.mean(axis=0)
    np.testing.assert_allclose(back, rows[numbers["val"]], rtol=1e-4, atol=1e-4)
    assert np.abs(load(name, "val").data.mean(axis=0)).max() > 0.01  # val has no say


@NAMES
def test_a_label_stays_with_its_row_and_every_class_is_in_every_split(name):
    rows, labels = published(name)
    numbers = tables.row_numbers(name, len(rows))
    for split in SPLITS:
        part = load(name, split)
        assert part.labels is not None
        np.testing.assert_array_equal(part.labels, labels[numbers[split]])
        assert np.bincount(part.labels, minlength=labels.max() + 1).min() >= 5


@NAMES
def test_source_and_licence_lie_beside_the_file(name):
    text = (tables.FOLDER / f"{name}.md").read_text()
    assert "https://doi.org/10.24432/" in text
    assert "CC BY 4.0" in text
