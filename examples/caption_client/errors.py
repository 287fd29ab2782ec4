"""The ways in which the client ends before its work is done; each text says what to do."""


class UsageError(Exception):
    """The command line or the job file asks for something that cannot be done."""


class RunError(Exception):
    """Ends the work on one folder, or on one picture; the others go on."""


class UnreachableError(Exception):
    """The server cannot be reached, or not any more: ends everything."""
