"""Published weights out of a mirror of the hub: a folder, or an address whose files are fetched once and kept."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from urllib.parse import quote, urlsplit

from sightline.config.weights import (
    ENDINGS,
    MIRROR,
    available_file,
    available_networks,
    is_address,
    networks_called,
)
from sightline.system.download import download, read_address, shown
from sightline.system.errors import UserError

SUMS = "SHA256SUMS"
_MOST = 1 << 22  # bytes of SUMS
_SUM = re.compile(r"([0-9a-fA-F]{64}) [ *](?:\./)?(\S.*)")
_LISTED = 10  # files in an error
_REMEDY = f"unset {MIRROR} to go without the mirror, or put the file into data/weights"


def mirrored_weights(network: str) -> Path | None:
    """Return the file of a network's weights in the mirror that the variable SIGHTLINE_WEIGHTS names; None: not there.

    An address is asked for NAME.safetensors, NAME.pth, NAME.pt and NAME.th, or for the one of them that its SHA256SUMS
    lists, which it is checked against. What was fetched once is not asked for again.

    Args:
        network: as in `timm:resnet18`.

    Raises:
        UserError: a mirror that is away or answers with an error, or a file that is not what SHA256SUMS says.
    """
    mirror = os.environ.get(MIRROR, "")
    name = network.rpartition(":")[2]
    if not mirror:
        return None
    if not is_address(mirror):
        if not Path(mirror).is_dir():
            raise UserError(
                f"{MIRROR}: {mirror}: no such folder; name a folder, or an address with http:// or https://"
            )
        return available_file(name, Path(mirror))
    folder = _kept_in(mirror)
    if kept := available_file(name, folder):
        return kept
    try:
        return _fetched(mirror, name, folder)
    except UserError as error:
        raise UserError([f"{MIRROR}: {line}; {_REMEDY}" for line in error.lines]) from None


def available_lines(folder: Path) -> list[str]:
    """Return a line for each file of weights that could be used instead, in a folder and in the mirror.

    Args:
        folder: `data/weights` of a project.
    """
    mirror = os.environ.get(MIRROR, "")
    found = _in_folder(folder)
    if is_address(mirror):
        try:
            names = [name for name in _sums(mirror) or () if name.endswith(ENDINGS)]
        except UserError:  # which is reported where the mirror is used
            names = []
        found += [_described(name, f"at {shown(mirror)}", networks_called(Path(name).stem)) for name in names]
    elif mirror:
        found += _in_folder(Path(mirror))
    more = [f"and {len(found) - _LISTED} more"] if len(found) > _LISTED else []
    return [f"there is: {line}" for line in found[:_LISTED]] + more


def _in_folder(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    fits: dict[Path, list[str]] = {path: [] for path in sorted(folder.iterdir()) if path.suffix in ENDINGS}
    for network, path in available_networks(folder).items():
        fits[path].append(network)
    return [_described(path.name, f"in {folder}", networks) for path, networks in fits.items()]


def _described(name: str, where: str, networks: list[str]) -> str:
    return f"{name} {where}" + (f", for {' or '.join(networks)}" if networks else "")


def _fetched(mirror: str, name: str, folder: Path) -> Path | None:
    sums = _sums(mirror)
    for ending in ENDINGS:
        file = folder / f"{name}{ending}"
        if sums is not None and file.name not in sums:
            continue
        address = f"{mirror.rstrip('/')}/{quote(file.name)}"
        if download(address, file, None if sums is None else sums[file.name]):
            print(f"{shown(address)}: fetched to {file}")
            return file
        if sums is not None:
            raise UserError(f"{shown(address)}: not there, but {SUMS} lists it")
    return None


def _sums(mirror: str) -> dict[str, str] | None:
    """Return the SHA-256 of each file of a mirror, by name; None if it does not list them."""
    address = f"{mirror.rstrip('/')}/{SUMS}"
    content = read_address(address, _MOST)
    if content is None:
        return None
    found = [_SUM.fullmatch(line.rstrip()) for line in content.decode(errors="replace").splitlines()]
    sums = {one[2]: one[1] for one in found if one}
    if not sums:
        raise UserError(f"{shown(address)}: lists no files; write it by `sha256sum *`")
    return sums


def _kept_in(mirror: str) -> Path:
    """Return the folder that keeps the files of a mirror."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    plain = shown(mirror).rstrip("/")
    key = hashlib.sha256(plain.encode()).hexdigest()[:12]
    host = re.sub(r"[^A-Za-z0-9.-]", "-", urlsplit(plain).netloc)
    return root / "sightline" / "weights" / f"{host}-{key}"
