"""The report of a campaign: its figures, how they are built, and how they are shown.

Import from the submodules: ``figures`` (the data model) and ``wording`` are light, ``measured`` and
``build`` need scipy.
"""
