from .output import write_exploration as write_exploration

__all__ = ["write_exploration"]
