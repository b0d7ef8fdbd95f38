"""The facts of the recordings, for clones that do not have them: `python -m tests.azure_sandbox.recorded_facts FILE`.

A fact has the form of the recorded exchange, so that replay.py takes both: method, path, status, the names of headers,
the members of bodies and their types. Names, ids, numbers and sentences are neutral ones of our own; what stays are
enumerations (error codes, states, types, regions, sizes), the names of built-in things, and where it was recorded.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import urllib.parse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .replay import ENUMERATIONS, EQUAL, PRESENT, TEXT, ZERO

Json = dict[str, Any]
FACTS = Path(__file__).with_name("recorded_facts.json")
# Members whose values are Azure's vocabulary too, and those that a request needs.
VOCABULARY = ENUMERATIONS | {
    "addressPrefix", "addressPrefixes", "commandId", "conditionVersion", "defaultAction", "destinationAddressPrefix",
    "destinationPortRange", "location", "offer", "protocol", "publisher", "registryUri", "sku", "sourceAddressPrefix",
    "sourcePortRange", "version", "vmSize", "zoneRedundancy", "networkRuleBypassOptions", "mode", "types", "@odata.type",
}  # fmt: skip
OWN = {
    "adminUsername": "azureuser",
    "adminPassword": "{PASSWORD}",
    "computerName": "vm",
    "condition": "@Resource[Microsoft.ContainerRegistry/registries/repositories:name] StringEquals 'name'",
    "script": "echo",
    "sourceImage": "image:tag",
    "targetTags": "image:tag",
}
# Segments of a path that a built-in name follows.
BUILT_IN = {"locations", "publishers", "artifacttypes", "offers", "skus", "versions", "roledefinitions", "loganalytics"}
GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
TOKEN = re.compile(r"[\w.:/*+#, -]{1,90}")


class Neutral:
    """Neutral names in place of the recorded ones, the same for the same."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def _name(self, recorded: str, form: str = "name{}") -> str:
        return self._names.setdefault(recorded.lower(), form.format(len(self._names) + 1))

    def _guid(self, recorded: str) -> str:
        return recorded if recorded == ZERO else self._name(recorded, "{:08d}-0000-4000-8000-000000000000")

    def path(self, recorded: str) -> str:
        """A path or id; of its query what is asked for."""
        path, mark, query = recorded.partition("?")
        path = self._id(path) if path.startswith(("/subscriptions/", "/providers/")) else self._unnamed(path)
        kept = [each for each in query.split("&") if "REDACTED" not in each and not each.startswith("p=")]
        return path + mark + self._unnamed("&".join(kept))

    def _id(self, path: str) -> str:
        parts, place = path.split("/"), 1
        while place + 1 < len(parts):
            kind = parts[place].lower()
            if kind not in {"providers", "subscriptions", *BUILT_IN}:
                name = parts[place + 1]
                parts[place + 1] = self._guid(name) if GUID.fullmatch(name) else self._name(name)
            place += 2
        return "/".join(parts)

    def _unnamed(self, text: str) -> str:
        text = GUID.sub(lambda found: self._guid(found[0]), text)
        return re.sub(r"(sha256(?::|%3A))([0-9a-f]{64})", lambda found: found[1] + _digest(found[2]), text)

    def body(self, value: Any, key: str = "", parent: str = "", *, asked: bool) -> Any:
        """A body, or a part of it; of an answer's lists the first member."""
        if isinstance(value, dict):
            if key == "tags" and value:
                return {"tag": TEXT}
            return {self._member(each): self.body(part, each, key, asked=asked) for each, part in value.items()}
        if isinstance(value, list):
            return [self.body(each, key, parent, asked=asked) for each in (value if asked else value[:1])]
        if isinstance(value, str):
            return self._string(value, key, parent)
        return value if asked or isinstance(value, bool) or value is None else 1

    def _member(self, key: str) -> str:
        return self._id(key) if key.startswith("/subscriptions/") else "image:tag" if ":" in key else key

    def _string(self, value: str, key: str, parent: str) -> str:
        if value.startswith("/subscriptions/"):
            return self.path(value)
        if GUID.fullmatch(value):
            return self._guid(value)
        if value.startswith("sha256:"):
            return self._unnamed(value)
        if (key in VOCABULARY or (key, parent) == ("name", "sku")) and TOKEN.fullmatch(value):
            return value
        if key == "name":
            return self._name(value)
        return OWN.get(key, TEXT) if value else ""

    def form(self, text: str) -> str:
        """A form that asks for a token."""
        fields = urllib.parse.parse_qsl(text, keep_blank_values=True)
        kept = {"grant_type", "scope"}
        return urllib.parse.urlencode([(key, value if key in kept or not value else TEXT) for key, value in fields])


def _digest(recorded: str) -> str:
    return hashlib.sha256(recorded.encode()).hexdigest()


def _challenge(text: str) -> str:
    text = re.sub(r'(error_description|claims)="[^"]*"', rf'\1="{TEXT}"', text)
    return re.sub(r"[\w-]+\.azurecr\.io", "name.azurecr.io", GUID.sub(ZERO, text))


def _headers(recorded: Json) -> Json:
    """The names of headers, and the values of those whose values are compared."""
    found = {name.lower(): value if name.lower() in EQUAL else "" for name, value in sorted(recorded.items())}
    for name, value in recorded.items():
        if name.lower() == "www-authenticate":
            found["www-authenticate"] = _challenge(value)
    return found


def _request(recorded: Json, neutral: Neutral) -> Json:
    headers, body = sorted(recorded["headers"].items()), recorded.get("body")
    kept = ("Accept", "Content-Type", "Metadata")
    return {
        "method": recorded["method"],
        "path": neutral.path(recorded["path"]),
        "headers": {name: value if name in kept else "" for name, value in headers},
        "body": neutral.form(body) if isinstance(body, str) else neutral.body(body, asked=True),
    }


def facts(recordings: Iterable[Json]) -> list[Json]:
    """A fact for each recorded exchange, in their order."""
    neutral, found = Neutral(), []
    for row in recordings:
        fact: Json = {key: row[key] for key in ("id", "group", "kind", "source", "recorded") if key in row}
        fact["source"] = fact["source"].partition(", index file id")[0]
        removed = {name.lower() for name in row.get("headers_removed_by_recorder") or []}
        fact["headers_removed_by_recorder"] = [name for name in (*PRESENT, *EQUAL) if name in removed]
        if "ARM audience" in row.get("note", ""):
            fact["note"] = "ARM audience"
        response = row["response"]
        fact["request"] = _request(row["request"], neutral) if row["request"] else None
        fact["response"] = {
            "status": response["status"],
            "headers": _headers(response.get("headers") or {}),
            "body": neutral.body(response.get("body"), asked=False),
        }
        found.append(fact)
    return found


def text(recordings: Iterable[Json]) -> str:
    """The file's text: a fact a line."""
    return "[\n" + ",\n".join(json.dumps(each, ensure_ascii=True) for each in facts(recordings)) + "\n]\n"


if __name__ == "__main__":
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    FACTS.write_text(text(json.loads(line) for line in lines), encoding="utf-8")
