"""Oracles and scores: the known floors and ladders beside which a model's number is read."""
