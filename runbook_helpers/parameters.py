"""The rules for every parameter of the notebooks. All that is wrong is listed at once, before anything is called."""

from __future__ import annotations

import ast
import difflib
import ipaddress
import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import parameter_file
from .clouds import CLOUDS
from .errors import ParameterError
from .files import why_unwritable
from .secrets import is_secret_name, secret_in, shown, shown_name

PARAMETER_FILES = Path(__file__).parents[1] / "parameters"
SANDBOX_SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
_REPOSITORY = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
_TAG = r"\w[\w.-]{0,127}"
_DIGEST = r"sha256:[0-9a-f]{64}"
_REFERENCE = re.compile(rf"(?P<repository>{_REPOSITORY})(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_DIGEST}))?", re.ASCII)
_HOST = r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?"


@dataclass(frozen=True)
class Rule:
    """A rule for one parameter: what it must be."""

    kind: type
    accepts: Callable[[Any], bool]
    words: str
    """The rule in words, to follow "must"."""


def _pattern(pattern: str, words: str) -> Rule:
    compiled = re.compile(pattern, re.ASCII)
    return Rule(str, lambda value: compiled.fullmatch(value) is not None, words)


# What .NET's \w stands for in Azure's own pattern, which \w of Python is not: ① is no letter there.
_WORD = {"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Nd", "Pc"}


def _is_resource_group(value: str) -> bool:
    letters = all(each in "-.()" or (unicodedata.category(each) in _WORD and each <= "\uffff") for each in value)
    return letters and 1 <= len(value) <= 90 and not value.endswith(".")


# https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-reserved-resource-name
_RESERVED = re.compile(
    "login.*|.*(microsoft|windows).*|access|azure|bing|bizspark|biztalk|cortana|directx|dotnet|dynamics|excel|exchange|"
    "forefront|groove|hololens|hyperv|kinect|lync|msdn|o365|office|office365|onedrive|onenote|outlook|powerpoint|"
    "sharepoint|skype|visio|visualstudio|xbox",
    re.IGNORECASE,
)


def _is_registry_name(value: str) -> bool:
    return re.fullmatch("[A-Za-z0-9]{5,50}", value) is not None and not _RESERVED.fullmatch(value)


def _is_ssh_source(value: str) -> bool:
    if not re.fullmatch(r"[0-9.]+(/([1-9]|[12][0-9]|3[0-2]))?", value):  # Python also takes /255.255.255.0 and /032
        return False
    try:
        return ipaddress.ip_network(value).version == 4
    except ValueError:
        return False


def _are_tags(value: Mapping[object, object]) -> bool:
    names = [name for name in value if isinstance(name, str) and re.fullmatch(r"[^<>%&\\?/\0-\x1f]{1,512}", name)]
    texts = [text for text in value.values() if isinstance(text, str) and len(text) <= 256]
    # Names that differ in case alone are the same to Azure.
    distinct = {name.lower() for name in names} - {"made-by"}
    return len(names) == len(texts) == len(distinct) == len(value) < 50


def _elsewhere(like: str, words: str) -> Rule:
    return Rule(str, lambda value: value == "" or RULES[like].accepts(value), f"be empty, or {words}")


def _is_image(value: str) -> bool:
    match = _REFERENCE.fullmatch(value)
    return match is not None and bool(match["tag"] or match["digest"]) and len(match["repository"]) <= 255


def _is_source_image(value: str) -> bool:
    host, _, image = value.partition("/")
    return re.fullmatch(_HOST, host) is not None and _is_image(image)


RULES: dict[str, Rule] = {
    "cloud": Rule(str, CLOUDS.__contains__, f"be one of {', '.join(CLOUDS)}"),
    "sandbox": Rule(bool, lambda value: True, "be true or false"),
    "subscription_id": _pattern(
        r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "be a GUID, as `az account show` prints it"
    ),
    "resource_group": Rule(
        str,
        _is_resource_group,
        "have 1 to 90 letters and digits of any script, '_', '-', '.', '(' or ')', and not end with '.'",
    ),
    "location": _pattern(
        r"(?=.{2,40}$)[A-Za-z0-9]+( [A-Za-z0-9]+)*", "be a region's name, for instance chinanorth3 or China North 3"
    ),
    "tags": Rule(
        dict,
        _are_tags,
        "be a mapping of names to texts, as `{costCenter: '42'}` in YAML: at most 49; names of up to 512 characters without "
        "< > % & \\ ? /, which differ in more than case and are not made-by, which is ours; texts of up to 256",
    ),
    "registry_name": Rule(
        str,
        _is_registry_name,
        "have 5 to 50 letters and digits and nothing else, and no word that Azure reserves (microsoft, windows, login in "
        "front)",
    ),
    "registry_resource_group": _elsewhere("resource_group", "the name of the resource group that has the registry"),
    "registry_subscription_id": _elsewhere("subscription_id", "the GUID of the subscription that has the registry"),
    "image": Rule(
        str,
        _is_image,
        "be repository:tag, repository@digest or repository:tag@digest in lower case, for instance aci-helloworld:v1",
    ),
    "source_image": Rule(
        str,
        _is_source_image,
        "be registry/repository:tag or registry/repository@digest in lower case, the registry without a port, for "
        "instance mcr.microsoft.com/hello-world:latest",
    ),
    "vm_name": _pattern(
        r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9_])?",
        "have 1 to 64 letters, digits, '-', '_' or '.', begin with a letter or digit and not end with '-' or '.'",
    ),
    "vm_size": _pattern(r"[A-Za-z][A-Za-z0-9_-]{2,63}", "be a VM size, for instance Standard_D2s_v5"),
    "ssh_source": Rule(
        str,
        _is_ssh_source,
        "be an IPv4 address or CIDR range (which begins at its first address), and not the whole internet: this machine's public address",
    ),
    "vm_resource_group": _elsewhere("resource_group", "the name of the resource group that has the VM"),
    "identity_name": _pattern(
        r"[A-Za-z0-9][A-Za-z0-9_-]{2,127}",
        "have 3 to 128 letters, digits, '-' or '_' and begin with a letter or digit",
    ),
    "identity_resource_group": _elsewhere("resource_group", "the name of the resource group that has the identity"),
    "result_path": _pattern(
        r"(?!~)(?!(.*[/\\])?\.\.[/\\])([^\0-\x1f\x7f]+\.json)?",
        "be empty, or the path of a file that ends in .json, without '..' and without '~' in front",
    ),
}

HOW_TO_FIND = {
    "subscription_id": ", which `az account show --query id --output tsv` prints",
    "registry_name": " with a name of your own; `az acr check-name --name NAME` says whether it is free",
    "ssh_source": ". The Azure portal shows it as your client IP address on the page Networking of any registry, key vault or "
    'storage account; a page that answers "what is my IP" does too, and behind a company\'s proxy its network people know it',
}
"""How to find the value of a parameter that its owner alone knows."""


def problems(values: Mapping[str, object]) -> list[str]:
    """The problems of these parameters: one sentence each, with the name and the rule. No secret is repeated."""
    found = []
    for name, value in values.items():
        rule = RULES.get(name)
        secret = secret_problem(name, value, known=rule is not None)
        if secret:
            found.append(secret)
        elif rule is None:
            near = difflib.get_close_matches(name, RULES, n=1)
            hint = f"did you mean {near[0]}?" if near else f"the parameters are {', '.join(RULES)}."
            found.append(f"{shown_name(name)} is not a parameter: {hint}")
        elif not isinstance(value, rule.kind) or not rule.accepts(value):
            found.append(f"{name} must {rule.words}; {_what_it_is(name, value)}.")
    if values.get("subscription_id") == SANDBOX_SUBSCRIPTION and values.get("sandbox") is False:
        found.append(
            f"subscription_id must be your own where sandbox is false: {SANDBOX_SUBSCRIPTION} is the sandbox's."
        )
    return found


def result_path_problem(path: Path) -> str:
    """The sentence that refuses a result's file which cannot be written, or is somebody's; empty where it can be."""
    if path.is_symlink() or (path.exists() and not _is_result(path)):
        return f"result_path {path} is there and no result of a notebook: name another file."
    reason = why_unwritable(path)
    return reason and f"result_path {path} cannot be written ({reason}): name another file."


def _is_result(path: Path) -> bool:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and {"schema", "cloud", "resource_group"} <= set(content)


def secret_problem(name: str, value: object, *, known: bool) -> str | None:
    """The sentence that refuses a secret as a parameter, by its name or by its form; None where it is none.

    Args:
        known: the name is one of a parameter, so only the value can be a secret.
    """
    kind = secret_in(value)
    if kind:
        reason = f"{shown_name(name)} holds what looks like {kind}"
    elif not known and is_secret_name(name):
        reason = f"{shown_name(name)} looks like the name of a secret"
    else:
        return None
    return (
        f"{reason}: a secret is never a parameter, since files, command lines and notebooks keep parameters in clear. "
        "The runbook needs none: it signs in as `az login` does. Its value is not shown here; change the secret if "
        "others can read where it was written."
    )


def _what_it_is(name: str, value: object) -> str:
    rule = RULES[name]
    if isinstance(value, parameter_file.Unquoted):
        if not value.text:
            return "nothing stands there"
        return f"it is {shown(value.text)}, which YAML reads as {value.kind}: put it in quotes"
    if isinstance(value, dict):
        for key, each in value.items():
            if isinstance(each, parameter_file.Unquoted):
                return f"YAML reads what {shown_name(key)} is in it as {each.kind}: put it in quotes"
    if value is None and rule.kind is str and rule.accepts(""):
        return "it is None: write '' where it shall be empty"
    if isinstance(value, str) and re.fullmatch("<[^<>]+>", value):  # as the parameter files have it
        return f"it still is {shown(value)}: fill in {name}{HOW_TO_FIND.get(name, '')} (`runbook init` asks for it)"
    if rule.kind is bool and isinstance(value, str):
        return (
            f"it is the text {shown(value)}: write true or false without quotes, and True or False after papermill's -p"
        )
    if rule.kind is str and isinstance(value, (bool, int, float)):
        return f"it is {shown(value)}, which is no text: put it in quotes in a file, and after -r instead of papermill's -p"
    return f"it is {shown(value)}"


def check_parameters(namespace: Mapping[str, object], *, sandbox_only: bool = False) -> None:
    """Check a notebook's parameters; to be called with ``globals()`` before anything else.

    Names are checked as well as values: papermill puts a mistyped name into the notebook. Those that other notebooks
    use are no mistake: a parameter file is for all.

    Args:
        sandbox_only: the notebook takes roles away, and Azure goes on acting on such a role for minutes.

    Raises:
        ParameterError: every problem, one sentence each.
    """
    values = {name: namespace[name] for name in RULES if name in namespace}
    injected = _injected_cell(namespace)
    values |= {name: namespace[name] for name in _names(injected) if name in namespace}
    found = [*_foreign_lines(injected), *problems(values)]
    if not found and (path := values.get("result_path")):
        found += [problem] if (problem := result_path_problem(Path(str(path)))) else []
    if sandbox_only and values.get("sandbox") is False:
        found.append(
            "sandbox must be true in this notebook, which takes roles away: Azure acts on them for minutes more."
        )
    if found:
        raise ParameterError(found)


def _injected_cell(namespace: Mapping[str, object]) -> list[ast.stmt]:
    """The statements of papermill's injected cell: of the cells run so far, the last that it marked as its own."""
    found = [source for source in _cells(namespace) if source.startswith("# Parameters\n")]
    try:
        return ast.parse(found[-1]).body if found else []
    except (SyntaxError, ValueError, RecursionError):  # with IPython's own commands, such as !ls
        return [ast.Pass(lineno=1)]


def _names(statements: list[ast.stmt]) -> list[str]:
    targets = [target for each in statements if isinstance(each, ast.Assign) for target in each.targets]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _foreign_lines(statements: list[ast.stmt]) -> list[str]:
    """The sentence on lines of the injected cell that are no assignment of a value to a name, as a parameter's name with a
    line break in it brings them in. They have run by now."""
    foreign = [str(each.lineno) for each in statements if not _is_value_for_a_name(each)]
    if not foreign:
        return []
    return [
        f"The cell of parameters that papermill put into the notebook has code in it (line {', '.join(foreign)}), which has run: "
        "a parameter's name is letters, digits and _ only. Look where its names come from; `runbook run` refuses such a name."
    ]


def _is_value_for_a_name(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.Assign) or [type(each) for each in statement.targets] != [ast.Name]:
        return False
    try:
        ast.literal_eval(statement.value)
    except (ValueError, RecursionError):  # papermill writes float('nan'), float('-inf')
        return re.fullmatch(r"float\('-?(nan|inf)'\)", ast.unparse(statement.value)) is not None
    return True


def _cells(namespace: Mapping[str, object]) -> list[str]:
    """The source of the cells that IPython has run in this kernel."""
    cells = namespace.get("In", [])
    return [cell for cell in cells if isinstance(cell, str)] if isinstance(cells, list) else []


def read_parameters(path: Path) -> dict[str, Any]:
    """The parameters in a YAML file.

    Raises:
        ParameterError: the file cannot be read, or is not a flat list of names and values.

    What stands there without quotes and is no text to YAML stays ``Unquoted`` where a text is needed, for `problems`.
    """
    try:
        with path.open("rb") as file:
            content = parameter_file.load(file.read(parameter_file.MOST_BYTES + 1))
    except FileNotFoundError as error:
        raise ParameterError(
            [f"There is no parameter file {path}: those of this project are in {PARAMETER_FILES}."]
        ) from error
    except (OSError, parameter_file.StrictError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ParameterError([f"The parameter file {path} cannot be read: {reason}."]) from error
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise ParameterError([f"The parameter file {path} must hold lines of the form `name: value` and nothing else."])
    return {name: _meant(name, value) for name, value in content.items()}


def _meant(name: str, value: object) -> object:
    """A parameter's value in a file: true and false where they are meant, and nothing where it may be empty."""
    rule = RULES.get(name)
    if rule is None or not isinstance(value, parameter_file.Unquoted):
        return value
    if rule.kind is not str:
        return value.value
    return "" if not value.text and rule.accepts("") else value


def split_image(image: str) -> tuple[str, str | None, str | None]:
    """Repository, tag and digest of an image in a registry; the tag or the digest may be missing.

    Raises:
        ParameterError: it is no image's name.
    """
    match = _REFERENCE.fullmatch(image)
    if match is None:
        raise ParameterError([f"image must {RULES['image'].words}; it is {shown(image)}."])
    tag = match["tag"] or (None if match["digest"] else "latest")
    return match["repository"], tag, match["digest"]
