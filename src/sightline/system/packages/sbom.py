"""Lists of software (SBOM) in CycloneDX's form, version 1.6: of an installation, and of a model with what it runs on.

The same packages and files give the same bytes: the serial number is made of the content, and there is no time in it.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from sightline.system.packages.installed import Package

SBOM = "sbom.cdx.json"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://cyclonedx.org/schema/bom-1.6.schema.json")


def sbom(packages: Sequence[Package], subject: Component) -> str:
    """Return a list of software as JSON.

    Args:
        packages: all that is needed, `sightline` among them.
        subject: what the list is about: it needs `sightline`, or is it.
    """
    parts = {package.name: _library(package) for package in packages}
    own = next((name for name, part in parts.items() if part.bom_ref == subject.bom_ref), None)
    if own is not None:
        subject = parts.pop(own)
    bom = Bom(components=parts.values(), serial_number=uuid.UUID(int=0))
    bom.metadata.timestamp = None  # type: ignore[assignment]  # leaves it out; the stubs do not know
    bom.metadata.component = subject
    whole = parts if own is None else {**parts, own: subject}
    for package in packages:
        bom.register_dependency(whole[package.name], [whole[name] for name in package.needs if name in whole])
    if own is None:
        bom.register_dependency(subject, [whole["sightline"]])
    bom.serial_number = uuid.uuid5(_NAMESPACE, JsonV1Dot6(bom).output_as_string(indent=2))
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def sbom_of_installation(packages: Sequence[Package]) -> str:
    """Return the list of software of Sightline as it is installed."""
    return sbom(packages, _library(next(package for package in packages if package.name == "sightline")))


def sbom_of_model(name: str, version: str, folder: Path, packages: Sequence[Package]) -> str:
    """Return the list of software of a model: its files with their hashes, and the packages that it runs on.

    Args:
        name: of the model.
        version: what identifies it.
        folder: the model directory.
        packages: those that `sightline` needs.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return sbom(
        packages,
        Component(
            type=ComponentType.MACHINE_LEARNING_MODEL,
            name=name,
            version=version,
            bom_ref=f"model:{name}@{version}",
            components=[_file(path, path.relative_to(folder).as_posix()) for path in files],
        ),
    )


def _file(path: Path, name: str) -> Component:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=digest)]
    return Component(type=ComponentType.FILE, name=name, bom_ref=f"file:{name}", hashes=hashes)


def _library(package: Package) -> Component:
    url = PackageURL("pypi", None, package.name, package.version)
    record = Property(name="sightline:record_sha256", value=package.record_sha256)  # of what is installed, not a wheel
    return Component(
        type=ComponentType.LIBRARY,
        name=package.name,
        version=package.version,
        purl=url,
        bom_ref=url.to_string(),
        licenses=[LicenseFactory().make_from_string(package.licence)] if package.licence else [],
        properties=[record] if package.record_sha256 else [],
    )
