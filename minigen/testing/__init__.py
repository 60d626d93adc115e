"""For tests of one's own ops and models: are the gradients what they claim to be?

:func:`check_grads` compares them with finite differences, to any order;
:func:`check_create_graph` compares the two ways in which the engine runs a gradient rule.
"""

from minigen.testing.agreement import check_create_graph
from minigen.testing.gradients import check_grads

__all__ = ["check_create_graph", "check_grads"]
