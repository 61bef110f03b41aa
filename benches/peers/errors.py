"""What can go wrong, by exit code."""


class UsageError(Exception):
    """Bad usage: a folder, a file or an option that is not what it has to be. Exit code 2."""


class RunError(Exception):
    """An engine failed, or did not keep to the rules of the comparison. Exit code 1."""
