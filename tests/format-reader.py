#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
A reader of segments, made from the page shmring(5) alone: it proves that the page is
enough. No part of the library is used; a program that wants to read segments in another
language may begin here.

    format-reader.py list FILE                what objects there are
    format-reader.py records FILE [OBJECT]    records of rings and tables
    format-reader.py find FILE TABLE KEY      the record of a key, by the index
    format-reader.py checks FILE TIMES        read it all so often; only damage is told

Output is JSON, a line each, as of shmring-dump -o jsonl. Numbers are loaded in an order
and each twice or more, as a copy by Python need not be in one piece; that loads stay in
this order is true of x86 processors.
"""
import json
import math
import mmap
import struct
import sys

M64 = (1 << 64) - 1
PAGE = 4096
TRIES = 1000
KINDS = [("?", "", 0), ("char", "c", 1), ("i8", "b", 1), ("u8", "B", 1), ("i16", "h", 2),
         ("u16", "H", 2), ("i32", "i", 4), ("u32", "I", 4), ("i64", "q", 8), ("u64", "Q", 8),
         ("f32", "f", 4), ("f64", "d", 8)]
SINGLE, SEQUENCE, TIME, DROP, ONCE, NO_DEFAULT = 1, 2, 4, 8, 16, 32
STREAM, QUEUE, OVERWRITE = 0, 1, 2
BUSY, READY, SKIP, PAD, TAKEN, DONE, LOST = 1, 2, 3, 4, 5, 6, 7
STATES = {READY: "ready", BUSY: "busy", SKIP: "skipped", TAKEN: "taken", DONE: "done", LOST: "lost"}


class Damaged(Exception):
    """What cannot be read, and why."""


def must(condition, sentence):
    if not condition:
        raise Damaged(sentence)


def signed(number):
    number &= M64
    return number - (1 << 64) if number >> 63 else number


def up(number, to):
    return (number + to - 1) & ~(to - 1)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def string(data):
    """Bytes up to the first zero byte, or all."""
    return data.split(b"\0", 1)[0]


class Schema:
    def __init__(self, data, whole=True):
        """@whole: fields describe each byte; not those of counters."""
        must(len(data) >= 48, "a schema is cut short")
        self.size, self.record_size, self.version, count, strings, name = struct.unpack_from("=6I", data)
        must(1 <= count <= 64 and 1 <= strings <= 65536, "a schema is damaged")
        at = 48 + 48 * count
        values, = struct.unpack_from("=I", data, 32)
        named = up(at + strings, 8)
        must(values <= 1024 and named + 16 * values <= self.size <= len(data), "a schema is cut short")
        must(data[at + strings - 1] == 0, "a schema is cut short")
        text = data[at:at + strings]

        def name_at(where, least):
            must(where < strings, "a name lies outside the strings")
            found = string(text[where:])
            must(least <= len(found) <= 63, "a name is impossible")
            return found

        self.name = name_at(name, 0)
        self.fields = []
        end = 0
        for i in range(count):
            (name, offset, many, kind, unit, explained, first, names,
             since) = struct.unpack_from("=9I", data, 48 + 48 * i)
            must(1 <= kind <= 11 and unit < strings and explained < strings, "a field is impossible")
            size = KINDS[kind][2]
            end = end if whole else offset
            must(offset == end and offset % size == 0, "a field is out of place")
            end += size * (many or 1)
            must(end <= self.record_size, "a field lies outside the record")
            must(names <= values and first <= values - names, "names of values that are not there")
            must(not names or 2 <= kind <= 9, "values with names that are no integers")
            shown = {}
            for j in range(first, first + names):
                value, where = struct.unpack_from("=qI", data, named + 16 * j)
                found = name_at(where, 1)
                must(found[:1] not in b"0123456789+-.", "the name of a value is impossible")
                must(found not in shown.values(), "two values have one name")
                shown.setdefault(value % (1 << 8 * size), found)
            self.fields.append((name_at(name, 1), offset, many, kind, shown))
        must(end == self.record_size or not whole, "the fields do not describe all of a record")
        self.hash = self.hash_of()

    def hash_of(self):
        data = struct.pack("<I", self.record_size)
        for name, offset, count, kind, _ in self.fields:
            data += name + b"\0" + struct.pack("<3I", offset, count, kind)
        result = 0xCBF29CE484222325
        for byte in data:
            result = (result ^ byte) * 0x100000001B3 & M64
        return result or 1


class Entry:
    """An object in the directory."""

    def __init__(self, data):
        self.kind, self.flags, name = struct.unpack_from("=II48s", data)
        must(b"\0" in name and name[0], "an object has no name")
        self.name = string(name)
        self.offset, self.size, self.schema_hash, self.schema_at = struct.unpack_from("=QQQI", data, 56)
        self.param = struct.unpack_from("=5Q", data, 88)
        self.schema = None


class Segment:
    def __init__(self, path):
        with open(path, "rb") as file:
            data = file.read(PAGE)
            must(len(data) < 8 or data[:8] == b"\x93SHMRNG\n", "not a segment")
            must(len(data) == PAGE, "truncated")
            self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.read_header(data)

    def read_header(self, data):
        order, major, _, crc, size, fingerprint, total = struct.unpack_from("=IHHIIQQ", data, 8)
        must(order != 0x04030201, "of the other byte order")
        must(order == 0x01020304, "the byte order is damaged")
        must(major == 0, "of another format")
        self.epoch, = struct.unpack_from("=Q", data, 40)
        locks, self.members, objects = struct.unpack_from("=3I", data, 76)
        member_at, schema_at, schema_size = struct.unpack_from("=3Q", data, 88)
        life, zero, counters, counter_kinds = struct.unpack_from("=4I", data, 112)
        must(schema_size <= 1 << 20 and schema_at + schema_size <= len(self.map),
             "the schemas lie outside the file")
        schemas = self.map[schema_at:schema_at + schema_size]
        must(crc == crc32c(data[:16] + bytes(4) + data[20:128] + data[256:] + schemas),
             "the checksum is wrong")
        must(total <= len(self.map), "truncated")
        must(size == PAGE and self.epoch and locks & 255 <= 1 and life <= 1 and not zero and
             counter_kinds <= 5,
             "the header has an impossible value")
        must(1 <= self.members <= 1022 and objects <= 30, "the header has an impossible value")
        members_end = member_at + 256 * self.members
        must(member_at >= PAGE and member_at % 128 == 0 and members_end <= total and
             schema_at >= members_end and schema_at % 8 == 0 and schema_at + schema_size <= total,
             "members or schemas lie outside the segment")
        self.objects = []
        for i in range(objects):
            entry = Entry(data[256 + 128 * i:384 + 128 * i])
            must(entry.offset % PAGE == 0 and entry.size and entry.offset + entry.size <= total and
                 entry.offset >= schema_at + schema_size, "an object lies outside the segment")
            for other in self.objects:
                must(entry.offset >= other.offset + other.size or
                     other.offset >= entry.offset + entry.size, "two objects overlap")
                must(entry.name != other.name, "two objects have one name")
            must(not entry.schema_hash or (entry.schema_at % 8 == 0 and entry.schema_at < schema_size),
                 "a schema lies outside the schemas")
            self.objects.append(entry)
        must(fingerprint == 0x1000010100080830, "laid out otherwise")
        for entry in self.objects:
            if entry.schema_hash:
                entry.schema = Schema(schemas[entry.schema_at:])
                must(entry.schema.hash == entry.schema_hash, "a schema is not the one of its object")
        for _ in range(counter_kinds):
            must(counters % 8 == 0, "the counters lie elsewhere")
            counters += Schema(schemas[counters:], whole=False).size

    def u64(self, at):
        """A number that others change: until two reads are the same."""
        last, = struct.unpack_from("=Q", self.map, at)
        for _ in range(TRIES):
            now, = struct.unpack_from("=Q", self.map, at)
            if now == last:
                break
            last = now
        return last


def text_of(data):
    """Bytes in JSON: text where that is possible."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return {"hex": data.hex()}


def value_of(kind, value, names):
    if names and value % (1 << 8 * KINDS[kind][2]) in names:
        return text_of(names[value % (1 << 8 * KINDS[kind][2])])
    if kind == 1:
        return text_of(string(value))
    if kind in (8, 9):
        return str(value)
    if kind >= 10 and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def payload_of(out, schema, payload):
    rest = payload
    if schema:
        out["fields"] = {}
        for name, offset, count, kind, names in schema.fields:
            _, code, size = KINDS[kind]
            if offset + size * (count or 1) > len(payload):
                out["cut_short"] = True
                break
            if kind == 1 and count:
                value = text_of(string(payload[offset:offset + count]))
            else:
                value = [value_of(kind, one, names) for one in
                         struct.unpack_from("=%d%s" % (count or 1, code), payload, offset)]
                value = value if count else value[0]
            out["fields"][text_of(name)] = value
        rest = payload[schema.record_size:]
    if not schema or len(payload) > schema.record_size:
        out["bytes"] = text_of(rest)
    return out


class Ring:
    TAIL, RECLAIM, AREA = 8, 128, 8192

    def __init__(self, segment, entry):
        self.segment, self.entry = segment, entry
        self.capacity, self.largest, history, first, last = entry.param
        self.mode, cursors, flags = last >> 32, last & 0xFFFFFFFF, entry.flags
        self.single = flags & SINGLE
        self.numbers = [name for name, has in (("sequence", flags & SEQUENCE),
                                               ("token", self.mode == QUEUE),
                                               ("time", flags & TIME)) if has]
        self.header = 8 + 8 * len(self.numbers)
        must(flags < 64 and self.mode <= OVERWRITE and cursors <= 28, "a ring is impossible")
        must(256 <= self.capacity <= 1 << 40 and not self.capacity & (self.capacity - 1) and
             1 <= self.largest <= self.capacity // 2 - self.header and first % 8 == 0 and
             history <= self.capacity - 2 * up(self.header + self.largest, 8) and
             entry.size == self.AREA + self.capacity, "a ring is impossible")
        must(not flags & DROP or flags & SEQUENCE, "a ring is impossible")
        must({STREAM: cursors and not flags & ONCE and not (flags & NO_DEFAULT and cursors == 1),
              QUEUE: not cursors and not flags & NO_DEFAULT,
              OVERWRITE: cursors and flags & SEQUENCE and not history and
              not flags & (ONCE | DROP | NO_DEFAULT)}[self.mode], "a ring is impossible")

    def number(self, at):
        return self.segment.u64(self.entry.offset + at)

    def place(self, position):
        return self.entry.offset + self.AREA + position % self.capacity

    def takes(self, position, word):
        """Bytes of the record, 0: impossible; and whether it is none."""
        length, kind, state = word & 0xFFFFFFFF, word >> 32 & 0xFFFF, word >> 48 & 15
        owner = word >> 52 & 1023
        pad = state == PAD or (state == BUSY and kind == 1)
        total = up(length + (8 if pad else self.header), 8)
        possible = (1 <= state <= (LOST if self.mode == QUEUE else PAD) and not word >> 62 and
                    1 <= owner <= self.segment.members and
                    length <= self.largest + (self.header if pad else 0) and
                    total <= self.capacity - position % self.capacity)
        return (total if possible else 0), pad

    def record(self, position, word, copy):
        length, state = word & 0xFFFFFFFF, word >> 48 & 15
        out = {"v": 1, "object": text_of(self.entry.name), "position": str(position),
               "state": STATES[state], "member": word >> 52 & 1023, "type": word >> 32 & 0xFFFF,
               "size": length}
        values = dict(zip(self.numbers, struct.unpack_from("=%dQ" % len(self.numbers), copy, 8)))
        if values.get("sequence"):
            out["sequence"] = str(values["sequence"])
        if values.get("time"):
            out["time_ns"] = str(values["time"])
        if values.get("token", 0) >> 16:
            out["deliveries"], out["worker"] = str(values["token"] >> 16), values["token"] & 0xFFFF
        if state not in (BUSY, SKIP):
            payload_of(out, self.entry.schema, copy[self.header:self.header + length])
        return out, values.get("sequence", 0)

    def look(self, p):
        """At position @p: the word, the bytes it takes, and the copy of the record or None."""
        if not self.single and signed(self.number(self.TAIL) - p) <= 0:
            return 0, 0, None
        at = self.place(p)
        word = self.segment.u64(at)
        total, pad = self.takes(p, word) if word else (0, False)
        if not total or pad:
            return word, total, None
        copy = self.segment.map[at:at + total]
        again = self.segment.u64(at)
        return (word, total, copy) if again == word else (None, 0, None)

    def records(self):
        """All records that are there, and "lost_bytes" where they were used again."""
        p = self.number(self.RECLAIM)
        must(p % 8 == 0, "the ring is corrupt: reclaim %d" % p)
        passed, moved, expected, untold = 0, 0, 0, 0
        while passed <= self.capacity and moved <= TRIES:
            word, total, copy = self.look(p)
            reclaim = self.number(self.RECLAIM)
            if signed(reclaim - p) > 0 and reclaim % 8 == 0:
                yield {"v": 1, "object": text_of(self.entry.name), "lost_bytes": str(reclaim - p & M64)}
                p, passed, moved = reclaim, 0, moved + 1
                continue
            must(reclaim % 8 == 0 and p - reclaim & M64 <= self.capacity,
                 "the ring is corrupt: reclaim %d" % reclaim)
            if word is None:
                moved += 1
                continue
            if not word:
                return
            must(total, "the ring is corrupt: a record at position %d is impossible" % p)
            if copy is not None:
                out, sequence = self.record(p, word, copy)
                if sequence:
                    if expected and sequence - expected & M64 < 1 << 62:
                        untold += sequence - expected
                    expected = sequence + 1
                if untold:
                    out["lost_records"], untold = str(untold), 0
                yield out
            p, passed = p + total & M64, passed + total


class Table:
    INDEX, VERSION = 512, 256
    SEQUENCE, GENERATION, HASH, KEY = 64, 72, 80, 96
    GOLDEN = 0x9E3779B97F4A7C15

    def __init__(self, segment, entry):
        self.segment, self.entry = segment, entry
        self.slots, kinds, self.record_size, key, zero = entry.param
        self.mode, self.text, self.field = kinds & 255, kinds >> 8 & 0xFFFFFF, kinds >> 32
        self.key_offset, self.key_size = key & 0xFFFFFFFF, key >> 32
        must(1 <= self.slots <= 1 << 24 and self.mode <= 2 and self.text <= 1 and not zero and
             1 <= self.record_size <= 1 << 30 and not entry.flags, "a table is impossible")
        if self.field:
            must(self.field <= 64 and 1 <= self.key_size <= 256 and
                 self.key_offset + self.key_size <= self.record_size, "a key is impossible")
        else:
            must(not key and not self.text, "a key is impossible")
        self.entries = 0
        if self.field:
            self.entries = 16
            while self.entries < 2 * self.slots:
                self.entries *= 2
        self.key_at, self.record_at = self.KEY, 128
        if self.key_size > 32:
            self.key_at, self.record_at = 128, 128 + up(self.key_size, 64)
        copy = up(self.record_size, 64)
        self.step = copy if self.mode == 0 else 0
        self.slot_size = up(self.record_at + copy + self.step, 128)
        self.slots_at = self.INDEX + 8 * self.entries
        must(entry.size == self.slots_at + self.slots * self.slot_size, "a table is impossible")

    def slot(self, number):
        return self.entry.offset + self.slots_at + number * self.slot_size

    def read(self, number):
        """Of a used slot (generation, sequence, record), the last None where it is not whole."""
        at, u64 = self.slot(number), self.segment.u64
        for _ in range(TRIES):
            generation = u64(at + self.GENERATION)
            if not generation & 1:
                return None
            sequence = u64(at + self.SEQUENCE)
            if self.mode == 1 and sequence & 1:
                continue
            start = at + self.record_at + (sequence & 1) * self.step
            record = self.segment.map[start:start + self.record_size]
            if u64(at + self.SEQUENCE) == sequence and u64(at + self.GENERATION) == generation:
                return generation, sequence, record
        return generation, sequence, None

    def shown(self, number, read):
        generation, sequence, record = read
        version = generation + (sequence // 2 if self.mode == 1 else sequence)
        out = {"v": 1, "object": text_of(self.entry.name), "slot": number,
               "version": str(version & M64), "generation": str(generation)}
        if record is None:
            word, = struct.unpack_from("=I", self.segment.map, self.slot(number))
            dead, = struct.unpack_from("=I", self.segment.map, self.slot(number) + 40)
            out["state"] = "busy" if word & 1023 else "torn"
            out["member"] = word & 1023 or dead
            return out
        out["state"] = "ready"
        return payload_of(out, self.entry.schema, record)

    def records(self):
        for number in range(self.slots):
            read = self.read(number)
            if read:
                yield self.shown(number, read)

    def hash(self, key):
        result = self.GOLDEN + len(key) & M64
        key += bytes(-len(key) % 8)
        for word in struct.unpack("=%dQ" % (len(key) // 8), key):
            result = (result ^ word) * self.GOLDEN & M64
            result ^= result >> 32
        return (result * self.GOLDEN & M64) >> 32

    def has(self, number, key, wanted):
        at = self.slot(number)
        generation = self.segment.u64(at + self.GENERATION)
        stored, = struct.unpack_from("=I", self.segment.map, at + self.HASH)
        there = self.segment.map[at + self.key_at:at + self.key_at + self.key_size]
        return (generation & 1 and stored == wanted and there == key and
                self.segment.u64(at + self.GENERATION) == generation)

    def find(self, key):
        must(self.field, "the table has no key")
        must(len(key) <= self.key_size, "the key is too long")
        key += bytes(self.key_size - len(key))
        wanted = self.hash(key)
        for _ in range(3):
            version = self.segment.u64(self.entry.offset + self.VERSION)
            if version & 1:
                continue
            for i in range(self.entries):
                at = (wanted + i) % self.entries
                entry = self.segment.u64(self.entry.offset + self.INDEX + 8 * at)
                if not entry:
                    break
                number = (entry & 0xFFFFFFFF) - 1
                if entry >> 32 == wanted and number < self.slots and self.has(number, key, wanted):
                    return number
            if self.segment.u64(self.entry.offset + self.VERSION) == version:
                return None
        for number in range(self.slots):
            if self.has(number, key, wanted):
                return number
        return None


def opened(segment, entry):
    return {2: Ring, 5: Table}[entry.kind](segment, entry)


def main(arguments):
    command, path = arguments[:2]
    segment = Segment(path)
    if command == "list":
        kinds = ["unknown", "bytes", "ring", "mutex", "event", "table"]
        for entry in segment.objects:
            print(json.dumps({"name": text_of(entry.name), "size": str(entry.size),
                              "kind": kinds[entry.kind if entry.kind < 6 else 0],
                              "schema": text_of(entry.schema.name) if entry.schema else None}))
    elif command == "records":
        for entry in segment.objects:
            if entry.kind in (2, 5) and (len(arguments) < 3 or arguments[2].encode() == entry.name):
                for record in opened(segment, entry).records():
                    print(json.dumps(record, ensure_ascii=False))
    elif command == "find":
        for entry in segment.objects:
            if entry.kind == 5 and entry.name == arguments[2].encode():
                table = opened(segment, entry)
                for key in arguments[3:]:
                    number = table.find(key.encode())
                    if number is None:
                        return 1
                    print(json.dumps(table.shown(number, table.read(number)), ensure_ascii=False))
    elif command == "checks":
        records = lost = 0
        for _ in range(int(arguments[2])):
            for entry in segment.objects:
                if entry.kind in (2, 5):
                    for record in opened(segment, entry).records():
                        records += "state" in record
                        lost += "lost_bytes" in record
                        print(json.dumps(record, ensure_ascii=False))
        print("%d records, overtaken %d times" % (records, lost), file=sys.stderr)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (Damaged, OSError) as error:
        print("format-reader: %s" % error, file=sys.stderr)
        sys.exit(2)
