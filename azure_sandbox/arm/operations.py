"""Long-running operations: what a provider starts, and what a client polls until it has ended.

What an operation does is done already when it starts. It is only shown as in progress as long as the sandbox's
operation_seconds say, and a fault may let it be stuck, or fail.
"""

from __future__ import annotations

import uuid

from ..faults.rules import FailedOperation, StuckOperation
from ..resource import Json
from . import errors
from .call import Call

_ALLOCATION = (
    "AllocationFailed",
    "Allocation failed. We do not have sufficient capacity for the requested VM size in this region. Read more about "
    "improving likelihood of allocation success at http://aka.ms/allocation-guidance",
)
_INTERNAL = ("InternalServerError", "An error occurred.")


def new_id() -> str:
    return str(uuid.uuid4())


def path(call: Call, provider: str, location: str, kind: str, name: str = "") -> str:
    """Where a provider keeps its operations: below a location; `kind` is operations or operationResults."""
    return f"{call.tenant.subscription}/providers/{provider}/locations/{location}/{kind}/{name or new_id()}"


def start(
    call: Call,
    path: str,
    *,
    word: str = "InProgress",
    result: Json | None = None,
    state: str = "Updating",
    error: Json | None = None,
) -> str:
    """Note a long-running operation under `path` and return the URL that clients poll.

    Meanwhile its status is the provider's `word` for that; `result` is what it ends with, or the `error`
    that it fails with. Where a fault lets it be stuck, the resource is in the provisioning state `state`.
    """
    clock = call.tenant.clock
    document = {
        "name": path.rpartition("/")[2],
        "startTime": clock.offset_timestamp(),
        "done": clock.now() + clock.settings.operation_seconds,
        "word": word,
        "result": result,
        **({"error": error} if error else {}),
        **_faulty(call, state),
    }
    call.tenant.store.write("operation", path, document)
    return f"{call.base_url}{path}?api-version={call.api_version}"


def _faulty(call: Call, state: str) -> Json:
    """What a fault makes of the operation that the request starts, and of its resource."""
    pending = call.tenant.pending
    fault = call.fault(StuckOperation) or call.fault(FailedOperation)
    leaves = call.request.method in ("PUT", "PATCH")
    if fault is None:
        pending.done(str(call.id))
        return {}
    if isinstance(fault, StuckOperation):
        if leaves:
            pending.leave(str(call.id), state, fault.id)
        return {"stuck": fault.id}
    call.failed = True
    if leaves:
        pending.leave(str(call.id), "Failed", None)
    compute = call.id.provider.lower() == "microsoft.compute"
    code, message = _ALLOCATION if compute and leaves else _INTERNAL
    return {"error": {"code": fault.code or code, "message": fault.message or message}}


def polled(call: Call) -> Json:
    """The operation that is polled: its document, with `status` and, when it has ended, `endTime`.

    Where it has failed it has `error` too.
    """
    document = call.tenant.store.read("operation", call.request.url.path)
    if document is None:
        raise errors.operation_not_found()
    error = document.pop("error", None)
    stuck = "stuck" in document and call.tenant.faults.has(document["stuck"])
    if stuck or document["done"] > call.tenant.clock.now():
        return {**document, "status": document["word"]}
    ended = {**document, "endTime": call.tenant.clock.offset_timestamp()}
    return {**ended, "status": "Failed", "error": error} if error else {**ended, "status": "Succeeded"}


def polled_result(call: Call) -> Json:
    """As `polled`, for the address that answers with the result; raises what a failed operation ends with."""
    operation = polled(call)
    if "error" in operation:
        raise errors.operation_failed(operation["error"])
    return operation


def status(operation: Json) -> Json:
    """What most providers answer to a poll."""
    return {key: operation[key] for key in ("status", "error") if key in operation}
