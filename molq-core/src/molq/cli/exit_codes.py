"""The codes that the command line exits with, beside 0 and those of jobs."""

FAILURE = 1
MISUSE = 2
UNCONFIRMED = 75
"""The job may be submitted, or is so and nobody has heard: it must not be submitted again."""
INTERRUPTED = 130
"""By Ctrl-C, as shells say it."""
