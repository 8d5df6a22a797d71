"""Where a hospital's cases come from: one interface, one module a kind of source.

Light to import: ``site.json`` is read with :mod:`cdistrim.data.sources.settings` alone.
"""
