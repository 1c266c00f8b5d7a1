"""Reads a segment by its own field table, knowing nothing of it but the first 64 bytes of its header."""
import collections
import os
import struct

HEADER = struct.Struct("=8sIIQQQIIII")
RECORD = struct.Struct("=24sQIIII")
FIELD = struct.Struct("=24s8s16s16sIIIII")
NUMBERS = {"u8": "B", "u32": "I", "u64": "Q", "i32": "i"}

Field = collections.namedtuple("Field", "name type kind unit offset bytes count shift bits meaning")


def text(data):
    return data.split(b"\0")[0].decode("ascii")


def fields_of(data, start, stride, count):
    for at in range(start, start + count * stride, stride):
        *texts, offset, size, number, shift, bits = FIELD.unpack_from(data, at)
        yield Field(*map(text, texts), offset, size, number, shift, bits, text(data[at + FIELD.size:at + stride]))


class Segment:
    """A copy of its tables; records are read as they are asked for."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDONLY)
        (self.magic, self.version, self.process_id, self.file_bytes, records_at, fields_at, record_stride, record_count,
         field_stride, field_count) = HEADER.unpack(os.pread(self.fd, HEADER.size, 0))
        self.tables = range(records_at, fields_at + field_count * field_stride)
        start = os.pread(self.fd, self.tables.stop, 0)
        self.kinds = {}
        for at in range(records_at, records_at + record_count * record_stride, record_stride):
            name, *place, first, number = RECORD.unpack_from(start, at)
            self.kinds[text(name)] = (*place, list(fields_of(start, fields_at + first * field_stride, field_stride, number)))

    def value(self, data, field):
        if field.type == "text":
            return text(data[field.offset:field.offset + field.bytes])
        numbers = struct.unpack_from(f"={field.count}{NUMBERS[field.type]}", data, field.offset)
        values = [number >> field.shift & (1 << field.bits) - 1 if field.shift or field.bits < 8 * field.bytes else number
                  for number in numbers]
        return values[0] if field.count == 1 else values

    def record(self, kind, index):
        start, stride, _, fields = self.kinds[kind]
        data = os.pread(self.fd, stride, start + index * stride)
        return {field.name: self.value(data, field) for field in fields}

    def records(self, kind):
        """Those in use, by index."""
        _, _, count, fields = self.kinds[kind]
        every = ((index, self.record(kind, index)) for index in range(count))
        return {index: record for index, record in every if record[fields[0].name]}

    def close(self):
        os.close(self.fd)
