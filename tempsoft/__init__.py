"""Softmax with temperature, and draws from logits."""

from ._version import __version__
from .reference import *
