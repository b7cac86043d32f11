"""What a deployment is given: the template's parameters, the file of parameters, the tags and the packages. Nothing
here sends a request to AWS, so all errors are reported before anything is uploaded.

Problems are returned as sentences, all at once. No sentence repeats a value: it may be a secret in the wrong place.
"""

import difflib
import re
import shlex
import struct
import zipfile

PROCESSORS = {0x3E: "x86_64", 0xB7: "arm64"}
LIBRARY = "librdkafka.so.1"
# deploy.py fills these in from what it uploads.
UPLOADED = ("CodeBucket", "CodeKey", "CodeVersion")


def template_parameters(text):
    """The template's parameters with their defaults, as text; None where one is needed.

    Python has no YAML of its own. These lines are all of YAML that the section uses, and tests/deploy compares the
    result with what a YAML parser reads.
    """
    section = re.search(r"^Parameters:\n((?: .*\n|\n)+)", text, re.MULTILINE).group(1)
    found = {}
    for name, body in re.findall(r"^  (\w+):\n((?:    .*\n)+)", section, re.MULTILINE):
        default = re.search(r"^    Default: (.*)$", body, re.MULTILINE)
        found[name] = default.group(1).strip('"') if default else None
    return found


def nearest(name, names):
    """The one of `names` that was probably meant, or None. Upper case and underscores make no difference."""

    def plain(text):
        return re.sub("[^a-z0-9]", "", text.lower())

    by_plain = {plain(each): each for each in names}
    close = difflib.get_close_matches(plain(name), by_plain, 1)
    return by_plain[close[0]] if close else None


def read_parameters(text, known):
    """The values by name of a file with lines `Name=value`, and what is wrong with it."""
    values, problems, lines = {}, [], {}
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals:
            problems.append(f"line {number} is not Name=value (a comment begins with #)")
        elif name not in known:
            meant = nearest(name, known)
            hint = f": is {meant} meant?" if meant else "; docs/DEPLOYMENT.md lists the parameters"
            problems.append(f"line {number}: there is no parameter {name!r}{hint}")
        elif name in UPLOADED:
            problems.append(f"line {number}: {name} follows from BUCKET and PACKAGE, so it has no place in the file")
        elif name in values:
            problems.append(f"line {number}: {name} is already set in line {lines[name]}")
        else:
            values[name], lines[name] = value, number
    return values, problems


def missing_parameters(values, known):
    """The parameters that have no default and no value."""
    return [name for name, default in known.items() if default is None and name not in values and name not in UPLOADED]


def read_tags(text):
    """`team=x 'cost centre=12 a'` as CloudFormation's list, and what is wrong with it."""
    tags, problems = {}, []
    try:
        words = shlex.split(text)
    except ValueError as error:
        return [], [f"TAGS has a quote without its end ({error})"]
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            problems.append("TAGS must be key=value, separated by spaces; quote a value with a space in it")
        elif key in tags:
            problems.append(f"TAGS sets {key} twice")
        elif key.lower().startswith("aws:"):
            problems.append(f"TAGS: {key} begins with aws:, which AWS keeps for itself")
        elif len(key) > 128 or len(value) > 256:
            problems.append(f"TAGS: {key[:20]} is longer than AWS allows (128 characters, and 256 for the value)")
        tags[key] = value
    if len(tags) > 50:
        problems.append(f"TAGS has {len(tags)} tags, and a stack takes 50")
    return [{"Key": key, "Value": value} for key, value in tags.items()], problems


class NotAPackage(Exception):
    """Lambda could not start the content of an archive."""


class Program:
    """What the program or library in an archive was built for."""

    def __init__(self, archive, member):
        try:
            with zipfile.ZipFile(archive) as packed:
                entry = packed.getinfo(member)
                self.content = packed.read(entry)
        except zipfile.BadZipFile:
            raise NotAPackage("it is no zip archive") from None
        except KeyError:
            raise NotAPackage(f"there is no file {member} in it") from None
        mode = entry.external_attr >> 16
        if member == "bootstrap" and entry.create_system == 3 and not mode & 0o111:
            raise NotAPackage(f"{member} may not be executed (chmod 755 it before it is packed)")
        # A 64-bit little-endian ELF file, as both of Lambda's processors have them.
        if self.content[:6] != b"\x7fELF\x02\x01":
            raise NotAPackage(f"{member} is no program for Linux")
        self.processor = PROCESSORS.get(struct.unpack_from("<H", self.content, 18)[0])
        if self.processor is None:
            raise NotAPackage(f"{member} was built for another processor than Lambda's ({', '.join(PROCESSORS.values())})")
        try:
            self.needs_layer = LIBRARY.encode() in self._needed()
        except (struct.error, StopIteration, ValueError):
            raise NotAPackage(f"{member} is damaged") from None

    def _needed(self):
        """The libraries that it loads (DT_NEEDED of the ELF format)."""
        start, = struct.unpack_from("<Q", self.content, 32)
        size, count = struct.unpack_from("<HH", self.content, 54)
        # Type, flags, offset, address, physical address, size in the file.
        headers = [struct.unpack_from("<IIQQQQ", self.content, start + size * each) for each in range(count)]
        names, strings = [], None
        for kind, _, offset, _, _, length in headers:
            if kind != 2:  # PT_DYNAMIC
                continue
            for tag, value in struct.iter_unpack("<QQ", self.content[offset : offset + length]):
                if tag == 0:  # DT_NULL: the end
                    break
                if tag == 1:  # DT_NEEDED
                    names.append(value)
                elif tag == 5:  # DT_STRTAB
                    strings = value
        if not names:
            return set()
        # The string table is given by its address in memory: the segment at that address has its offset in the file.
        table = next(
            strings - address + offset
            for kind, _, offset, address, _, length in headers
            if kind == 1 and strings is not None and address <= strings < address + length
        )
        return {self.content[table + name : self.content.index(b"\0", table + name)] for name in names}
