from .offline import redirect_matplotlib_config as redirect_matplotlib_config
from .registry import find_model as find_model

__all__ = ["find_model", "redirect_matplotlib_config"]
