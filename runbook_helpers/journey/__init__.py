"""The token's journey: who asked whom for what, from the grant to the pulled image."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..arguments import checked
from ..clouds import REGISTRY_AUDIENCE
from ..connection import Azure
from ..verbs.identities import identity_claims, identity_of
from ..verbs.registries import show_registry
from ..verbs.roles import role_assignments
from ..verbs.virtual_machines import show_vm
from . import svg
from .steps import AGAIN, METADATA, PULL, VM, Step, audience_name, from_commands, grant_step, readable
from .traffic import from_traffic

if TYPE_CHECKING:
    from azure.mgmt.compute.models import VirtualMachine

SIGNED = "Signatures are left out. The VM asks only the metadata service, which in Azure has Entra ID sign its tokens."
OUTSIDE = "Azure does not show what it was asked: these are the commands of this session and their outcome."


@dataclass(frozen=True)
class Journey:
    """A sign-in and a pull, step by step. Shown as a picture where pictures can be shown, and as text elsewhere."""

    title: str
    steps: list[Step]
    outcome: str
    """The end, in a sentence."""
    notes: list[str]
    subtitles: dict[str, str]
    """The texts under the names of those who took part."""

    def __repr__(self) -> str:
        lines = [self.title]
        part = ""
        shown: list[dict[str, str]] = []
        for step in self.steps:
            if step.part != part:
                part = step.part
                lines += ["", part]
            mark = "✗ " if step.refused else ""
            lines.append(f"  {step.source} → {step.target}: {step.what} → {mark}{step.status}")
            if step.claims in shown:
                lines.append(f"      {AGAIN}")
            elif step.claims:
                shown.append(step.claims)
                lines += [f"      {name:<12}{value}" for name, value in step.claims.items()]
        return "\n".join([*lines, "", self.outcome, *self.notes])

    def as_svg(self) -> str:
        """The picture, as the text of an SVG file."""
        return svg.draw(self.title, self.steps, self.outcome, self.notes, self.subtitles)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        # JupyterLab does not show the SVG of a notebook that it does not trust, and that is each one until it has run.
        # In an <img> it does; and percent-encoded, a kept notebook can be compared with another.
        source = "data:image/svg+xml," + quote(self.as_svg(), safe=" '/:;,=()")
        alt = escape(f"{self.title}. {self.outcome}")
        return {"text/html": f'<img alt="{alt}" src="{source}">', "text/plain": repr(self)}


@checked
def show_journey(azure: Azure, vm_name: str, registry_name: str, identity_id: str | None = None) -> Journey:
    """The journey of a VM's latest sign-in and pull with an identity, and the grant that it rests on.

    In the sandbox it is drawn from the requests that the sandbox answered. A real cloud does not show them: then it is
    drawn from the commands that this session ran on the VM and from what the VM's tokens say, without their signatures.

    Args:
        identity_id: as for `az_login`.

    Raises:
        azure.core.exceptions.ResourceNotFoundError: no such VM or registry is in the resource group.
    """
    vm, registry = show_vm(azure, vm_name), show_registry(azure, registry_name)
    login_server, vm_id = str(registry.login_server), str(vm.vm_id)
    resource_id, principal_id = _identity(azure, vm, identity_id)
    if azure.traffic:
        requests, tokens, limits = azure.traffic(), [], []
        walked = from_traffic(requests, azure.cloud, vm_id, resource_id, identity_id, login_server)
    else:
        requests, tokens, limits = azure.journal.requests, _tokens(azure, vm_name, identity_id), [OUTSIDE]
        walked = from_commands(azure.journal.commands, vm_id, identity_id, registry_name, login_server)
    grants, notes = _grants(azure, requests, principal_id, str(registry.id))
    identity = "its own identity" if resource_id.lower() == str(vm.id).lower() else resource_id.rpartition("/")[2]
    return Journey(
        f"The token's journey: {vm_name} to {registry_name}, with {identity}",
        [*sorted(walked + grants, key=lambda step: step.moment), *tokens],
        _outcome(walked),
        [*notes, *limits, SIGNED],
        {VM: vm_name, "Registry": registry_name},
    )


def _identity(azure: Azure, vm: VirtualMachine, identity_id: str | None) -> tuple[str, str | None]:
    """The resource id of an identity (of the VM itself for its own), and its principal id where it has one."""
    from azure.core.exceptions import ResourceNotFoundError
    from azure.mgmt.core.tools import parse_resource_id

    resource_id, principal_id = identity_of(vm, identity_id)
    if resource_id is None or principal_id is not None:
        return resource_id or str(vm.id), principal_id
    parts = parse_resource_id(resource_id)
    if str(parts["subscription"]).lower() != azure.subscription_id.lower():  # another of the same name may be in ours
        return resource_id, None
    identities = azure.identities.user_assigned_identities
    try:  # the VM does not have it, or no longer
        return resource_id, identities.get(str(parts["resource_group"]), str(parts["name"])).principal_id
    except ResourceNotFoundError:
        return resource_id, None


def _grants(
    azure: Azure, requests: list[dict[str, Any]], principal_id: str | None, scope: str
) -> tuple[list[Step], list[str]]:
    """The requests that made the identity's role assignments on the registry, and what is to be said of the others."""
    if principal_id is None:
        return [], ["The identity's principal is not known, and so neither is a role that it has."]
    assignments = role_assignments(azure, assignee=principal_id, scope=scope)
    if not assignments:
        return [], ["The identity has no role on the registry now."]
    steps, notes = [], []
    for assignment in assignments:
        role = azure.authorization.role_definitions.get_by_id(str(assignment.role_definition_id)).role_name
        claims = {"principalId": principal_id, "role": str(role), "scope": str(assignment.scope)}
        step = grant_step(requests, str(assignment.name), claims)
        if step:
            steps.append(step)
        else:
            notes.append(f"The role {role} was granted earlier.")
    return steps, notes


def _tokens(azure: Azure, vm_name: str, identity_id: str | None) -> list[Step]:
    """The claims of the VM's tokens: asked for anew, since a command does not show those that it used."""
    steps = []
    for audience in (azure.cloud.audiences[0], REGISTRY_AUDIENCE):
        claims = identity_claims(azure, vm_name, audience, identity_id)
        if claims is not None:
            what = f"GET token: {audience_name(audience, azure.cloud)}"
            steps.append(Step("curl, for this picture", VM, METADATA, what, "a token", readable(claims)))
    return steps


def _outcome(steps: list[Step]) -> str:
    if not steps:
        return "There was no sign-in with this identity."
    last = [step for step in steps if step.part == steps[-1].part]
    if last[-1].part == PULL and not last[-1].refused:
        return "The image is pulled."
    refused = [step for step in last if step.refused]
    return f"Refused: {refused[-1].what} ({refused[-1].status})." if refused else "Signed in; nothing was pulled."
