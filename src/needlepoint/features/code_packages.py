"""Published packages that carry source files, and the language of each file."""

from __future__ import annotations

from needlepoint._core.packages import Package
from needlepoint.features.source_files import Source

PLAIN = ("bash", "c", "css", "go", "haskell", "html", "java", "lua", "perl", "php", "python")
LEXERS = {name: name for name in (*PLAIN, "scala", "xml")} | {
    "cpp": "c++",
    "js": "javascript",
    "rb": "ruby",
}
"""Folders of examples in pygments, and the language of each."""
WEB = {".py": "python", ".js": "javascript", ".html": "html", ".css": "css"}
XML = {".xml": "xml", ".xsd": "xml", ".wsdl": "xml"}

SOURCES: tuple[Source, ...] = (
    Source(
        Package(
            "pygments",
            "2.21.0",
            "610ca751c9bc2492b38eb9a38a7fbc93edbbb2d7182edaf34e66ae493dee5c8c",
            kind="sdist",
            licence="BSD-2-Clause",
        ),
        suffixes={},
        folders={f"examplefiles/{folder}": name for folder, name in LEXERS.items()},
    ),
    Source(
        Package(
            "django",
            "5.2.19",
            "5965d974a5218a2b68a11dd1276434707f23886525c23f0598eccedaf4f4ca00",
            licence="BSD-3-Clause",
        ),
        suffixes=WEB,
    ),
    Source(
        Package(
            "trac",
            "1.6",
            "5ff2f3394ebee7cc5b8ee465871cfdecb78ee492a74215b47b6d9ddbcc93b5f7",
            licence="BSD-3-Clause",
        ),
        suffixes=WEB,
    ),
    Source(
        Package(
            "cython",
            "3.3.1",
            "e0e45989e821bef6aa9ae15c7d583ab5e055f7406c4b3624e49e06d24e90375a",
            kind="sdist",
            licence="Apache-2.0",
        ),
        suffixes={".c": "c"},
    ),
    Source(
        Package(
            "jpype1",
            "1.7.1",
            "3cd88838dc3d2d546f7eaeadaaff864e590010c15f2b6a44b6f37e60796a14b2",
            kind="sdist",
            licence="Apache-2.0",
        ),
        suffixes={".java": "java", ".cpp": "c++", ".py": "python"},
    ),
    Source(
        Package(
            "psutil",
            "7.2.2",
            "0746f5f8d406af344fd547f1c8daa5f5c33dbc293bb8d6a16d80b4bb88f59372",
            kind="sdist",
            licence="BSD-3-Clause",
        ),
        suffixes={".c": "c", ".py": "python"},
    ),
    Source(
        Package(
            "pybind11",
            "3.1.0",
            "b8488090f8acffbcb6b5d6a85571a6827a0a2981ffb75e5a0b27b87c4a6b7dd0",
            licence="BSD-3-Clause",
        ),
        suffixes={".h": "c++"},
    ),
    Source(
        Package(
            "python-for-android",
            "2026.5.9",
            "79a58606a78ed3cec1aba110876a414d4aa988f082385d68393e208d009e1e94",
            licence="MIT",
        ),
        suffixes={".java": "java", ".c": "c", ".xml": "xml"},
    ),
    Source(
        Package(
            "gojsonnet",
            "0.22.0",
            "b00f09e019d403fc5fb0e691e043115dd84548e055c018638e22b6b7e9829d09",
            kind="sdist",
            licence="Apache-2.0",
        ),
        suffixes={".go": "go"},
    ),
    Source(
        Package(
            "golang-github-spf13-cobra-dev",
            "1.6.1-1",
            "4f5d20855133319beef3c5b49d3c21a0406f270bf94fb4b6f4d406b691283cb2",
            kind="deb",
            licence="Apache-2.0",
        ),
        suffixes={".go": "go"},
    ),
    Source(
        Package(
            "golang-github-stretchr-testify-dev",
            "1.8.1-1",
            "214a31391cf60e1d1abd9f218cb5134a1fd646340a147a04c2d95a981024a305",
            kind="deb",
            licence="MIT",
        ),
        suffixes={".go": "go"},
    ),
    Source(
        Package(
            "golang-github-prometheus-common-dev",
            "0.39.0-2",
            "c81192f357cbea8fd647a09d8a6a13412bd0a661030ab931de41936fe407da82",
            kind="deb",
            licence="Apache-2.0",
        ),
        suffixes={".go": "go"},
    ),
    Source(
        Package(
            "@wordpress/block-library",
            "11.1.0",
            "a5c93e9fc29de2ed89bf6632e59ac6a1e458063e536db88d880d3766214b31d5",
            kind="npm",
            licence="GPL-2.0-or-later",
        ),
        suffixes={".php": "php", ".js": "javascript", ".css": "css"},
    ),
    Source(
        Package(
            "understrap",
            "1.0.1",
            "932e16ad51f48564c257c662863a7894529167082261d1ffa9b90a4c01f28eb0",
            kind="npm",
            licence="GPL-2.0",
        ),
        suffixes={".php": "php"},
    ),
    Source(
        Package(
            "xmlschema",
            "4.3.2",
            "f3b33a21a2b2cdc404ddc3fb599d8bc1dee90b155d547370672e6e684746b8d6",
            kind="sdist",
            licence="MIT",
        ),
        suffixes=XML,
    ),
    Source(
        Package(
            "pycsw",
            "2.6.2",
            "9a4c768ddca2a5a24fb5eed664e4553a0ce7fb38729e60bbd48fe8247e7c09b7",
            kind="sdist",
            licence="MIT",
        ),
        suffixes=XML,
    ),
    Source(
        Package(
            "zeep",
            "4.3.3",
            "99d5059f92f721020998695fd9c85289ccb03ec5a2398ad49c6dbe43f19cfb94",
            kind="sdist",
            licence="MIT",
        ),
        suffixes=XML,
    ),
    Source(
        Package(
            "gymnasium",
            "1.4.0",
            "1cb947c59e7c72d8eabb2c2274c00cd20948e69f8452a9ef4092223be24fdf0e",
            licence="MIT",
        ),
        suffixes=XML,
    ),
)
