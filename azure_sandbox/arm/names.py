"""The names that Azure takes for each type of resource: its page of naming rules, and the providers' own patterns."""

from __future__ import annotations

import re
import unicodedata

from .. import resource as types

# What \w stands for in the pattern of resource groups, which is .NET's.
_WORD = {"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Nd", "Pc"}
_NETWORK = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,78}[A-Za-z0-9_])?"
_PATTERNS = {
    types.REGISTRY: re.compile(r"[A-Za-z0-9]{5,50}"),
    types.VIRTUAL_MACHINE: re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9_])?"),
    types.IDENTITY: re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{2,127}"),
    types.NETWORK: re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}[A-Za-z0-9_]"),
    types.SUBNET: re.compile(_NETWORK),
    types.SECURITY_GROUP: re.compile(_NETWORK),
    types.ADDRESS: re.compile(_NETWORK),
    types.INTERFACE: re.compile(_NETWORK),
}
_RESERVED = re.compile(
    r"login.*|.*(microsoft|windows).*|access|azure|bing|bizspark|biztalk|cortana|directx|dotnet|dynamics|excel|exchange|"
    r"forefront|groove|hololens|hyperv|kinect|lync|msdn|o365|office|office365|onedrive|onenote|outlook|powerpoint|"
    r"sharepoint|skype|visio|visualstudio|xbox",
    re.IGNORECASE,
)


def is_valid(type: str, name: str) -> bool:
    """Whether a resource of this type can have the name."""
    if type == types.GROUP:
        return 1 <= len(name) <= 90 and not name.endswith(".") and all(map(_is_in_group_names, name))
    return _PATTERNS[type].fullmatch(name) is not None


def is_reserved(name: str) -> bool:
    """Whether the name of something that is reachable by it is a word that Azure keeps, or has a trademark in it."""
    return _RESERVED.fullmatch(name) is not None


def _is_in_group_names(letter: str) -> bool:
    return letter in "-.()" or (unicodedata.category(letter) in _WORD and letter <= "\uffff")
