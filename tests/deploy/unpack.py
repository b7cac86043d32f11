"""Unpacks the packages as Lambda does, and writes the template's settings of the function: unpack.py DIST FOLDER"""

import json
import pathlib
import shutil
import sys
import zipfile

from stack import stack


def unpack(archive, folder):
    shutil.rmtree(folder, ignore_errors=True)
    with zipfile.ZipFile(archive) as packed:
        for entry in packed.infolist():
            path = pathlib.Path(packed.extract(entry, folder))
            path.chmod(entry.external_attr >> 16 & 0o777)


def given():
    """To a function that reads brokers without encryption, and by its schedules where one to four share a topic."""
    function = stack().properties("Function")
    return {
        "environment": {name: str(value) for name, value in function["Environment"]["Variables"].items()},
        "memory_mb": int(function["MemorySize"]),
        "timeout_seconds": function["Timeout"],
        "events": [
            [json.loads(each["Target"]["Input"]) for each in stack(Shards=shards).of_type("AWS::Scheduler::Schedule").values()]
            for shards in range(1, 5)
        ],
    }


if __name__ == "__main__":
    packages, folder = (pathlib.Path(each) for each in sys.argv[1:])
    for archive in packages.glob("*.zip"):
        unpack(archive, folder / archive.stem)
    (folder / "template.json").write_text(json.dumps(given(), indent=1))
