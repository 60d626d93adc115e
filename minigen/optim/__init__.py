"""Optimizers, schedules, gradient clipping, moving averages. Names and formulas are PyTorch's."""

from typing import Any as _Any

from minigen.optim import schedule
from minigen.optim.adam import Adam, AdamW
from minigen.optim.clip import clip_grad_norm_, clip_grad_value_, grad_norm
from minigen.optim.ema import EMA
from minigen.optim.muon import Muon
from minigen.optim.nadam import NAdam
from minigen.optim.optimizer import Optimizer
from minigen.optim.radam import RAdam
from minigen.optim.rmsprop import RMSprop
from minigen.optim.schedule import ConstantLR, CosineWithWarmup, LinearLR, Schedule, StepLR
from minigen.optim.sgd import SGD

__all__ = [
    "EMA",
    "SGD",
    "Adam",
    "AdamW",
    "ConstantLR",
    "CosineWithWarmup",
    "LinearLR",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Schedule",
    "StepLR",
    "clip_grad_norm_",
    "clip_grad_value_",
    "grad_norm",
    "schedule",
]


def __getattr__(name: str) -> _Any:
    from minigen.nearest import missing

    raise missing("mg.optim", name, {"mg.optim.": __all__})
