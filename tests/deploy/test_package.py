"""The content of the packages, and the AWS operations of the program. deploy/check.sh has built and unpacked them,
and has run the function against services that recorded its requests."""

import json
import os
import pathlib
import re
import subprocess
import sys
import zipfile

import pytest

from stack import DESTINATION_TABLE, FUNCTION, ROOT, SCRAM, stack
from test_roles import permissions

sys.path.append(str(ROOT / "deploy"))
import zip as packing

DIST = ROOT / "dist"
UNPACKED = pathlib.Path(os.environ.get("PACKAGES", ""))
PACKAGES = {
    "function.zip": "bootstrap",
    "function-dynamic.zip": "bootstrap",
    "layer.zip": "lib/librdkafka.so.1",
}
# Of examples/handler, a separate crate.
HANDLER = UNPACKED / "handler/function/bootstrap"
# Operations of AWS's services with the role, and those that are no separate request.
NOT_THE_CODES = {
    "logs:CreateLogStream": "Lambda writes the log",
    "logs:PutLogEvents": "Lambda writes the log",
    "kms:Decrypt": "DynamoDB, SQS and Secrets Manager decrypt with the permissions of the caller",
}
# Every other operation needs the permission of its name.
PERMISSIONS = {"lambda:Invoke": "lambda:InvokeFunction"}
# Linked and not called: aws-config can get credentials in more ways than the one in Lambda.
UNUSED = {"sts"}


@pytest.mark.parametrize("package, name", PACKAGES.items())
def test_a_package_contains_one_executable_file_and_no_timestamp(package, name):
    with zipfile.ZipFile(DIST / package) as packed:
        entry, = packed.infolist()
    assert (entry.filename, entry.date_time) == (name, (1980, 1, 1, 0, 0, 0))
    assert entry.create_system == 3 and entry.external_attr >> 16 == 0o100755


@pytest.mark.parametrize("package, name", PACKAGES.items())
def test_a_package_is_made_again_byte_for_byte(package, name, tmp_path):
    unpacked = UNPACKED / pathlib.Path(package).stem / name
    os.utime(unpacked)
    packing.pack(tmp_path / package, {name: unpacked})
    assert (tmp_path / package).read_bytes() == (DIST / package).read_bytes()


@pytest.mark.parametrize("package, name", PACKAGES.items())
def test_no_package_contains_the_path_of_its_build(package, name):
    content = (UNPACKED / pathlib.Path(package).stem / name).read_bytes()
    target = os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target"))
    home = str(pathlib.Path.home())
    for folder in (str(ROOT), target, os.environ.get("CARGO_HOME", home + "/.cargo"), home + "/", "registry/src"):
        found = re.search(rb"[ -~]{0,80}" + re.escape(folder.encode()) + rb"[ -~]{0,80}", content)
        assert not found, found[0]


def test_packages_are_below_lambdas_limits():
    # 50 MB for a package that is uploaded directly, 250 MB for all that is unpacked.
    for package in PACKAGES:
        assert (DIST / package).stat().st_size < 20_000_000


@pytest.mark.parametrize(
    "files",
    [["function/bootstrap"], ["layer/lib/librdkafka.so.1"], ["layer/lib/librdkafka.so.1", "function-dynamic/bootstrap"]],
)
def test_they_need_nothing_that_the_runtime_does_not_have(files):
    assert fits(*(UNPACKED / each for each in files)).returncode == 0


def test_the_function_of_another_crate_fits_and_contains_no_path_of_the_build():
    assert fits(HANDLER).returncode == 0
    content = HANDLER.read_bytes()
    for folder in (str(ROOT), os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target")), str(pathlib.Path.home()) + "/"):
        assert folder.encode() not in content


def test_the_function_for_the_layer_does_not_fit_without_it():
    result = fits(UNPACKED / "function-dynamic" / "bootstrap")
    assert result.returncode != 0 and "needs librdkafka.so.1" in result.stderr


def test_a_program_for_a_later_glibc_does_not_fit(tmp_path):
    program = tmp_path / "late"
    program.with_suffix(".c").write_text("#include <stdlib.h>\nint main(void) { return arc4random(); }\n")
    if subprocess.run(["cc", program.with_suffix(".c"), "-o", program], capture_output=True).returncode:
        pytest.skip("this machine's glibc is older than 2.36, so nothing built here can be too late")
    result = fits(program)
    assert result.returncode != 0 and "needs GLIBC_2.36" in result.stderr and "layer/Dockerfile" in result.stderr


def test_the_layer_shows_librdkafka_and_nothing_of_what_it_links():
    library = UNPACKED / "layer/lib/librdkafka.so.1"
    symbols = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    names = {line.split()[-1] for line in symbols.splitlines()}
    assert len(names) > 300 and all(name.startswith("rd_kafka_") for name in names)


def linked():
    """The operations of AWS that the program contains, according to the messages of their panics. It cannot request
    others."""
    content = (UNPACKED / "function/bootstrap").read_bytes()
    found = set(re.findall(rb"/aws-sdk-([a-z0-9]+)-[0-9.]+/src/operation/([a-z_]+)\.rs", content))
    assert found, "the names of operations are not where they were"
    return needed(
        f"{service}:{''.join(word.capitalize() for word in operation.split('_'))}"
        for service, operation in ((service.decode(), operation.decode()) for service, operation in found)
        if service not in UNUSED
    )


def requested():
    return needed(json.loads((UNPACKED / "requests.json").read_text()))


def needed(operations):
    return {PERMISSIONS.get(each, each) for each in operations}


def granted():
    """Of the code: a stack that reads with a secret, has all kinds of destinations and a queue of dead letters."""
    destinations = json.dumps({"a": FUNCTION, "b": DESTINATION_TABLE})
    actions = {action for action, _ in permissions(stack(**SCRAM, OnFailure="queue", Destination=destinations))}
    assert NOT_THE_CODES.keys() < actions
    return actions - NOT_THE_CODES.keys()


def test_the_role_has_the_permissions_of_the_program_s_requests_and_no_more():
    assert linked() == granted()


def test_every_permission_of_the_role_is_used_by_the_program():
    assert requested() == granted()


def fits(*files):
    return subprocess.run([ROOT / "deploy/fits.sh", *files], capture_output=True, text=True)
