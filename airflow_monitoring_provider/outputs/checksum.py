"""A fingerprint of rows: the same values in the same order give the same one, however they are cut into batches."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pyarrow as pa

from airflow_monitoring_provider.profiles.arrays import fixed_width, from_truth, valid_rows

_WIDTHS: dict[int, type[np.generic]] = {32: np.int32, 64: np.int64}


class RowChecksum:
    """SHA-256 over batches of one schema, in the types of :func:`~airflow_monitoring_provider.outputs.values.storable`.

    Each column is hashed by itself, so no row is touched in Python: where it is null, lengths and contents; or, where
    its texts come as a dictionary, where one text follows another.
    """

    def __init__(self) -> None:
        self._columns: dict[str, _Values | _Codes] = {}

    def update(self, batch: pa.RecordBatch) -> None:
        """Add the rows of a batch."""
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if name not in self._columns:
                self._columns[name] = _Codes() if pa.types.is_dictionary(column.type) else _Values(str(column.type))
            self._columns[name].update(column)

    def hexdigest(self) -> str:
        """64 hexadecimal digits; of no rows, those of the empty table."""
        whole = hashlib.sha256()
        for name, column in self._columns.items():
            whole.update(b"\x00".join([name.encode("utf-8", "surrogatepass"), *column.parts()]))
        return whole.hexdigest()


class _Values:
    """A column whose values are hashed."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._hashes = [hashlib.sha256() for _ in range(3)]
        self._rows = 0

    def update(self, column: pa.Array) -> None:
        column = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        nulls, lengths, contents = self._hashes
        valid = valid_rows(column)
        if valid is not None:
            nulls.update((np.flatnonzero(~valid) + self._rows).astype(np.int64).data)
        self._rows += len(column)
        _add_contents(column if valid is None else column.filter(from_truth(valid)), lengths, contents)

    def parts(self) -> list[bytes]:
        return [self._kind.encode(), *(each.digest() for each in self._hashes)]


class _Codes:
    """A column of few texts, each numbered by its first row; hashed is where a run of a number begins."""

    def __init__(self) -> None:
        self._texts: dict[str | None, int] = {}
        self._hash = hashlib.sha256()
        self._rows, self._last = 0, -1

    def update(self, column: pa.Array) -> None:
        if not len(column):
            return
        column = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        valid = valid_rows(column.indices)
        codes = fixed_width(column.indices.cast(pa.int64()), np.int64)
        texts = [*column.dictionary.to_pylist(), None]
        if valid is not None:
            codes = np.where(valid, codes, len(texts) - 1)
        elif (codes == codes[0]).all() and self._texts.get(texts[codes[0]]) == self._last:
            self._rows += codes.size  # the usual case
            return
        used = np.flatnonzero(np.bincount(codes, minlength=len(texts)))
        fresh = [code for code in used.tolist() if texts[code] not in self._texts]
        for code in sorted(fresh, key=lambda code: int(np.argmax(codes == code))):
            self._texts.setdefault(texts[code], len(self._texts))
        numbers = np.array([self._texts.get(text, 0) for text in texts], np.int64)[codes]
        begun = np.flatnonzero(np.diff(numbers, prepend=self._last))
        self._hash.update(np.stack((begun + self._rows, numbers[begun]), axis=1).data)
        self._rows, self._last = self._rows + numbers.size, int(numbers[-1])

    def parts(self) -> list[bytes]:
        known = json.dumps(list(self._texts), separators=(",", ":"))
        return [known.encode(), str(self._rows).encode(), self._hash.digest()]


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
