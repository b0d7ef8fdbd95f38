"""A command that ended on a VM, and what kind of failure it was: the one place that judges what a program printed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum


class FailureKind(Enum):
    """Kinds of failures of a command; the value is what to do about it."""

    REFUSED = (
        "Look at the roles of the identity that the VM {vm} signs in with, on the registry, and at their conditions: a new "
        "one may take Azure ten minutes. Where they are right, acr_login signs Docker in anew; then run this step again."
    )
    NOT_SIGNED_IN = (
        "Azure CLI on the VM {vm} is not signed in, which waiting does not change: az_login comes first, then run this step "
        "again."
    )
    NOT_INSTALLED = "A program is not installed on the VM {vm}: install_docker or install_azure_cli comes first, then run this step again."
    NOT_ADMITTED = (
        "The registry's network rules do not admit the VM {vm}, and no role mends that: admit the address that is named "
        "(`az acr network-rule add --name <registry> --ip-address <address>`), or give the VM's network a private endpoint to "
        "the registry. Where `az acr show --query publicNetworkAccess` says Disabled, only that helps, or enabling it."
    )
    NO_SUCH_IMAGE = (
        "The registry has no such image, which no role mends: `az acr repository show-tags` lists the tags that it has."
    )
    LOCKED = (
        "The image, or its repository, is locked in the registry, which no role mends: `az acr repository update --name "
        "<registry> --image <image> --read-enabled true` opens it, with --repository for --image the whole repository."
    )
    OTHER_PLATFORM = (
        "The image is for other platforms than that of the VM {vm}: put one for its platform into the registry, or use a VM "
        "of another size."
    )
    BAD_REFERENCE = (
        "That is no image's reference: it is <login server>/<repository>:<tag> or …@sha256:<digest>, in lower case."
    )
    NO_SUCH_HOST = (
        "The VM {vm} finds no host of this name: a login server may have a domain name label, which `az acr show --name "
        "<registry> --query loginServer` shows; if the name is right, look at the VM's DNS."
    )
    DISK_FULL = "The disk of the VM {vm} is full: free space on it (`df -h` shows where), then run this step again."
    APT_LOCKED = "Another apt is at work on the VM {vm}: run this step again when it has ended."
    DOCKER_DOWN = (
        "Docker does not run on the VM {vm}: `sudo systemctl status docker` there says why; then run this step again."
    )
    SERVICE_DOWN = (
        "A service that the VM {vm} asked does not answer as it should: run this step again, later if it stays."
    )
    NETWORK = (
        "The VM {vm} did not get what it asked the network for: run this step again; if it stays, look at the VM's network "
        "and its sources."
    )
    OTHER = "That was on the VM {vm}: mend the cause, then run this step again."

    @property
    def lasts(self) -> bool:
        """Whether the same command fails again however often it is run, until somebody changes something."""
        return self in (
            FailureKind.NOT_SIGNED_IN,
            FailureKind.NOT_INSTALLED,
            FailureKind.NOT_ADMITTED,
            FailureKind.NO_SUCH_IMAGE,
            FailureKind.LOCKED,
            FailureKind.OTHER_PLATFORM,
            FailureKind.BAD_REFERENCE,
        )

    @property
    def is_refusal(self) -> bool:
        """Whether Azure or a registry has said no, whatever the reason."""
        return self in (FailureKind.REFUSED, FailureKind.NOT_ADMITTED)


# What docker, `az login` and `az acr login` print for an answer 401 or 403, of a registry or of Azure. "permission denied"
# is the VM's own: docker's socket, or a file of docker's or az's that cannot be read; without it docker asks as nobody.
_ASKS_AS_THE_IDENTITY = re.compile(r"(az login --identity|az acr login|docker pull)\b")
_REFUSED = re.compile(
    r"(?!.*permission denied).*(unauthorized|\bdenied:|access denied|\b403 forbidden|response code: 40[13]\b"
    r"|no access was configured)",
    re.IGNORECASE | re.DOTALL,
)
# What a registry answers before it looks at roles, or after; the words of docker, containerd and azure-cli.
_ANSWERED = {
    FailureKind.NOT_ADMITTED: "is not allowed access|connectivity_forbidden_error|you don't have access to registry",
    FailureKind.OTHER_PLATFORM: "no match(ing manifest)? for (platform|.* in the manifest list)",
    FailureKind.NO_SUCH_IMAGE: r"manifest unknown|name unknown|\bmanifest for \S+ not found",
    FailureKind.LOCKED: "operation is disallowed on this registry",
    FailureKind.BAD_REFERENCE: "invalid reference format|invalid tag format|must be lowercase",
}
_PRINTED = {
    FailureKind.NOT_SIGNED_IN: "please run 'az login' to (setup|access)|there are no active accounts",
    FailureKind.NO_SUCH_HOST: "no such host",
    FailureKind.DISK_FULL: "no space left on device|enough free space",
    FailureKind.APT_LOCKED: "could not get lock|unable to (lock|acquire the dpkg)",
    FailureKind.DOCKER_DOWN: "cannot connect to the docker daemon",
    FailureKind.SERVICE_DOWN: "too ?many ?requests|internal server error|bad gateway|service ?unavailable|gateway time-?out"
    "|did not issue a challenge",
    FailureKind.NETWORK: "failed to fetch|hash sum mismatch|could not resolve|temporary failure|connection (failed|timed out)",
}


@dataclass(frozen=True)
class Completed:
    """A command that ended."""

    command: str
    exit_status: int
    stdout: str
    stderr: str
    left_out: int = 0
    """Bytes of both streams that are not kept; a line stands in their place."""

    @property
    def failure(self) -> FailureKind:
        """The kind of failure, where the exit status is not 0."""
        if self.exit_status == 127 and re.match("(sudo )?(az|docker) ", self.command):
            return FailureKind.NOT_INSTALLED
        if _ASKS_AS_THE_IDENTITY.match(self.command):
            if answered := _first(_ANSWERED, self.stderr):
                return answered
            if _REFUSED.match(self.stderr):
                return FailureKind.REFUSED
        return _first(_PRINTED, self.stderr + self.stdout) or FailureKind.OTHER


def _first(kinds: dict[FailureKind, str], printed: str) -> FailureKind | None:
    return next((kind for kind, pattern in kinds.items() if re.search(pattern, printed, re.IGNORECASE)), None)
