"""The task ``vessels``: blood vessels in the lungs, and their volume by calibre."""
