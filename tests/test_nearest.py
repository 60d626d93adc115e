"""A name that minigen does not have is answered in one line, with the nearest one that it has."""

from __future__ import annotations

import subprocess
import sys

import pytest

import minigen as mg
import minigen.nn.functional as F

WRONG = [
    (mg, "cros_entropy", "mg has no 'cros_entropy'; the nearest name is mg.cross_entropy"),
    (mg, "Linear", "mg has no 'Linear'; the nearest name is mg.nn.Linear"),
    (mg, "AdamW", "mg has no 'AdamW'; the nearest name is mg.optim.AdamW"),
    (mg, "vector_norm", "mg has no 'vector_norm'; the nearest name is mg.linalg.vector_norm"),
    (mg, "is_leaf", "mg has no 'is_leaf'; the nearest name is x.is_leaf"),
    (mg.nn, "Conv3d", "mg.nn has no 'Conv3d'; the nearest name is mg.nn.Conv"),
    (mg.nn, "relu6", "mg.nn has no 'relu6'; the nearest name is mg.nn.functional.relu6"),
    (F, "leaky_rel", "mg.nn.functional has no 'leaky_rel'; the nearest name is mg.nn.functional."),
    (
        mg.linalg,
        "cholesky_ex",
        "mg.linalg has no 'cholesky_ex'; the nearest name is mg.linalg.",
    ),
    (mg.optim, "Adagrad", "mg.optim has no 'Adagrad'; the nearest name is mg.optim.Ada"),
    (mg.ones(2), "matmull", "a tensor has no 'matmull'; the nearest name is x.matmul"),
]


@pytest.mark.parametrize(("owner", "name", "words"), WRONG, ids=[name for _, name, _ in WRONG])
def test_the_nearest_name_is_named(owner, name, words):
    assert not hasattr(owner, name)
    with pytest.raises(AttributeError) as caught:
        getattr(owner, name)
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)


def test_names_with_an_underscore_are_asked_by_tools_and_get_no_advice():
    for owner in (mg, mg.nn, mg.ones(2)):
        with pytest.raises(AttributeError) as caught:
            owner._repr_html_  # noqa: B018
        assert "nearest" not in str(caught.value)


def test_functional_holds_the_same_functions():
    for name in F.__all__:
        assert getattr(F, name) is getattr(mg, name)


def test_a_package_is_loaded_when_it_is_first_named_and_not_before():
    code = (
        "import sys, minigen as mg; assert 'minigen.testing' not in sys.modules; "
        "assert 'difflib' not in sys.modules; mg.testing.check_grads"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
