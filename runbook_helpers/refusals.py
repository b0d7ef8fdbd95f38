"""Refusals: an answer of Azure that is an error, as one sentence with the name, the cause in Azure's words, and what to do.

They are errors of the SDK too, so that `except ResourceNotFoundError` sees what it always saw.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)

from .answers import UNREADABLE
from .errors import RunbookError
from .foreign_text import shown_text
from .outcome import Outcome

MFA = re.compile(r"\bMFA\b|multi-?factor", re.IGNORECASE)
SECOND_FACTOR = (
    "It must be a sign-in with multi-factor authentication: `az logout`, then `az login` with the second factor (az 2.76 or "
    "newer prints the whole command for it), or use a service principal or a managed identity, and run this step again."
)


class Refused(RunbookError, HttpResponseError):
    """A service of Azure refuses a request."""

    outcome = Outcome.CLOUD_REFUSED

    def __init__(self, sentence: str, answer: Any) -> None:
        HttpResponseError.__init__(self, sentence, answer)
        self.message = sentence  # the SDK's own has the text twice
        self.args = (sentence,)

    def __str__(self) -> str:
        return shown_text(self.message)


class NotFoundInAzure(Refused, ResourceNotFoundError):
    """What is asked for does not exist."""


class Conflict(Refused, ResourceExistsError):
    """What is there already, or its state, does not admit it."""


class Unauthenticated(Refused, ClientAuthenticationError):
    """The token of the request is not accepted."""


@dataclass(frozen=True)
class Cause:
    """The cause in Azure's words."""

    code: str
    message: str

    def __str__(self) -> str:
        return f"({self.code}) {self.message}" if self.code else self.message


_KINDS = {401: Unauthenticated, 404: NotFoundInAzure, 409: Conflict}
_VERBS = {"GET": "show", "HEAD": "show", "PUT": "make", "PATCH": "change", "DELETE": "delete"}
_NOUNS = {
    "subscriptions": "subscription", "resourcegroups": "resource group", "registries": "registry", "virtualmachines": "VM",
    "userassignedidentities": "identity", "roleassignments": "role assignment", "roledefinitions": "role definition",
    "networkinterfaces": "network interface", "networksecuritygroups": "network security group",
    "publicipaddresses": "public IP address", "virtualnetworks": "network", "providers": "resource provider",
}  # fmt: skip
_SUBSCRIPTION = (
    "Is subscription_id right? `az account list --query [].id` lists those of the sign-in; another cloud or tenant has others: "
    "`az cloud set -n {cloud}`, then `az login`."
)
_SIGN_IN_AGAIN = (
    "Sign in to the right cloud: `az cloud set -n {cloud}`, then `az login{tenant}`, and run this step again."
)
_REGION = "Choose another location: `az account list-locations --query [].name` lists them."
_SIZE = "Choose another size, or another resource group in another region, or run this step again later."
# By Azure's codes, or by its status; the first that fits. Each answer has one of them.
_ADVICE = (
    ("SubscriptionNotFound|InvalidSubscriptionId", _SUBSCRIPTION),
    ("ExpiredAuthenticationToken", f"A new token is refused, too: is this machine's clock right? {_SIGN_IN_AGAIN}"),
    ("InvalidAuthenticationToken|AuthenticationFailed", _SIGN_IN_AGAIN),
    ("AuthorizationFailed", "`runbook check` says which roles are missing; a new one counts after some minutes, and a new "
     "sign-in."),
    ("RequestDisallowedByPolicy|PolicyViolation", "No role mends that: where the policy demands tags, give them with the "
     "parameter tags (`-p tags '{{costCenter: \"42\"}}'`); where it demands something else, such as a region or a size, choose "
     "what it allows; or ask who assigned it for an exemption."),
    ("DisabledSubscription|SubscriptionNotRegistered", "Use another subscription, or ask its owner to enable it."),
    ("MissingSubscriptionRegistration", "`az provider register --namespace` with the one that is named, then run this step "
     "again."),
    ("Location|NoRegisteredProviderFound|Region", _REGION),
    ("Allocat|SkuNotAvailable|ZonalA|Capacity|InvalidVMSize|NotAvailableForSubscription", _SIZE),
    ("Quota|LimitReached|LimitExceeded", "Ask for a higher quota, or choose another size, and run this step again."),
    ("AlreadyInUse|AlreadyExists|NameNotAvailable", "Choose another name."),
    ("ScopeLocked", "`az lock list` shows the lock: ask who keeps it."),
    ("ResourceGroupNotFound", "Is resource_group right, and the subscription? The notebooks make one that is missing."),
    ("ResourceGroupBeingDeleted|AnotherOperation|OperationInProgress|RetryableError", "Run this step again when that is done."),
    ("TAG_UNKNOWN|MANIFEST_UNKNOWN|NAME_UNKNOWN|NAME_INVALID", "`az acr repository show-tags` lists what the registry has."),
    ("FailedIdentityOperation", "Where an identity that the VM names is gone, detach it with remove_identity or `az vm identity "
     "remove --identities` and its id, and run this step again."),
    ("PrincipalNotFound|UnmatchedPrincipal", "The assignee is the principal id of the identity, not its client id or name."),
)  # fmt: skip
# Where the code says too little: by Azure's words.
_BY_WORDS = (
    (r"\bquota\b", "Ask for a higher quota, or choose another size, and run this step again."),
    (
        "for the VM size|VM size .* is not",
        "Choose another vm_size: `az vm list-sizes --location` with the location lists them.",
    ),
    ("client with IP|is not allowed access", "Admit that address in the registry's network rules."),
)
_BY_STATUS = {
    0: "Run this step again; the activity log in the portal says more.",
    401: _SIGN_IN_AGAIN,
    403: "Who runs this needs a role there: `runbook check` says which.",
    404: "Is the name right, and the resource group? The notebooks make what is missing.",
    409: "Run this step again when what stands against it is over or gone.",
    501: "The same again will not help: choose what is named, or do without.",
}
_MEND = "Change what it names, and run this step again."


def refusal(asked: Any, answer: Any, cloud: str) -> Refused:
    """The error of an answer.

    Args:
        asked, answer: the request and the response in a pipeline of the SDKs.
        cloud: the name of the cloud.
    """
    status = answer.status_code
    cause = cause_of(answer)
    what = _what(asked, status)
    if cause is None:
        # Azure always says why.
        said = f"the answer was {status} {answer.reason or ''}".rstrip()
        sentence = f"{what}: {said}, in other words than Azure's. Is a proxy on the way? {_advised(_BY_STATUS.get(status, _MEND), cloud)}"
    else:
        sentence = f"{what}: {cause}. {advice(cause, cloud, status)}"
    return _KINDS.get(status, Refused)(sentence, answer)


def cause_of(answer: Any) -> Cause | None:
    """The cause in the body of an answer, as Resource Manager, a registry or Entra says it; None where it says none."""
    try:
        content = json.loads(answer.internal_response.content)
        if isinstance(content.get("errors"), list):  # a registry
            content = {"error": content["errors"][0]}
        found = content.get("error", content)
        if isinstance(found, str):  # Entra
            found = {"code": found, "message": content.get("error_description")}
        return cause_in(found)
    except UNREADABLE:
        return None


def cause_in(error: Any) -> Cause | None:
    """The cause in the error object of an answer, with its details where they say more."""
    if not isinstance(error, dict) or not (error.get("code") or error.get("message")):
        return None
    code = str(error.get("code") or "")
    message = _plain(error.get("message") or "it gives no reason")
    for detail in error.get("details") or ():
        more = cause_in(detail)
        if more and more.message not in message:
            message += f": {more}"
    for policy in _policies(error):
        if policy not in message:
            message += f" (the policy {policy!r})"
    return Cause(code, message)


def _policies(error: dict[str, Any]) -> list[str]:
    """The names of the Azure Policies that an error is of: its message does not always have them."""
    kinds = [each for each in error.get("additionalInfo") or () if each.get("type") == "PolicyViolation"]
    infos = [each.get("info") or {} for each in kinds]
    names = [info.get("policyAssignmentDisplayName") or info.get("policyAssignmentName") for info in infos]
    return [name for name in names if name]


def cause_of_failure(error: HttpResponseError) -> Cause:
    """The cause of a long-running operation's bad end, of which the SDK gives the error object."""
    found = error.error
    if found is None or not found.code:
        return Cause("", _plain((error.message or "it gave no reason").strip().partition("\n")[0]))
    return Cause(found.code, _plain(found.message or "it gave no reason"))


def advice(cause: Cause, cloud: str, status: int = 0) -> str:
    """What to do about a cause.

    Args:
        status: that of the answer; 0 is an operation that had begun.
    """
    if status == 501:
        return _BY_STATUS[501]
    if MFA.search(cause.message):
        return SECOND_FACTOR
    codes = " ".join([cause.code, *re.findall(r"\((\w+)\)", cause.message)])  # of its details, too
    found = next((words for pattern, words in _BY_WORDS if re.search(pattern, cause.message)), None)
    found = found or next((words for pattern, words in _ADVICE if re.search(pattern, codes)), None)
    return _advised(found or _BY_STATUS.get(status, _MEND), cloud, cause.message)


def _advised(words: str, cloud: str, message: str = "") -> str:
    # Azure names the tenant of the token first, and that of the subscription after it.
    tenants = re.findall(r"https://sts\.[\w.-]+/([0-9a-f-]{36})", message)
    return words.format(cloud=cloud, tenant=f" --tenant {tenants[1]}" if len(tenants) > 1 else "")


def _plain(text: object) -> str:
    words = re.sub(r"\s*For more details please go to \S+", "", " ".join(str(text).split()))
    return words.rstrip(".")[:1500]


def _what(asked: Any, status: int) -> str:
    parts = urlsplit(asked.url)
    path = unquote(parts.path)
    if not path.lower().startswith("/subscriptions/"):
        return f"{parts.hostname} refuses {asked.method} {path}"
    subject, rest = _subject(path)
    if asked.method == "POST" and rest:
        return f"Azure refuses {rest} of {subject}"
    if rest:
        return f"Azure refuses to list the {rest} of {subject}"
    if status == 404 and asked.method == "GET":
        return f"Azure does not find {subject}"
    return f"Azure refuses to {_VERBS.get(asked.method, 'change')} {subject}"


def _subject(path: str) -> tuple[str, str]:
    """What a path of Resource Manager names, and the last word where that is an action or a kind of resource."""
    *scopes, last = re.split("/providers/", path.strip("/"), flags=re.IGNORECASE)
    words = last.split("/")
    if scopes and len(words) > 1:
        del words[0]  # the provider's namespace
    elif scopes:
        words = ["providers", *words]
    rest = words.pop() if len(words) % 2 else ""
    if not words:
        return _subject(scopes[-1])[0], rest
    kind, name = words[-2:]
    where = f" at {_subject(scopes[-1])[0]}" if kind.lower() in ("roleassignments", "roledefinitions") else ""
    return f"the {_NOUNS.get(kind.lower(), kind)} {name}{where}", rest
