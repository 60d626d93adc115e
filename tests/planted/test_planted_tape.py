"""Classic mistakes around the tape, planted one at a time: values that leave it unseen."""

from __future__ import annotations

from typing import Any

import numpy as np
from suite import Patch, Plant, assert_caught, changed, each_of, replace, test_of

import minigen as mg
from minigen.autograd import primitive, tape, writes
from minigen.autograd.fused import Fused
from minigen.autograd.operation import Operation, functions, registry
from minigen.autograd.tensor import Tensor
from minigen.ops import kernel as kernels

LEAVING = "autograd/test_leaving_the_tape.py"
CALLING = "autograd/test_calling_ops.py"
RULES = "autograd/test_what_a_rule_returns.py"
WRITES = "autograd/test_writes.py"


def written(self: Tensor, index: Any, value: Any) -> None:
    """A write that takes the values of whatever comes."""
    self._check_writable()
    self.data[index] = value.data if isinstance(value, Tensor) else value


def rebound(self: Tensor, function: Any, other: Any) -> Tensor:
    """``+=`` as Python does it for what has none: a new object under the old name."""
    return function(self, other)


def swallowed(self: Operation, inputs: Any, given: Any) -> Any:
    """Inputs by name are options, as the forward function takes them."""
    return inputs, {name: getattr(v, "data", v) for name, v in given.items()}


def flat(patch: Patch) -> None:
    """``piecewise`` is ignored."""
    for op in registry.values():
        if getattr(op, "piecewise", False):
            patch.setattr(op, "piecewise", False)


def unqualified(function: Any) -> Any:
    """``kernel`` that goes by the function's own name."""
    function.__module__ = "minigen.ops.somewhere"
    return registered(function)


registered = kernels.kernel


def forgetful(extents: Any, most: int = 64) -> None:
    """The oldest writes are dropped when there are many."""
    for stretch in list(extents)[:most]:
        del extents[stretch]


PLANTS = [
    Plant(
        "a write takes the values of a tensor that requires grad",
        replace(Tensor, "_write", written),
        test_of(
            LEAVING,
            "test_writing_what_requires_grad_into_plain_memory_is_refused_in_one_line",
            lambda: lambda b, w: b.copy_(w * 3),
        ),
    ),
    Plant(
        "an augmented assignment binds a name to a new tensor",
        replace(Tensor, "_update", rebound),
        test_of(LEAVING, "test_augmented_assignment_writes_in_place_where_writing_is_allowed",
                "isub", lambda: [-1, 0, 1]),
    ),
    Plant(
        "a new leaf takes the values of tensors that require grad",
        replace(mg.ops.creation, "is_grad_enabled", lambda: False),
        test_of(LEAVING, "test_a_leaf_made_of_what_requires_grad_is_refused",
                lambda: lambda w: mg.tensor([w, w * w])),
    ),
    Plant(
        "NumPy is handed the memory of a tensor that requires grad",
        replace(Tensor, "__array__", lambda self, dtype=None, copy=None: np.array(self.data)),
        test_of(LEAVING, "test_numpys_functions_refuse_a_tensor_that_requires_grad",
                lambda: lambda w: np.stack([w, w])),
    ),
    Plant(
        "an input given by name is an option",
        replace(Operation, "_bind", swallowed),
        test_of(CALLING, "test_inputs_given_by_name_are_on_the_tape"),
    ),
    Plant(
        "an option may be a tensor that requires grad",
        replace(Operation, "_refuse_tensors", lambda self, options: None),
        test_of(CALLING, "test_what_an_op_does_not_know_is_refused_by_name",
                lambda: lambda w: functions.clip(w, min=w[0], max=2),
                "clip: min must be a plain value, not a tensor, whose gradient would be lost; use "
                "min.item() for its value"),
    ),
    Plant(
        "gradients are not summed to the shapes of the inputs",
        replace(tape, "_summed_to", lambda f, grad, shape, node: grad),
        test_of(RULES, "test_a_fused_op_that_broadcasts_gives_gradients_of_its_inputs_shapes"),
    ),
    Plant(
        "a gradient for each input is taken on trust",
        changed(Fused, "gradients", lambda original, self, node, *rest, **options: [
            *original(self, node, *rest, **options), *[None] * 9][: len(node.inputs)]),
        test_of(RULES, "test_a_backward_kernel_that_cannot_be_right_is_named",
                lambda: lambda b, g, inputs, saved, needs: (g,),
                "a gradient for each of its 2 inputs, got 1"),
    ),
    Plant(
        "a kernel of one's own is looked up by its bare name",
        replace(kernels, "kernel", unqualified),
        test_of(RULES, "test_a_kernel_of_ones_own_is_not_taken_for_minigens_of_the_same_name"),
    ),
    Plant(
        "a piecewise linear function has no second derivative",
        flat,
        test_of(RULES, "test_second_derivatives_of_piecewise_linear_functions_are_zeros"),
    ),
    Plant(
        "zeros are left out of the gradients",
        replace(tape, "_add_zeros", lambda *arguments: None),
        test_of(RULES, "test_second_derivatives_of_piecewise_linear_functions_are_zeros"),
    ),
    Plant(
        "old writes are forgotten",
        replace(writes, "_merge", forgetful),
        test_of(WRITES, "test_a_memory_with_very_many_written_stretches_counts_as_written_whole"),
    ),
    Plant(
        "an index that was kept is not watched",
        replace(primitive.Primitive, "kept", lambda self, node: iter(node.saved)),
        test_of(WRITES,
                "test_an_index_that_is_overwritten_before_the_backward_pass_is_noticed"),
    ),
    Plant(
        "a gradient is added to without a note",
        replace(mg.autograd.gradients, "note_write", lambda array: None),
        test_of(WRITES, "test_a_gradient_that_another_backward_pass_adds_to_is_watched"),
    ),
    Plant(
        "memory without an owner is known by the first view",
        replace(writes, "_extents", lambda array, new: writes._written.setdefault(
            id(array), (array, {}))[1]),
        test_of(WRITES,
                "test_memory_that_belongs_to_another_library_is_watched_through_every_view"),
    ),
]  # fmt: skip


@each_of(PLANTS)
def test_a_planted_mistake_is_caught_by_a_named_check(plant):
    assert_caught(plant, RuntimeError, TypeError, ValueError, IndexError)
