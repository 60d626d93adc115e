"""For tests of one's own ops and models: are the gradients what they claim to be?

:func:`check_grads` compares them with finite differences, to any order;
:func:`check_create_graph` compares the two ways in which the engine runs a gradient rule;
:func:`check_model` does all of that, and more, with a whole model and its loss in one call.
"""

from minigen.testing.agreement import check_create_graph
from minigen.testing.gradients import check_grads
from minigen.testing.models import ModelReport, check_model

__all__ = ["ModelReport", "check_create_graph", "check_grads", "check_model"]
