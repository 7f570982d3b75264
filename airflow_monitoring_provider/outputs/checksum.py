"""A fingerprint of rows: the same values in the same order give the same one, however they are cut into batches."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa

from airflow_monitoring_provider.profiles.arrays import fixed_width, from_truth, valid_flags

_WIDTHS: dict[int, type[np.generic]] = {32: np.int32, 64: np.int64}


class RowChecksum:
    """SHA-256 over batches of one schema, in the types of :func:`~airflow_monitoring_provider.outputs.values.storable`.

    Each column is hashed by itself (which values are null, lengths, contents), so no row is touched in Python.
    """

    def __init__(self) -> None:
        self._columns: dict[str, tuple[str, list[hashlib._Hash]]] = {}

    def update(self, batch: pa.RecordBatch) -> None:
        """Add the rows of a batch."""
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            column = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
            _type, hashes = self._columns.setdefault(name, (str(column.type), [hashlib.sha256() for _ in range(3)]))
            nulls, lengths, contents = hashes
            valid = valid_flags(column)
            nulls.update(valid.view(np.uint8).data)
            _add_contents(column if valid.all() else column.filter(from_truth(valid)), lengths, contents)

    def hexdigest(self) -> str:
        """64 hexadecimal digits; of no rows, those of the empty table."""
        whole = hashlib.sha256()
        for name, (kind, hashes) in self._columns.items():
            whole.update(
                b"\x00".join([name.encode("utf-8", "surrogatepass"), kind.encode(), *(h.digest() for h in hashes)])
            )
        return whole.hexdigest()


def _add_contents(values: pa.Array, lengths: hashlib._Hash, contents: hashlib._Hash) -> None:
    kind = values.type
    if len(values) == 0:
        return
    if pa.types.is_boolean(kind):
        contents.update(np.array(values.to_pylist(), dtype=np.uint8).data)
    elif pa.types.is_string(kind) or pa.types.is_binary(kind):
        _validity, offsets, data = values.buffers()
        ends = np.frombuffer(offsets, np.int32, len(values) + 1, values.offset * 4)
        lengths.update(np.diff(ends).data)
        if data is not None:
            contents.update(memoryview(data)[int(ends[0]) : int(ends[-1])])
    elif pa.types.is_decimal(kind):
        width = kind.byte_width
        contents.update(memoryview(values.buffers()[1])[values.offset * width : (values.offset + len(values)) * width])
    else:
        contents.update(fixed_width(values, _WIDTHS[kind.bit_width]).data)
