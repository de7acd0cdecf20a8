"""Where the parts of a YAML file stand in its text, for those who change one and leave every other byte."""

from __future__ import annotations

from ruamel.yaml.nodes import MappingNode


def end_of_block(text: str, mapping: MappingNode) -> int:
    """Return the index behind the last line of a mapping in block style; comments below it belong to what follows."""
    first = mapping.value[0][0].start_mark
    lines = text[first.index : mapping.end_mark.index].splitlines(keepends=True)
    while not lines[-1].strip() or lines[-1].lstrip().startswith("#"):
        lines.pop()
    return int(first.index + sum(map(len, lines)))
