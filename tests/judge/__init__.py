"""PyTorch's own test inputs, run through every op, module and optimizer of the same name.

PyTorch is tested with tables of inputs: ``op_db`` (for each op: samples, reference inputs and
inputs that must raise), ``module_db`` and ``optim_db``. Here minigen sits the same exam, with
PyTorch's answer as the right one: value, dtype, gradient and the gradient of the gradient.

A call ends in one of four ways:

==========  =====================================================================================
equal       what PyTorch computes
refused     one clear line: minigen does not have this option; must stand in ``deviations.py``
wrong       another number, shape or dtype; or a value where PyTorch raises
crash       an exception that is no answer: of another kind, or with a text from the machine room
==========  =====================================================================================

``convert.py`` carries arguments over, ``outcome.py`` judges one call, ``names.py`` says what is
judged under which name, ``samples.py`` has inputs by hand for what PyTorch's tables leave out, and
``deviations.py`` is the one list of what differs on purpose, with reasons.

Run it with ``python -m pytest tests/judge -m torch`` (PyTorch and expecttest must be installed);
``-m "torch and slow"`` takes every reference input instead of a selection.
"""
