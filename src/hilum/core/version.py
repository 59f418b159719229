"""Versions, defined in one place; the build reads that of the package from here."""

__all__ = ["RUN_SCHEMA", "__version__"]

__version__ = "0.1.0"
#: Of ``run.json``, which every verb that writes a folder of results leaves in it.
RUN_SCHEMA = "hilum.run/2"
