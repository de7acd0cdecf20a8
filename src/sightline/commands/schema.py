"""`sightline schema`: the JSON schema of params.yaml, for editors and checks outside of Python."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def schema(
    to: Annotated[
        Path | None, typer.Option(help="the file to write, e.g. .sightline/params.schema.json; default: print it")
    ] = None,
) -> None:
    """Print the JSON schema of params.yaml, by which editors complete keys and mark errors."""
    import json

    from sightline.system.files import new_file

    text = json.dumps(params_schema(), indent=1, ensure_ascii=False) + "\n"
    if to is None:
        print(text, end="")
        return
    with new_file(to) as new:
        new.write_text(text, encoding="utf-8")
    print(f"{to}: written; editors use it with `# yaml-language-server: $schema={to}` as the first line of params.yaml")


def params_schema() -> dict[str, Any]:
    """Return the schema of params.yaml, in the dialect 2020-12."""
    from pydantic.json_schema import GenerateJsonSchema
    from pydantic_core import core_schema

    from sightline.config.params import Params

    class Untitled(GenerateJsonSchema):
        """Fields get no titles, which would repeat their names."""

        def field_title_should_be_set(self, schema: Any) -> bool:
            return False

        def model_schema(self, schema: core_schema.ModelSchema) -> dict[str, Any]:
            """Describe the key that distinguishes kinds of sections by what the section is."""
            made = super().model_schema(schema)
            for value in made.get("properties", {}).values():
                if "const" in value and "default" not in value:
                    value.setdefault("description", made.get("description", ""))
            return made

        def dict_schema(self, schema: core_schema.DictSchema) -> dict[str, Any]:
            """Refuse the names that no pattern allows."""
            made = super().dict_schema(schema)
            return {**made, "additionalProperties": False} if "patternProperties" in made else made

    made = Params.model_json_schema(schema_generator=Untitled)
    return {
        "$schema": Untitled.schema_dialect,
        "title": "params.yaml",
        **{k: v for k, v in made.items() if k != "title"},
    }
