"""A pytest plugin for nbval, which waits 5 s for what comes after a cell's reply, on a slow machine too: as long as for the reply."""

import pytest


def pytest_itemcollected(item: pytest.Item) -> None:
    if hasattr(item, "output_timeout"):  # a cell of a notebook
        item.output_timeout = item.config.option.nbval_cell_timeout
