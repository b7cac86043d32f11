"""Packages as `make package` builds them, with the parts that a deployment reads."""

import struct
import zipfile

MACHINES = {"x86_64": 0x3E, "arm64": 0xB7, "riscv64": 0xF3}


def program(processor="x86_64", needs=()):
    """An ELF file that loads the libraries `needs`: header, two program headers, dynamic section, names."""
    names = b"\0" + b"".join(each.encode() + b"\0" for each in needs)
    entries, place = [], 1
    for each in needs:
        entries.append((1, place))  # DT_NEEDED
        place += len(each) + 1
    size, address = 64 + 2 * 56, 0x400000
    strings = size + 16 * (len(entries) + 2)
    entries += [(5, address + strings), (0, 0)]  # DT_STRTAB, DT_NULL
    dynamic = b"".join(struct.pack("<QQ", *each) for each in entries)
    whole = strings + len(names)
    header = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack(
        "<HHIQQQIHHHHHH", 3, MACHINES[processor], 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0
    )
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, address, address, whole, whole, 4096)
    dynamic_header = struct.pack("<IIQQQQQQ", 2, 6, size, address + size, address + size, len(dynamic), len(dynamic), 8)
    return header + load + dynamic_header + dynamic + names


def pack(path, name, content, mode=0o755):
    with zipfile.ZipFile(path, "w") as packed:
        entry = zipfile.ZipInfo(name)
        entry.create_system, entry.external_attr = 3, (0o100000 | mode) << 16
        packed.writestr(entry, content)
    return path


def function(path, processor="x86_64", needs=("libc.so.6",), **others):
    return pack(path, "bootstrap", program(processor, needs), **others)


def layer(path, processor="x86_64"):
    return pack(path, "lib/librdkafka.so.1", program(processor, ("libc.so.6", "libm.so.6")))
