"""Text files as lines of bytes, plain or compressed."""

import gzip
import io
import lzma
import zlib
from pathlib import Path

from ..errors import FormatError

__all__ = ["BROKEN_STREAM", "open_text"]

BROKEN_STREAM = (EOFError, OSError, zlib.error, lzma.LZMAError)
"""What decompressing a damaged or cut file raises."""


class _Text:
    """Lines of a plain or compressed file, and how far reading has come."""

    def __init__(self, raw, stream, size):
        self._raw, self._stream, self._size = raw, stream, size

    def __iter__(self):
        return self

    def __next__(self):
        line = self._stream.readline()
        if not line:
            raise StopIteration
        return line

    def fraction(self):
        return min(1.0, self._raw.tell() / max(1, self._size))

    def close(self):
        self._stream.close()
        self._raw.close()


def open_text(path):
    """A text file as lines of bytes, decompressed by the ending of its name."""
    path = Path(path)
    raw = open(path, "rb")  # noqa: SIM115 (the caller closes it)
    size = path.stat().st_size
    suffix = path.suffix.lower()
    if suffix == ".gz":
        stream = gzip.GzipFile(fileobj=raw)
    elif suffix == ".bz2":
        import bz2

        stream = bz2.open(raw)  # noqa: SIM115
    elif suffix in (".xz", ".lzma"):
        stream = lzma.open(raw)  # noqa: SIM115
    elif suffix == ".zst":
        stream = _zstandard(raw)
    else:
        stream = raw
    return _Text(raw, stream, size)


def _zstandard(raw):
    import io

    try:
        import zstandard
    except ImportError:
        raw.close()
        raise FormatError(
            "Reading .zst files needs the zstandard package: pip install 'amaexplore[formats]', or decompress the file."
        ) from None
    return io.BufferedReader(_ZstandardReader(raw, zstandard.ZstdDecompressor().decompressobj))


class _ZstandardReader(io.RawIOBase):
    """Decompresses piece by piece and, unlike the library's own reader, notices where a file was cut short."""

    def __init__(self, raw, make):
        self._raw, self._make = raw, make
        self._decompressor, self._rest, self._ready = make(), b"", b""

    def readable(self):
        return True

    def readinto(self, buffer):
        while not self._ready:
            data = self._rest or self._raw.read(2**18)
            self._rest = b""
            if not data:
                if not self._decompressor.eof:
                    raise EOFError("compressed file ended before its end-of-stream marker")
                return 0
            if self._decompressor.eof:  # several frames in a row
                self._decompressor = self._make()
            self._ready = self._decompressor.decompress(data)
            self._rest = self._decompressor.unused_data
        size = min(len(buffer), len(self._ready))
        buffer[:size], self._ready = self._ready[:size], self._ready[size:]
        return size
