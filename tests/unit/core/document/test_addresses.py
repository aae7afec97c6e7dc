"""Where the things are that documents refer to."""

from __future__ import annotations

import pytest

from flunq.core.document.addresses import (
    AddressError,
    below,
    cataloged,
    function_address,
    function_name,
    is_function_address,
    locate,
    relation,
    sources,
)


@pytest.mark.parametrize(
    ("written", "base", "address"),
    [
        ("https://x/a.json", "file:", "https://x/a.json"),
        ("HTTPS://x/a.json#/defs/y", "file:", "HTTPS://x/a.json"),
        ("file://schemas/a.json", "file:", "file:schemas/a.json"),
        ("file://./a.json", "file:", "file:a.json"),
        ("file://../shared/a.json", "file:", "file:../shared/a.json"),
        ("file:a/../b.json", "file:", "file:b.json"),
        ("./b.json", "file:schemas/a.json", "file:schemas/b.json"),
        ("../b.json", "file:schemas/a.json", "file:b.json"),
        ("file:///etc/a.json", "file:x.yaml", "file:///etc/a.json"),
        ("file://localhost/etc/a.json", "file:", "file:///etc/a.json"),
        ("/etc/../a.json", "file:", "file:///a.json"),
        ("b.json", "file:///etc/x/a.json", "file:///etc/x/b.json"),
        ("b.json", "https://x/y/a.json?v=1", "https://x/y/b.json"),
        ("file://b.json", "https://x/y/a.json", "https://x/y/b.json"),
        ("b.json", "catalog:c/functions/f/1/function.yaml", "catalog:c/functions/f/1/b.json"),
        (
            "../../g/2/b.json",
            "catalog:c/functions/f/1/function.yaml",
            "catalog:c/functions/g/2/b.json",
        ),
    ],
)
def test_an_address_is_relative_to_what_it_is_written_in(
    written: str, base: str, address: str
) -> None:
    assert locate(written, base) == address


@pytest.mark.parametrize(
    ("written", "base"),
    [
        ("ftp://x/a", "file:"),
        ("s3:x", "file:"),
        ("", "file:"),
        ("file:", "file:"),
        ("file:///etc/passwd", "https://x/function.yaml"),
        ("/etc/passwd", "https://x/function.yaml"),
        ("file:///etc/passwd", "catalog:c/functions/f/1/function.yaml"),
        ("../../../../../x", "catalog:c/functions/f/1/function.yaml"),
        ("../" * 40 + "x", "file:"),
    ],
)
def test_what_is_no_address_or_leads_out_is_refused(written: str, base: str) -> None:
    with pytest.raises(AddressError):
        locate(written, base)


@pytest.mark.parametrize(
    ("call", "is_address"),
    [
        ("greet", False),
        ("http", False),
        ("my.function-1", False),
        ("log:1.0.0", False),
        ("log:1.0.0@global", True),
        ("https://x/f.yaml", True),
        ("file:functions/f.yaml", True),
        ("./f.yaml", True),
        ("../f.yaml", True),
    ],
)
def test_calls_of_functions_outside_are_recognised(call: str, is_address: bool) -> None:
    assert is_function_address(call) is is_address


def test_a_cataloged_function_has_an_address_and_its_name_back() -> None:
    assert cataloged("log:1.0.0@global") == ("log", "1.0.0", "global")
    address = function_address("log:1.0.0@global", "https://elsewhere/x.yaml")
    assert address == "catalog:global/functions/log/1.0.0/function.yaml"
    assert function_name(address) == "log:1.0.0@global"
    assert function_name("catalog:global/other.yaml") == "catalog:global/other.yaml"
    assert function_name("https://x/f.yaml") == "https://x/f.yaml"


def test_an_address_relative_to_another() -> None:
    assert relation("file:a/c/d.json", "file:a/b.json") == "c/d.json"
    assert relation("file:d.json", "file:a/b.json") == "../d.json"
    assert relation("https://x/p/d.json", "https://x/q/b.json") == "../p/d.json"
    assert relation("https://x/d.json", "file:a/b.json") == "https://x/d.json"


RAW = "https://raw.githubusercontent.com/o/r"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


GITHUB = "https://github.com/o/r"
SAME = "the same"


@pytest.mark.parametrize(
    ("uri", "found"),
    [
        ("https://x/o/r/tree/main/f.yaml", SAME),
        (f"{GITHUB}/tree/main/f/function.yaml", f"{RAW}/refs/heads/main/f/function.yaml"),
        (f"{GITHUB}/blob/{COMMIT}/a.yaml", f"{RAW}/{COMMIT}/a.yaml"),
        ("https://www.github.com/o/r/blob/refs/tags/v1/a.yaml", f"{RAW}/refs/tags/v1/a.yaml"),
        (f"{GITHUB}/functions/f/1/function.yaml", f"{RAW}/HEAD/functions/f/1/function.yaml"),
        (f"{GITHUB}/checkMail@v1.0.0", f"{RAW}/refs/heads/v1.0.0/checkMail/function.yaml"),
        (f"{GITHUB}/raw/main/a.yaml", SAME),
        (f"{GITHUB}/releases/download/v1/a.yaml", SAME),
        ("https://gitlab.com/g/s/p/-/tree/v1/a.yaml", "https://gitlab.com/g/s/p/-/raw/v1/a.yaml"),
        ("https://git.x/g/p/-/blob/v1/a.yaml", "https://git.x/g/p/-/raw/v1/a.yaml"),
        (
            "https://gitlab.com/g/p/functions/f/1/function.yaml",
            "https://gitlab.com/g/p/-/raw/HEAD/functions/f/1/function.yaml",
        ),
    ],
)
def test_pages_of_repositories_become_their_raw_content(uri: str, found: str) -> None:
    assert sources(uri)[0] == (uri if found is SAME else found)


def test_a_name_in_a_repository_may_be_that_of_a_tag() -> None:
    tagged = f"{RAW}/refs/tags/v1.0.0/checkMail/function.yaml"
    assert sources(f"{GITHUB}/checkMail@v1.0.0")[1:] == (tagged,)
    assert sources(f"{GITHUB}/tree/v1/a.yaml")[1:] == (f"{RAW}/refs/tags/v1/a.yaml",)
    assert len(sources(f"{GITHUB}/tree/{COMMIT}/a.yaml")) == 1


def test_a_path_below_an_endpoint() -> None:
    assert below("https://x/catalog/", "functions/f") == "https://x/catalog/functions/f"
    assert below("https://x?key=1#top", "a") == "https://x/a?key=1"
