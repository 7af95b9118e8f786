"""Open a page in headless Chromium: its document after the scripts ran, what they complained about, and its picture."""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
import zlib
from pathlib import Path

import numba
import numpy as np
import numpy.typing as npt

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1200,800",
    "--virtual-time-budget=5000",
    "--enable-logging=stderr",
)


def opened(page: Path, *flags: str) -> tuple[str, list[str]]:
    """(standard output, console messages) of Chromium with `flags` on `page`, from an empty profile."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()]
        done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    lines = done.stderr.decode(errors="replace").splitlines()
    return done.stdout.decode(), [line for line in lines if "CONSOLE" in line]


def read_png(path: Path) -> npt.NDArray[np.uint8]:
    """Pixels (height, width, channels) of an 8-bit RGB or RGBA picture without interlacing.

    Source: PNG specification (W3C, 2003), sections 9.2 (filters) and 11.2.2 (header).
    """
    content, packed, position = path.read_bytes(), b"", 8
    width, height, depth, colour = struct.unpack(">IIBB", content[16:26])
    assert (depth, colour) in ((8, 2), (8, 6))
    while position < len(content):
        (length,) = struct.unpack(">I", content[position : position + 4])
        if content[position + 4 : position + 8] == b"IDAT":
            packed += content[position + 8 : position + 8 + length]
        position += length + 12
    channels = 3 if colour == 2 else 4
    lines = np.frombuffer(zlib.decompress(packed), dtype=np.uint8).reshape(height, 1 + width * channels)
    return _unfiltered(lines, channels).reshape(height, width, channels)


@numba.njit
def _unfiltered(lines: npt.NDArray[np.uint8], step: int) -> npt.NDArray[np.uint8]:
    rows = np.zeros((lines.shape[0], lines.shape[1] - 1), dtype=np.uint8)
    for y in range(rows.shape[0]):
        kind = lines[y, 0]
        for x in range(rows.shape[1]):
            left = int(rows[y, x - step]) if x >= step else 0
            above = int(rows[y - 1, x]) if y else 0
            corner = int(rows[y - 1, x - step]) if y and x >= step else 0
            rows[y, x] = (int(lines[y, x + 1]) + _predicted(kind, left, above, corner)) & 255
    return rows


@numba.njit
def _predicted(kind: int, left: int, above: int, corner: int) -> int:
    if kind == 3:
        return (left + above) // 2
    if kind != 4:
        return (0, left, above)[kind]
    guess = left + above - corner
    if abs(guess - left) <= abs(guess - above) and abs(guess - left) <= abs(guess - corner):
        return left
    return above if abs(guess - above) <= abs(guess - corner) else corner
