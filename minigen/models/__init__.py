"""Models: the mathematics of each one, in one file. How it is trained stands in `recipes/`."""
