"""One step of the protocol per file; the file's name is the task's.

Bodies are one library call plus logging. What they share is in :mod:`tasks.boundary`.
"""
