"""Where proto files come from, and what becomes of bad ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flunq.sdk.context import ExecutorContext, TaskContext
from flunq.sdk.executor import ERRORS, TaskError
from flunq.sdk.testing import LOCAL
from flunq_plugins.grpc_schema import Schemas
from flunq_plugins.grpc_sources import Loader, Sources
from tests.support.http_stub import Answer, HttpStub

if TYPE_CHECKING:
    from pathlib import Path

TYPES = 'syntax = "proto3"; package acme.common; message Name { string text = 1; }'
SERVICE = """
syntax = "proto3";
package acme.greet;
import "acme/common/types.proto";
service Greeter { rpc Hello(acme.common.Name) returns (acme.common.Name); }
"""


async def load(proto: Any, **members: Any) -> Sources:
    return await Loader().load(proto, TaskContext(ExecutorContext(LOCAL, **members)))


async def refused(entry: str, **files: str) -> TaskError:
    with pytest.raises(TaskError) as caught:
        await Schemas().of(Sources(entry="a.proto", files={"a.proto": entry} | files))
    return caught.value


class TestFiles:
    async def test_imports_stand_beside_the_file(self, tmp_path: Path) -> None:
        (tmp_path / "acme/common").mkdir(parents=True)
        (tmp_path / "acme/common/types.proto").write_text(TYPES)
        (tmp_path / "service.proto").write_text(SERVICE)
        sources = await load({"endpoint": (tmp_path / "service.proto").as_uri()})
        assert sources.files == {"service.proto": SERVICE, "acme/common/types.proto": TYPES}

    async def test_imports_stand_where_the_folders_of_the_package_begin(self) -> None:
        async with HttpStub() as stub:
            stub.answer("/protos/acme/greet/v.proto", Answer(body=SERVICE.encode()))
            stub.answer("/protos/acme/greet/acme/common/types.proto", Answer(404))
            stub.answer("/protos/acme/common/types.proto", Answer(body=TYPES.encode()))
            sources = await load({"endpoint": f"{stub.url}/protos/acme/greet/v.proto"})
        assert set(sources.files) == {"v.proto", "acme/common/types.proto"}

    async def test_imports_are_fetched_with_the_same_credentials(self) -> None:
        async with HttpStub() as stub:
            stub.answer("/s.proto", Answer(body=SERVICE.encode()))
            stub.answer("/acme/common/types.proto", Answer(body=TYPES.encode()))
            policy = {"bearer": {"token": "t"}}
            endpoint = {"uri": f"{stub.url}/s.proto", "authentication": policy}
            await load({"endpoint": endpoint})
        assert [r.headers["authorization"] for r in stub.requests] == ["Bearer t", "Bearer t"]

    async def test_bundled_imports_are_found_by_name(self) -> None:
        bundle = {"d1": SERVICE.encode(), "d2": TYPES.encode()}

        async def bundled(digest: str) -> bytes:
            return bundle[digest]

        imports = {"acme/common/types.proto": {"endpoint": "flunq-resource:d2"}}
        proto = {"endpoint": "flunq-resource:d1", "imports": imports}
        sources = await load(proto, bundled=bundled)
        await Schemas().of(sources)
        assert sources.files["acme/common/types.proto"] == TYPES

    async def test_a_missing_import_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "service.proto").write_text(SERVICE)
        with pytest.raises(TaskError) as caught:
            await load({"endpoint": (tmp_path / "service.proto").as_uri()})
        assert caught.value.type == ERRORS + "configuration"
        assert "acme/common/types.proto" in str(caught.value.detail)

    async def test_too_many_files_are_refused(self, tmp_path: Path) -> None:
        for number in range(70):
            text = f'syntax = "proto3"; import "f{number + 1}.proto";'
            (tmp_path / f"f{number}.proto").write_text(text)
        with pytest.raises(TaskError) as caught:
            await load({"endpoint": (tmp_path / "f0.proto").as_uri()})
        assert caught.value.title == "The proto file is too large"


class TestCompiling:
    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ('syntax = "proto3"; message M { strin a = 1; }', "strin"),
            ("this is no proto file", "Expected top-level statement"),
            ('syntax = "proto3"; ' + "message M {" * 100_000, "recursion limit"),
            ('syntax = "proto3"; import "b.proto";', "b.proto"),
            ("\0" * 1000, "Invalid control characters"),
        ],
        ids=["type", "text", "deep", "import", "binary"],
    )
    async def test_a_bad_file_is_a_configuration_error_with_the_reason(
        self, text: str, reason: str
    ) -> None:
        error = await refused(text)
        assert error.type == ERRORS + "configuration"
        assert reason in str(error.detail)
        assert "/tmp" not in str(error.detail)

    async def test_what_the_compiler_cannot_finish_leaves_the_engine_alive(self) -> None:
        fields = "".join(f"message M{n} {{ repeated M{n} m = 1; }}" for n in range(200_000))
        error = await refused(f'syntax = "proto3"; {fields}' + "message Open {")
        assert error.type == ERRORS + "configuration"
        schema = await Schemas().of(Sources(entry="a.proto", files={"a.proto": "service S {}"}))
        with pytest.raises(TaskError, match="has no method"):
            schema.method("S", "M")

    async def test_the_same_sources_compile_once(self) -> None:
        schemas = Schemas()
        sources = Sources(entry="a.proto", files={"a.proto": "service S {}"})
        assert await schemas.of(sources) is await schemas.of(sources)

    async def test_two_packages_may_have_a_service_of_the_same_name(self) -> None:
        files = {
            "a.proto": 'syntax = "proto3"; package a; import "b.proto"; service S {}',
            "b.proto": 'syntax = "proto3"; package b; service S {}',
        }
        schema = await Schemas().of(Sources(entry="a.proto", files=files))
        with pytest.raises(TaskError, match="several services"):
            schema.method("S", "M")
        with pytest.raises(TaskError, match=r"a\.S has no method"):
            schema.method("a.S", "M")
