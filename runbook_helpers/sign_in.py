"""The sign-in to a real cloud: why there is none, in a sentence, and which commands mend it.

The text of azure-identity's error is all there is: it has one class for whatever goes wrong, and DefaultAzureCredential joins
the texts of all its ways to sign in, a line each, without their causes.
"""

from __future__ import annotations

import re

from .clouds import Cloud
from .errors import AGAIN, CloudUnavailable, SignInRefused

_PASSING = re.compile(  # a metadata service that does not exist (IMDS) is none that fails
    r"^(?!.*\bIMDS\b).*(HTTP Error: (429|5\d\d)|to ask again after|unable to connect|failed to establish|failed to resolve"
    r"|connection (aborted|reset|broken)|remote end closed|timed out|max retries|Authentication failed: (?!.*AADSTS))",
    re.IGNORECASE,
)
_ENTRA = re.compile(
    r"AADSTS(\d+): .*?(?=\s*(?:\r|\n|Trace ID:|Correlation ID:|Interactive authentication|To re-authenticate|$))",
    re.DOTALL,
)
_TENANT = "`az cloud set -n {cloud}`, then `az login --tenant` with the tenant of the subscription"
# What Entra's numbers stand for: https://learn.microsoft.com/entra/identity-platform/reference-error-codes
_KINDS = (
    ("700082 700081 700084 50173 70043 70044 70008 50089 50132 50133 50078 50013",
     "The sign-in to {cloud} has expired ({words}): sign in again, {again}."),
    ("50076 50079 50072 50074 50158 53000 53003",
     "{cloud} wants more for this sign-in, such as a second factor ({words}): `az logout`, then {again}."),
    ("500011 500014 50001 90002 50020 50034 90072 700016 900382 900439 90038 650057 50128 50059 700213 900971",
     "The sign-in is of another cloud or tenant than the one of {cloud} that is meant ({words}): {elsewhere}."),
    ("7000215 7000222 7000216 700027 7000112 50126 50057", "{authority} does not accept the sign-in ({words}): {again}."),
)  # fmt: skip
_ATTEMPT = re.compile(
    r"^\t(\w+Credential): (.*?)(?=^\t\w+Credential: |^To mitigate this issue|\Z)", re.MULTILINE | re.DOTALL
)
_ENVIRONMENT = "AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"


def sign_in_error(error: Exception, cloud: Cloud) -> Exception:
    """The error of a sign-in that failed: azure-identity's, in our words."""
    text = str(error)
    passing = next((line.strip() for line in text.splitlines() if _PASSING.search(line)), None)
    if passing:
        return CloudUnavailable(
            f"No sign-in at {cloud.authority}: {passing.removesuffix(AGAIN).strip(' .')[:600]}. {AGAIN}"
        )
    attempts = {name: _reason(words, name) for name, words in _ATTEMPT.findall(text)}
    tried = "".join(f"\n- {name}: {reason}" for name, reason in attempts.items())
    if tried:
        tried = f"\nWhat was tried, and why it failed:{tried}"
    return SignInRefused(f"{_sentence(text, attempts, cloud)}{tried}")


def _sentence(text: str, attempts: dict[str, str], cloud: Cloud) -> str:
    commands = f"`az cloud set -n {cloud.name}`, then `az login`"
    challenge = re.search(r"(az login --claims-challenge .*)", text)
    if challenge:
        return (
            f"{cloud.name} wants a sign-in with multi-factor authentication for what makes or changes something: `az logout`, "
            f"then `{challenge[1].strip()}` (azure-cli 2.76 or newer), and run this step again."
        )
    said = _ENTRA.search(text)
    if not said:
        if not attempts:
            return f"No sign-in at {cloud.authority}: {text.partition(chr(10))[0].rstrip('.')}. Sign in: {commands}."
        missing = "not found on path" in attempts.get("AzureCliCredential", "")
        other = f" (azure-cli is not installed here: install it, or set {_ENVIRONMENT})" if missing else ""
        return f"Nobody is signed in to {cloud.name}: {commands}{other}, and run this step again."
    number, words = said[1], " ".join(said[0].split()).rstrip(".")
    again, elsewhere = commands, _TENANT.format(cloud=cloud.name)
    if "EnvironmentCredential" in list(attempts)[-1:]:  # the chain ends where one is refused
        again = elsewhere = f"correct {_ENVIRONMENT}, or unset them and sign in with {commands}"
    kind = next(
        (form for numbers, form in _KINDS if number in numbers.split()), "No sign-in at {authority} ({words}): {again}."
    )
    names = {"cloud": cloud.name, "authority": cloud.authority, "words": words, "again": again, "elsewhere": elsewhere}
    return kind.format(**names)


def _reason(words: str, name: str) -> str:
    """What azure-identity says of one way to sign in, in its first sentences and without advice of its own."""
    said = _ENTRA.search(words)
    if said:
        return " ".join(said[0].split())
    text = " ".join(words.split())
    text = re.sub(rf"^(?:{name}|\w+Credential) (?:authentication )?unavailable\.\s*", "", text)
    text = re.split(r"\s*(?:Visit https|See the troubleshooting|To mitigate|Please visit|You must also)", text)[0]
    return (text or "there is none here").rstrip(".")[:300]
