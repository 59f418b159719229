"""Training of networks; the only package that imports torch. It needs the extra ``train``.

Raises:
    MissingExtraError: The extra is not installed; the message says what to do.
"""

from importlib.util import find_spec

from hilum.core.errors import MissingExtraError

_NEEDED = ("torch", "monai", "lightning", "tensorboard", "onnx", "onnxscript")
_missing = [name for name in _NEEDED if find_spec(name) is None]
if _missing:
    raise MissingExtraError(
        f"Training needs packages that are not installed: {', '.join(_missing)}.",
        "Run: pip install 'hilum[train]'",
    )
