"""Differentiable functions, by topic. Each file: rules, references and kernels side by side."""
