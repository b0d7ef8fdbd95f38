"""The arguments of verbs, checked before anything is called: names by the rules of the parameters, ids by those here."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from .answers import reads_answers
from .errors import ParameterError
from .parameters import RULES, Rule, problems
from .secrets import shown

P = ParamSpec("P")
T = TypeVar("T")
_GUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_GROUP = f"/subscriptions/{_GUID}/resourcegroups/[^/]+"


def _pattern(pattern: str, words: str) -> Rule:
    compiled = re.compile(pattern, re.IGNORECASE)
    return Rule(str, lambda value: compiled.fullmatch(value) is not None, words)


IDS = {
    "scope": _pattern(
        f"/|/subscriptions/{_GUID}|{_GROUP}|{_GROUP}/providers/[^/]+(?:/[^/]+/[^/]+)+"
        "|/providers/Microsoft.Management/managementGroups/[^/]+",
        "be a resource id, as `show_registry(azure, registry_name).id` or `az acr show --query id` gives it",
    ),
    "assignee": _pattern(
        _GUID,
        "be a principal id, as `show_identity(azure, identity_name).principal_id` or `az identity show --query principalId` "
        "gives it, not a name and not a client id",
    ),
    "identity_id": _pattern(
        f"{_GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/[^/]+",
        "be the resource id of a user-assigned identity, as `show_identity(azure, identity_name).id` or `az identity show "
        "--query id` gives it",
    ),
    "role": _pattern(r"[^'\0-\x1f]{1,512}", "be a role's name, for instance AcrPull"),
}
"""The rules of arguments that are no parameters."""


def checked(verb: Callable[P, T]) -> Callable[P, T]:
    """A verb whose arguments are checked where a rule has their name; None, where a verb takes it, is none of them.

    Raises (when it is called):
        ParameterError: every problem, one sentence each.
        CloudUnavailable: there is no sense in an answer.
    """
    signature, reading = inspect.signature(verb), reads_answers(verb)

    @functools.wraps(verb)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        check_arguments(**signature.bind(*args, **kwargs).arguments)
        return reading(*args, **kwargs)

    return call


def check_arguments(**given: object) -> None:
    """Check those of the arguments that have a rule.

    Raises:
        ParameterError: every problem, one sentence each.
    """
    found = problems({name: value for name, value in given.items() if name in RULES and value is not None})
    for name, rule in IDS.items():
        value = given.get(name)
        if value is not None and not (isinstance(value, rule.kind) and rule.accepts(value)):
            found.append(f"{name} must {rule.words}; it is {shown(value)}.")
    if found:
        raise ParameterError(found)
