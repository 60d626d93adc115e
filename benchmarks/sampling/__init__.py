"""How long drawing takes: with a cache and naively, on the same model, side by side.

`subjects` says what is drawn, `measure` how the two take turns, `chart` draws the growth. The
benchmark's command line knows each subject as a probe, ``sampling-gpt`` for instance.
"""
