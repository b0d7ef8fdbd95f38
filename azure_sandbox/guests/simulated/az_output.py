"""How az shows what a command returns: --query and --output."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from .program import Failure

QUERY_HINT = "To learn more about --query, please visit: 'https://learn.microsoft.com/cli/azure/query-azure-cli'"
MAX_QUERY = 2000


def compiled(expression: str) -> Callable[[Any], Any]:
    """What the argument of --query finds in a result. Raises Failure where it is no JMESPath."""
    try:
        if len(expression) > MAX_QUERY:
            raise ValueError(f"more than {MAX_QUERY} characters")
        parsed = jmespath.compile(expression)
    except (ValueError, RecursionError) as error:
        raise Failure(
            f"ERROR: argument --query: invalid jmespath_type value: {expression!r}\n{QUERY_HINT}", 2
        ) from error

    def find(result: Any) -> Any:
        try:
            # As in az, the members of a {…} stay in the query's order.
            return parsed.search(result, jmespath.Options(dict_cls=OrderedDict))
        except (JMESPathError, RecursionError) as error:
            raise Failure(f"ERROR: Invalid jmespath query supplied for `--query`: {error}\n{QUERY_HINT}") from error

    return find


def shown(result: object, output: str) -> str:
    """A result as it is printed; "" where there is nothing to print."""
    return "" if output == "none" else {"tsv": _tsv, "table": _table}.get(output, _json)(result)


def _json(result: object) -> str:
    return json.dumps(result, indent=2)


def _table(result: object) -> str:
    """Rows with the scalar members as columns, as az prints them."""
    given = result if isinstance(result, list) else [result]
    rows = []
    for row in given:
        if isinstance(row, dict):
            kept = {key: value for key, value in row.items() if key not in ("id", "type", "etag", "revision")}
            rows.append({k[:1].upper() + k[1:]: v for k, v in kept.items() if not isinstance(v, (list, dict))})
        else:
            values = row if isinstance(row, list) else [row]
            names = [f"Column{number}" for number in range(1, len(values) + 1)] if isinstance(row, list) else ["Result"]
            rows.append(dict(zip(names, values, strict=True)))
    columns = list(dict.fromkeys(name for row in rows for name in row))
    texts = [["" if row.get(name) is None else str(row[name]) for name in columns] for row in rows]
    widths = [max([len(name) + 2, *(len(row[number]) for row in texts)]) for number, name in enumerate(columns)]
    lines = [columns, ["-" * width for width in widths], *texts] if columns else []
    return "\n".join("  ".join(x.ljust(w) for x, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def _tsv(result: object) -> str:
    return "\n".join(_tsv_row(row) for row in (result if isinstance(result, list) else [result]))


def _tsv_row(row: object) -> str:
    if isinstance(row, dict):
        row = [value for _, value in (row.items() if isinstance(row, OrderedDict) else sorted(row.items()))]
    if isinstance(row, list):
        return "\t".join(_tsv_value(value) for value in row)
    return str(row).lower() if isinstance(row, bool) else str(row)


def _tsv_value(value: object) -> str:
    if isinstance(value, list):
        return str(len(value))
    return "" if isinstance(value, dict) else str(value)
