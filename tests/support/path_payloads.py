"""Texts that try to lead out of the allowed folders, each of them once; they suit canary_tree.

`PAYLOADS` knows no machine; `payloads_for(tree)` adds those with the real places of a tree.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, islice, product

from canary_tree import LINKS, SECRET, CanaryTree

# Where a way out begins: nowhere, at a root, in a folder, in one that is not there, in a link.
PREFIXES = ["", "input/", "input/pics/", "photos/", "output/not there/", "input/link_in/"]

# Ways to write the folder above, as servers, browsers, shells and old systems decode them.
UPS = [
    "..", "%2e%2e", "%2E%2E", ".%2e", "%2e.", "%252e%252e", "%25%32%65%25%32%65", "..%00",
    "%c0%ae%c0%ae", "%e0%80%ae%e0%80%ae", "%f0%80%80%ae%f0%80%80%ae", "%uff0e%uff0e", "%u002e.",
    "&#46;&#46;", "&period;&period;", "\\x2e\\x2e", "\\u002e\\u002e", "\\056\\056", "0x2e0x2e",
    ".. ", " ..", "..\t", "..\n", "..\0", "...", "....", ". .", "..;", "..;x", "..:", "..?", "..#",
    "\uff0e\uff0e", "\uff0e.", "\u2024\u2024", "\u2025", "\u2026", "\u3002\u3002", "\ufe52\ufe52",
    "\u00b7\u00b7", "\u0701\u0702", "\u0660\u0660", ".\u200b.", ".\u200d.", "\u2060..", "\ufeff..",
    "\u202e..", "..\u202d", ".\u0307", "..\u0338", "..\u00a0", "..\u3000", "..\x7f", ".\x08..",
    "..%20", "..%09", "..%0a", "..%ff", "\udc2e\udc2e", "+..", "'..'", '".."', "$(echo ..)",
    "`echo ..`", "{..,..}", "..*", "?.",
]  # fmt: skip

SLASHES = [
    "/", "\\", "//", "\\\\", "\\/", "/\\", "/./", "\\.\\", "%2f", "%2F", "%5c", "%5C", "%252f",
    "%255c", "%c0%af", "%c1%9c", "%e0%80%af", "%u2215", "%u2216", "%u005c", "&#47;", "&sol;",
    "\\x2f", "\\u002f", "\\057", "0x2f", "\u2215", "\u2044", "\uff0f", "\uff3c", "\u29f5", "\u29f8",
    "\ufe68", "\u2216", "\u00a5", "\u20a9", "\u0338", "/\0", ":", ";/",
]  # fmt: skip

ABSOLUTE = [
    "/", "//", "///", "/etc", "/etc/passwd", "//etc/passwd", "/./etc/passwd", "/../etc/passwd",
    "/proc/self/environ", "/proc/self/root/etc/passwd", "/proc/self/cwd", "/proc/1/root",
    "/dev/stdin", "/dev/fd/0", "/dev/null", "/dev/zero", "/dev/tcp/127.0.0.1/80", "/root/.ssh",
    "/home", "/opt", "/var/log/syslog", "/sys/kernel", "/Volumes", "/private/etc/passwd",
    "/System/Volumes/Data", "/net/host", "/afs", "/mnt/c/Windows", "/cygdrive/c/Windows",
    "\\", "\\etc\\passwd", "\\Windows\\win.ini", "\\??\\C:\\Windows", "\\DosDevices\\C:\\Windows",
    "\\Device\\HarddiskVolume1\\Windows", "\\GLOBAL??\\C:", "\\SystemRoot\\win.ini",
]  # fmt: skip
DRIVES = [
    f"{drive}{rest}"
    for drive in ("C:", "c:", "Z:", "d|", "C\uff1a", "C%3a", "1:", "\u00e4:", "CC:", "\uff23:")
    for rest in (
        "",
        "\\",
        "/",
        "\\Windows\\win.ini",
        "/Windows/win.ini",
        "secret.txt",
        "..\\x",
        ".",
    )
]
UNC = [
    f"{start}{rest}"
    for start in (
        "\\\\server\\share", "//server/share", "\\\\127.0.0.1\\c$", "//127.0.0.1/c$",
        "\\\\localhost\\admin$", "\\\\?\\C:", "\\\\.\\C:", "//?/C:", "//./C:", "\\\\?\\UNC\\s\\x",
        "\\\\?\\GLOBALROOT\\Device", "\\\\.\\pipe", "\\\\.\\PhysicalDrive0", "\\\\?\\Volume{0}",
        "\\\\server@SSL@443\\DavWWWRoot", "\\\\server@8080\\share", "\\/server/x", "/\\server/x",
    )
    for rest in ("", "\\secret.txt", "/secret.txt", "\\..\\..\\secret.txt", "\\x\\.")
]  # fmt: skip
URLS = [
    f"{scheme}{rest}"
    for scheme in (
        "file:", "file:/", "file://", "file:///", "FILE://", "http://", "https://", "ftp://",
        "data:text/plain,", "jar:file:", "zip://", "php://filter/", "smb://", "javascript:",
        "s3://", "blob:", "view-source:file://", "netdoc:", "\\\\?\\file://", "file%3a%2f%2f",
    )
    for rest in ("etc/passwd", "localhost/etc/passwd", "C:/Windows/win.ini", "../outside", "")
]  # fmt: skip
HOMES = [
    f"{home}{rest}"
    for home in (
        "~", "~root", "~/..", "$HOME", "${HOME}", "$PWD", "$OLDPWD", "%USERPROFILE%", "%HOMEPATH%",
        "%APPDATA%", "%SystemRoot%", "%TEMP%", "!USERPROFILE!", "$env:USERPROFILE", "$(pwd)",
        "`pwd`", "$IFS", "~+", "~-", "{HOME}", "{0.__class__}", "%s", "%n%n", "{{7*7}}", "${x:y}",
    )
    for rest in ("", "/.ssh/id_rsa", "\\secret.txt", "/../outside/secret.txt")
]  # fmt: skip

DEVICES = [
    f"{device}{rest}"
    for device in (
        "CON", "con", "PRN", "AUX", "NUL", "nul", "CLOCK$", "CONIN$", "CONOUT$", "COM1", "com9",
        "LPT1", "COM\u00b9", "LPT\u00b3", "COM0", "PIPE", "$Extend", "$MFT", "$Recycle.Bin",
    )
    for rest in ("", ".txt", ".tar.gz", " .txt", ":", ".", " ", "/x", "\\x")
]  # fmt: skip
STREAMS = [
    f"{name}{stream}"
    for name in ("a.txt", "pics", "pics/a.txt", "link_out", "..")
    for stream in (
        ":x",
        "::$DATA",
        ":x:$DATA",
        ":$I30:$INDEX_ALLOCATION",
        "::$INDEX_ALLOCATION",
        ":",
    )
]
ODD = [
    *(chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))),
    *"\u00ad\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e",
    *"\u2060\u2061\u2064\u2066\u2067\u2068\u2069\ufeff\ufff9\ufffb\ufffd\uffff\ue000\u00a0\u3000",
    *(
        "\ud800",
        "\udfff",
        "\udc80",
        "\udcff",
        "\U000e0001",
        "\U0010ffff",
        "\U0001f468\u200d\U0001f469",
    ),
]
TRAILING = [
    f"{name}{end}"
    for name in ("pics", "a.txt", "link_out", "x")
    for end in (
        ".",
        "..",
        "...",
        " ",
        "  ",
        ". ",
        " .",
        ". .",
        "./",
        "/.",
        "/./.",
        "//",
        "\\",
        "/ ",
        "%20",
    )
]
OVERLONG = [
    *("x" * count for count in (255, 256, 1024, 4096, 70_000)),
    *("\u732b" * count for count in (85, 86, 255, 4096)),
    *("x/" * count for count in (64, 200, 2500)),  # deeper ones could not be removed again
    *("../" * count for count in (64, 1024, 2500)),
    *("./" * count + "x" for count in (64, 4096)),
    *("a/../" * count + "../../outside" for count in (1, 16, 1024)),
    *("/" * count + "etc/passwd" for count in (3, 255, 4096)),
    *("link_in/" * count + "x" for count in (1, 2, 64)),
    *("link_in/../" * count + "link_out" for count in (1, 2, 64)),
]
# In a root one needs nothing more than the name of another root or of a link.
IN_ROOTS = [
    *(
        f"{here}/../{there}"
        for here, there in product(("input", "output", "temp", "photos"), repeat=2)
    ),
    *(
        f"{root}{end}"
        for root in ("input", "photos")
        for end in ("2", ".", "..", " ", "\0", ":", "%00")
    ),
    *(
        "INPUT",
        "Input",
        "\uff49nput",
        "\u0131nput",
        "inpu\u0074\u0301",
        "Photos/x",
        "phot\u03bfs/x",
    ),
    *(
        "outside",
        "outside/secret.txt",
        "input2",
        "input2/secret.txt",
        ".",
        "./",
        "",
        " ",
        "''",
        '""',
    ),
    *(
        "None",
        "null",
        "0",
        "-",
        "--help",
        "-rf",
        "*",
        "?",
        "[a-z]",
        "input/*",
        "input/**/..",
        "input|ls",
    ),
]


def _ways_up() -> Iterator[str]:
    """The folder above in every way, with many slashes, at changing depths and prefixes."""
    prefixes, depths = cycle(PREFIXES), cycle((1, 2, 3, 7))
    targets = cycle((f"outside/{SECRET}", "outside", "input2/x", "etc/passwd"))
    for up, slash in islice(product(UPS, SLASHES), 0, None, 3):
        yield next(prefixes) + (up + slash) * next(depths) + next(targets).replace("/", slash)
    for prefix, up in product(PREFIXES, UPS):
        yield f"{prefix}{up}"
        yield f"{prefix}{up}/outside/{SECRET}"
        yield f"{prefix}x/{up}\\{up}/../outside"


def _odd_letters() -> Iterator[str]:
    for letter in ODD:
        yield from (letter, f"input/{letter}", f"input/pics{letter}", f"{letter}input/pics")
        yield from (f"input/.{letter}./outside", f"input{letter}/../outside", f"input/a{letter}b/x")


def _through_links(prefixes: list[str]) -> Iterator[str]:
    ends = (
        "",
        f"/{SECRET}",
        "/new/x.txt",
        "/.",
        "/..",
        "/../outside",
        "\\private",
        " ",
        ".",
        "%00",
    )
    for prefix, link, end in product(prefixes, LINKS, ends):
        yield f"{prefix}{link}{end}"


def _all() -> Iterator[str]:
    yield from _ways_up()
    yield from _odd_letters()
    yield from _through_links(["input/", "photos/", "input\\./"])
    prefixes = cycle(PREFIXES[1:])
    for texts in (ABSOLUTE, DRIVES, UNC, URLS, HOMES, DEVICES, STREAMS, TRAILING, OVERLONG):
        for text in texts:
            yield from (text, f"{next(prefixes)}{text}")
    yield from IN_ROOTS


PAYLOADS: tuple[str, ...] = tuple(dict.fromkeys(_all()))


def payloads_for(tree: CanaryTree) -> tuple[str, ...]:
    """PAYLOADS, and ways to the secrets of this very tree."""
    own = []
    for place in (tree.outside, tree.outside / SECRET, tree.base, tree.base / "input2"):
        whole = place.as_posix()
        own += [
            whole,
            f"/{whole}",
            f"file://{whole}",
            f"input/{whole}",
            f" {whole}",
            f"\\{whole[1:]}",
        ]
        own += [f"input/{'../' * 30}{whole[1:]}", f"input/pics/{'..%2f' * 30}{whole[1:]}"]
        own += [
            f"\\\\?\\{whole}",
            f"//localhost{whole}",
            f"/proc/self/root{whole}",
            f"{whole}\0.png",
        ]
    return tuple(dict.fromkeys((*PAYLOADS, *own)))
