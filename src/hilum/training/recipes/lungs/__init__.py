"""The recipe of the shipped lung models.

Two commands; each can be stopped and run again, and resumes::

    python -m hilum.training.recipes.lungs.prepare --volumes SCANS --labels LABELS --slices SLICES --out DATA
    python -m hilum.training.recipes.lungs --scans DATA --out RUN --init START.pt --minutes 60

The network of volumes learns right and left lung, pleural fluid and free pleural gas. Its cases are made
while it trains, by worker processes that keep a pool of them: scans with labels, the same with synthetic
injury, single slices extruded to volumes (with and without the dome of a diaphragm), the bases of scans,
digital chests, and what lies above and below the lungs. Voxels that an injury takes out of the lung are fluid
or gas by their HU. ``slice_model`` is the recipe of the network of single slices, ``calibration`` fits the
confidence, and ``ship`` writes the files that ship.
"""
