"""The engine: tensors, the tape, and how ops and their gradient rules are written."""
