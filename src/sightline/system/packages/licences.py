"""Licences of packages: what their metadata say, as SPDX expressions, and whether a product may be built on them.

Kinds of licences are those of ScanCode's index, which the package license-expression has with it. Strong copyleft, as
of the GPL and the AGPL, would pass on to what is built; weak copyleft, as of the MPL or of the GPL with a linking
exception, does not. Of a choice (`OR`) the best counts, of several that all hold (`AND`) the worst.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageMetadata
from typing import Literal

from boolean.boolean import Expression
from license_expression import (
    AND,
    OR,
    ExpressionError,
    LicenseWithExceptionSymbol,
    Licensing,
    get_license_index,
    get_spdx_licensing,
)

Kind = Literal["permissive", "weak copyleft", "proprietary", "strong copyleft", "unknown"]
KINDS: tuple[Kind, ...] = ("permissive", "weak copyleft", "proprietary", "strong copyleft", "unknown")  # best first
REFUSED: frozenset[Kind] = frozenset({"strong copyleft", "unknown"})
_OF_CATEGORY: Mapping[str, Kind] = {
    "Permissive": "permissive",
    "Public Domain": "permissive",
    "Copyleft Limited": "weak copyleft",
    "Copyleft": "strong copyleft",
    "Proprietary Free": "proprietary",
}
# Packages whose metadata name no licence, or not all of it, with where it is to be read.
_KNOWN: Mapping[str, str] = {
    "cuda-toolkit": "LicenseRef-NVIDIA-Proprietary",  # a list of NVIDIA's packages, no file of its own
    "grandalf": "GPL-2.0-only OR EPL-1.0",  # LICENSE: dual licensing
    "huey": "MIT",  # LICENSE
    "pygit2": "GPL-2.0-only WITH GCC-exception-2.0",  # COPYING: unlimited permission to link
    "python-dateutil": "Apache-2.0 OR BSD-3-Clause",  # LICENSE: dual license
    "skops": "MIT",  # LICENSE
    "text-unidecode": "Artistic-1.0-Perl OR GPL-2.0-or-later",  # LICENSE: either of Perl's
}
_OF_CLASSIFIER: Mapping[str, str] = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "Zope Public License": "ZPL-2.1",
}
_OF_WORDS: Mapping[str, str] = {
    "apache": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache software": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "bsd 2 clause": "BSD-2-Clause",
    "bsd 3 clause": "BSD-3-Clause",
    "3 clause bsd": "BSD-3-Clause",
    "freebsd": "BSD-2-Clause",
    "isc": "ISC",
    "mit": "MIT",
    "mit mit": "MIT",
    "new bsd": "BSD-3-Clause",
    "nvidia proprietary software": "LicenseRef-NVIDIA-Proprietary",
}


def stated(name: str, metadata: PackageMetadata) -> str:
    """Return the licence of a package as an SPDX expression, "" where its metadata do not say.

    Args:
        name: of the package, normalised.
        metadata: of it (Core metadata 2.4: License-Expression; before: License, and classifiers).
    """
    if expressions := metadata.get_all("License-Expression"):
        return str(expressions[0])
    if name in _KNOWN:
        return _KNOWN[name]
    text = _of_text("\n".join(metadata.get_all("License") or ()))
    if text:
        return text
    names = [line.rpartition(" :: ")[2] for line in metadata.get_all("Classifier", []) if line.startswith("License ::")]
    known = list(dict.fromkeys(_OF_CLASSIFIER[name] for name in names if name in _OF_CLASSIFIER))
    if known and len(known) == len([name for name in names if name != "OSI Approved"]):
        return " AND ".join(known)  # whether it is a choice they do not say
    return ""


def _of_text(text: str) -> str:
    """Return the expression in the field License, which people fill as they like; "" where it is none."""
    lines = [line.strip() for line in text.splitlines() if line.strip(" =\t")]
    if not lines:
        return ""
    first = lines[0]
    if kind_of(first) != "unknown":
        return str(_index()[0].parse(first))  # in SPDX's spelling
    words = re.sub(r"\b(the|licen[cs]e|version|v)\b", " ", re.split(r"\s{2,}|Copyright", first)[0].lower())
    words = re.sub(r"\.0\b", "", words)
    return _OF_WORDS.get(" ".join(re.findall(r"\w+", words)), "")


def kind_of(expression: str) -> Kind:
    """Return what kind of licence an SPDX expression means for those who build on the package."""
    licensing, _ = _index()
    try:
        parsed = licensing.parse(expression)
    except ExpressionError:
        return "unknown"
    return "unknown" if parsed is None else _kind(parsed)


def _kind(expression: Expression) -> Kind:
    _, categories = _index()
    if isinstance(expression, OR | AND):
        kinds = [_kind(one) for one in expression.args]
        return (min if isinstance(expression, OR) else max)(kinds, key=KINDS.index)
    if isinstance(expression, LicenseWithExceptionSymbol):
        exception = categories.get(expression.exception_symbol.key.lower())
        return _OF_CATEGORY.get(exception or "", "unknown")
    key = str(expression.key).lower()
    if key.startswith("licenseref-") and "proprietary" in key:
        return "proprietary"
    return _OF_CATEGORY.get(categories.get(key, ""), "unknown")


@cache
def _index() -> tuple[Licensing, dict[str, str]]:
    """Return SPDX's licences, and the category of each by its key in small letters."""
    categories: dict[str, str] = {}
    for one in get_license_index():
        for key in (one.get("spdx_license_key"), *one.get("other_spdx_license_keys", ())):
            if key and one.get("category"):
                categories.setdefault(key.lower(), one["category"])
    return get_spdx_licensing(), categories
