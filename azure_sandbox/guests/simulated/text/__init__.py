"""The programs for text: a module has one of coreutils', or two that are alike."""

from . import base64, basename, cat, cut, echo, grep, head, sed, seq, sort, tr, wc, xargs  # noqa: F401 - registered
