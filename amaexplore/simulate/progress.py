"""Progress callables, which may be None, and parts of them."""

__all__ = ["part", "report"]


def report(progress, fraction, text):
    """Tell how much is done, 0 to 1, to whoever asked; may raise `Cancelled`."""
    if progress is not None:
        progress(fraction, text)


def part(progress, start, stop):
    """A progress callable that fills only a part of the whole bar."""
    if progress is None:
        return None
    return lambda fraction, text="": progress(start + (stop - start) * fraction, text)
