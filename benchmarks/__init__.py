"""Speed, measured fairly: minigen against PyTorch and against the bare matrix products.

Run it with ``python -m benchmarks`` from the root of the repository. Every *workload* (one file in
``workloads/``) is stepped by every *contender* (one entry in ``contenders.py``), each in a process
of its own, taking turns: A B C A B C … The table gives medians and quartiles, the ratio to the best
peer, and the ratio to the *floor*: the same matrix products done by ``np.matmul(out=)`` and nothing
else. What a machine does today it may not do tomorrow, so ratios are what to compare.
"""
