"""The columns of a prepared split: one schema for every task, which reads what it needs.

`semantic` holds a PNG of class ids, 255 = ignored. `LabelMap.map_classes` names them: value c is class c, or, where
masks are made of objects with boxes, 0 is background and value c + 1 is class c.

`text` came later: shards in which no sample has any are written without the column, as they were before it.
"""

from __future__ import annotations

import pyarrow as pa

_BOX = pa.list_(pa.float32(), 4)
_POINT = pa.list_(pa.float32(), 3)
_CORNERS = pa.list_(pa.list_(pa.float32(), 2), 4)
SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("image", pa.large_binary()),
        pa.field("height", pa.int32()),
        pa.field("width", pa.int32()),
        pa.field("channels", pa.int8()),
        pa.field("label", pa.int32()),
        pa.field("labels", pa.list_(pa.int32())),
        pa.field("boxes", pa.list_(_BOX)),
        pa.field("corners", pa.list_(_CORNERS)),
        pa.field("box_labels", pa.list_(pa.int32())),
        pa.field("iscrowd", pa.list_(pa.bool_())),
        pa.field("difficult", pa.list_(pa.bool_())),
        pa.field("area", pa.list_(pa.float64())),
        pa.field("instances", pa.list_(pa.struct([("size", pa.list_(pa.int32())), ("counts", pa.string())]))),
        pa.field("semantic", pa.binary()),
        pa.field("keypoints", pa.list_(pa.list_(_POINT))),
        pa.field("values", pa.list_(pa.float64())),
        pa.field("text", pa.string()),
        pa.field("attributes", pa.string()),
        pa.field("group", pa.string()),
        pa.field("source", pa.string()),
        pa.field("batch", pa.string()),
        pa.field("sha256", pa.string()),
    ]
)
WITHOUT_TEXT = pa.schema([field for field in SCHEMA if field.name != "text"])
