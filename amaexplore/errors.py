"""What can go wrong, and how it is said: one sentence with what came, what was expected, what to try.

Everything a user can cause raises a subclass of `AmaError`; the command line turns it into exit code 2
and the explorer into the sentence under the step that caused it. Doubtful science does not raise: the
result carries `Notice` objects in its ``warnings``.
"""

from dataclasses import dataclass

__all__ = [
    "AmaError",
    "Cancelled",
    "FormatError",
    "InputError",
    "InsufficientDataError",
    "MissingFieldError",
    "Notice",
    "SelectionError",
    "UnevenTimesError",
]


class AmaError(Exception):
    """Any failure that the user can understand and mend; its message is a sentence."""


class InputError(AmaError, ValueError):
    """An argument has the wrong type, shape, sign or unit."""


class FormatError(InputError):
    """A file cannot be read: not there, not of a known format, truncated, or contradicting another file."""


class SelectionError(InputError):
    """A selection of atoms cannot be understood, or picks nothing, or leaves no host medium."""


class MissingFieldError(InputError):
    """Something needs velocities, forces or positions that this data does not hold."""


class UnevenTimesError(InputError):
    """Frames are not evenly spaced in time, so that no correlation function exists on their grid."""


class InsufficientDataError(InputError):
    """Too few frames, replicas or correlation times for the number, or for its error, to mean anything."""


class Cancelled(AmaError):
    """The user stopped a long job; nothing half-done is kept."""


@dataclass(frozen=True)
class Notice:
    """One thing the user should know about data or a result.

    Parameters
    ----------
    code : str
        Stable machine-readable name, such as ``"no_plateau"``.
    message : str
        A sentence with numbers: what was found, what it means, what to do.
    severity : str
        ``"info"``, ``"warning"`` or ``"error"`` (an error makes some result unavailable).
    """

    code: str
    message: str
    severity: str = "warning"

    def to_dict(self):
        """The JSON form: code and message (severity only where it is not a warning)."""
        document = {"code": self.code, "message": self.message}
        if self.severity != "warning":
            document["severity"] = self.severity
        return document
