"""``call: openapi``."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.sdk.executor import JSON, Call, Executor, TaskError
from flunq.sdk.web.authentication import credentials
from flunq.sdk.web.documents import load_document
from flunq.sdk.web.shared import http_client
from flunq_plugins.http_call import OUTPUTS, perform, time_left
from flunq_plugins.openapi_document import References, find_operation
from flunq_plugins.openapi_request import RequestBuilder, invalid

if TYPE_CHECKING:
    from flunq.sdk.context import TaskContext
    from flunq_plugins.http_call import Wanted
    from flunq_plugins.openapi_document import Operation

MAX_OPERATIONS = 1000
"""Operations that are remembered; one is found by looking through its document."""
_KEY = "openapi.operations"


class OpenApiExecutor(Executor):
    """Calls operations that an OpenAPI document describes."""

    kinds = ("openapi",)

    async def execute(self, call: Call, context: TaskContext) -> JSON:
        """Read the document, build the request, send it."""
        await http_client(context)
        seconds, has_deadline = time_left(call, context.settings.request_timeout)
        try:
            async with asyncio.timeout(seconds):
                wanted = await _wanted(call.arguments, context)
        except TimeoutError:
            detail = f"the OpenAPI document did not come within {seconds:.1f} s"
            raise TaskError(
                "timeout" if has_deadline else "communication",
                408 if has_deadline else 504,
                detail=detail,
            ) from None
        return await perform(wanted, call, context)


async def _wanted(arguments: Any, context: TaskContext) -> Wanted:
    if not isinstance(arguments, dict):
        raise invalid("with must be an object")
    output = arguments.get("output") or "content"
    if output not in OUTPUTS:
        raise invalid(f"output must be one of {', '.join(OUTPUTS)}")
    values = arguments.get("parameters")
    if not isinstance(values, dict | None):
        raise invalid("parameters must be an object")
    operation_id = arguments.get("operationId")
    if not isinstance(operation_id, str) or not operation_id:
        raise invalid("operationId must be a text")
    operation, references = await _operation(arguments.get("document"), operation_id, context)
    builder = RequestBuilder(operation, values or {})
    policy = arguments.get("authentication")
    if builder.wants_key and isinstance(policy, dict) and "bearer" in policy:
        # The language has no policy for API keys, and a token is what comes nearest.
        granted = await credentials(policy, context, await http_client(context))
        builder.use_key(granted.parameter)
        policy = None
    wanted = await builder.build(references)
    if builder.unused:
        context.logger.warning("%s has no place for %s", operation_id, ", ".join(builder.unused))
    redirect = arguments.get("redirect") is True
    return msgspec.structs.replace(wanted, policy=policy, output=output, redirect=redirect)


async def _operation(
    resource: Any, operation_id: str, context: TaskContext
) -> tuple[Operation, References]:
    root = await load_document(resource, context)
    references = References(root, resource, context)
    cache: OrderedDict[Any, Operation] = context.shared.kept.setdefault(_KEY, OrderedDict())
    key = root.uri, root.digest, operation_id
    operation = cache.get(key)
    if operation is None:
        operation = await find_operation(root, operation_id, references)
        if references.within_one_document:
            cache[key] = operation
            while len(cache) > MAX_OPERATIONS:
                cache.popitem(last=False)
    return operation, references
