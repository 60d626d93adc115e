"""Training: the loop, checkpoints, logs, stopping politely. Knows recipes as a protocol only."""

from minigen.training.log import MetricsLog
from minigen.training.loop import Batches, Loop, Observer, Rhythm, Trainee
from minigen.training.signals import StopRequest

__all__ = ["Batches", "Loop", "MetricsLog", "Observer", "Rhythm", "StopRequest", "Trainee"]
