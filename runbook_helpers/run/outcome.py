"""How a notebook, and a run, can end: the outcomes, and the exit status that stands for each."""

from __future__ import annotations

import re
from enum import Enum

from ..refusals import is_refusal


class Outcome(Enum):
    """Why something ended; `exit_code` is what the command `runbook` ends with."""

    OK = "ok"
    FAILED = "failed"  # for another reason than those below
    BAD_PARAMETERS = "bad_parameters"
    CLOUD_REFUSED = "cloud_refused"  # or did not answer in time
    VM_UNREACHABLE = "vm_unreachable"
    PULL_DENIED = "pull_denied"
    INTERRUPTED = "interrupted"
    NOT_RUN = "not_run"

    @property
    def exit_code(self) -> int:
        return _EXIT_CODES[self]


_EXIT_CODES = {
    Outcome.OK: 0,
    Outcome.FAILED: 1,
    Outcome.BAD_PARAMETERS: 2,
    Outcome.CLOUD_REFUSED: 3,
    Outcome.VM_UNREACHABLE: 4,
    Outcome.PULL_DENIED: 5,
    Outcome.INTERRUPTED: 130,
    Outcome.NOT_RUN: 1,  # a run whose first notebook was not run has failed before it
}

# The names of exception classes: papermill tells of a notebook's exception only its name and its text. A test holds
# this table against the classes.
_OUTCOMES = {
    "ParameterError": Outcome.BAD_PARAMETERS,
    "CloudUnavailable": Outcome.CLOUD_REFUSED,
    "NotReady": Outcome.CLOUD_REFUSED,
    "SignInRefused": Outcome.CLOUD_REFUSED,
    "OperationFailed": Outcome.CLOUD_REFUSED,
    "OperationTimeout": Outcome.CLOUD_REFUSED,
    "PermissionsMissing": Outcome.CLOUD_REFUSED,
    "ConnectionFailed": Outcome.VM_UNREACHABLE,
    "ConnectionLost": Outcome.VM_UNREACHABLE,
    "AccessDenied": Outcome.PULL_DENIED,
    "KeyboardInterrupt": Outcome.INTERRUPTED,
    **dict.fromkeys(
        (
            # azure.core.exceptions
            "AzureError",
            "ClientAuthenticationError",
            "DecodeError",
            "DeserializationError",
            "HttpResponseError",
            "IncompleteReadError",
            "ODataV4Error",
            "ResourceExistsError",
            "ResourceModifiedError",
            "ResourceNotFoundError",
            "ResourceNotModifiedError",
            "ResponseNotReadError",
            "SerializationError",
            "ServiceRequestError",
            "ServiceRequestTimeoutError",
            "ServiceResponseError",
            "ServiceResponseTimeoutError",
            "StreamClosedError",
            "StreamConsumedError",
            "TooManyRedirectsError",
            # azure.identity
            "AuthenticationRequiredError",
            "CredentialUnavailableError",
        ),
        Outcome.CLOUD_REFUSED,
    ),
}
_SIGN_IN_OR_PULL = re.compile(r"`(az login --identity|az acr login|docker pull)\b")


def outcome_of(name: str, text: str) -> Outcome:
    """The outcome that an exception stands for.

    Args:
        name: of its class.
        text: its words; they tell a denied pull from another command that failed.
    """
    command, _, output = text.partition("\n")
    if name == "CommandFailed" and _SIGN_IN_OR_PULL.match(command) and is_refusal(output):
        return Outcome.PULL_DENIED
    return _OUTCOMES.get(name, Outcome.FAILED)
