"""What a proto file says about other files."""

from __future__ import annotations

import pytest

from flunq.sdk.executor import ERRORS, TaskError
from flunq.sdk.protobuf import proto_imports, proto_package

LARGE = 2 * 1024 * 1024


def test_imports_are_found_in_statements_only() -> None:
    text = """
    // import "no1.proto";
    /* import "no2.proto"; */
    import "yes1.proto"; import public 'yes2.proto';
    import weak "google/protobuf/empty.proto";
    option note = "import \\"no3.proto\\";";
    message M { string import = 1; option x = "import"; }
    import "sub/yes3.proto";
    """
    assert proto_imports(text) == ["yes1.proto", "yes2.proto", "sub/yes3.proto"]


@pytest.mark.parametrize("name", ["/etc/passwd", "../up.proto", "a//b", "a/../b", "", "a\\b"])
def test_imports_outside_the_folder_are_refused(name: str) -> None:
    with pytest.raises(TaskError) as caught:
        proto_imports(f'import "{name}";')
    assert caught.value.type == ERRORS + "validation"


@pytest.mark.parametrize("piece", ["/*", '"\\"', "'\\'", "{", "import ", "a."])
def test_any_text_is_read_in_one_pass(piece: str) -> None:
    assert proto_imports(piece * (LARGE // len(piece))) == []


def test_the_package_is_the_one_of_the_file() -> None:
    assert proto_package('syntax = "proto3"; package a.b; message M {}') == "a.b"
    assert proto_package("message M {}") == ""
