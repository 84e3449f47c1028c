class Unavailable(Exception):
    """A part of the test cluster cannot be had on this machine; the text says why."""
