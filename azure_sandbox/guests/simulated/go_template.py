"""Go templates: the few forms that ``docker … --format`` takes here."""

from __future__ import annotations

import json
import re
from typing import Any

from .program import Failure, Unsupported


def render(template: str, value: Any) -> str:
    """A template filled in; it may hold {{.A.B}}, {{json .A}}, {{index .A 0}}."""

    def look_up(path: str) -> Any:
        found = value
        for key in filter(None, path.split(".")):
            if not isinstance(found, dict) or key not in found:
                raise Failure(f'template parsing error: template: :1: <{path}>: map has no entry for key "{key}"')
            found = found[key]
        return found

    def expand(match: re.Match[str]) -> str:
        words = match[1].split()
        if len(words) == 1 and words[0].startswith("."):
            found = look_up(words[0])
        elif len(words) == 2 and words[0] == "json" and words[1].startswith("."):
            return json.dumps(look_up(words[1]))
        elif len(words) == 3 and words[0] == "index" and words[2].isdigit():
            listed = look_up(words[1])
            if not isinstance(listed, list) or int(words[2]) >= len(listed):
                raise Failure(f"template parsing error: error calling index: index out of range: {words[2]}")
            found = listed[int(words[2])]
        else:
            raise Unsupported("docker", f"template {match[0]}")
        if isinstance(found, list):
            return "[" + " ".join(map(str, found)) + "]"
        return str(found).lower() if isinstance(found, bool) else str(found)

    if template.startswith("table ") or template == "json":
        raise Unsupported("docker", f"format {template}")
    return re.sub(r"\{\{(.*?)\}\}", expand, template.replace("\\t", "\t").replace("\\n", "\n"))
