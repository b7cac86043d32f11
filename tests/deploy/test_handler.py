"""`make package HANDLER=folder`: which crate and binary it builds, with which flags, and the error for a folder that
it cannot build. A fake `cargo` takes the place of the real one, so nothing is compiled."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

from stack import ROOT

sys.path.append(str(ROOT / "deploy"))

# Records its calls, and returns what the test arranged. A build writes the program and the folders of build scripts.
CARGO = f"""#!{sys.executable}
import json, os, pathlib, sys
here = pathlib.Path(__file__).parent
arguments = sys.argv[1:]
call = {{"arguments": arguments, "folder": os.getcwd(), "flags": os.environ.get("CARGO_ENCODED_RUSTFLAGS")}}
with open(here / "calls", "a") as calls:
    calls.write(json.dumps(call) + "\\n")
command = arguments[0]
if command == "locate-project":
    print((here / "root").read_text())
elif command == "metadata":
    metadata = here / "metadata"
    if not metadata.exists():
        sys.exit("error: cannot update the lock file because --locked was passed")
    print(metadata.read_text())
elif command == "build":
    target = pathlib.Path(os.environ["CARGO_TARGET_DIR"])
    (target / "lambda" / arguments[arguments.index("--bin") + 1]).write_text(arguments[-1])
    for crate in ("rdkafka-sys", "openssl-sys", "zstd-sys", "libz-sys"):
        folder = target / crate
        folder.mkdir(exist_ok=True)
        print(json.dumps({{"reason": "build-script-executed", "package_id": f"registry#{{crate}}@4.10.0+2.12.1",
                          "out_dir": str(folder)}}, separators=(",", ":")))
"""
RUSTC = '#!/bin/sh\n[ "$1" = -vV ] && echo "host: x86_64-unknown-linux-gnu" || echo /sysroot\n'
# Links nothing.
LAYER = '#!/bin/sh\nmkdir -p "$2/lib"\necho library >"$2/lib/librdkafka.so.1"\n'
LIBRARY = "kafka-consumer-lambda"


class Repository:
    """A copy of the scripts, so that no test writes to this repository, with a crate beside it."""

    def __init__(self, folder):
        self.folder = folder
        self.root = folder / "repository"
        self.crate = folder / "orders"
        self.bin = folder / "bin"
        for made in (self.root / "layer", self.crate, self.bin):
            made.mkdir(parents=True)
        shutil.copytree(ROOT / "deploy", self.root / "deploy")
        shutil.copy(ROOT / "Cargo.toml", self.root)
        self.command(self.root / "layer/build.sh", LAYER)
        self.command(self.root / "deploy/fits.sh", "#!/bin/sh\n")
        self.command(self.bin / "cargo", CARGO)
        self.command(self.bin / "rustc", RUSTC)
        for tool in ("cc", "make", "perl", "objdump", "pkg-config"):
            self.command(self.bin / tool, "#!/bin/sh\n")
        self.command(self.bin / "python3", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        (self.crate / "Cargo.toml").touch()
        (self.crate / "Cargo.lock").touch()
        (self.bin / "root").write_text(str(self.crate / "Cargo.toml"))
        self.arrange()

    def command(self, path, content):
        path.write_text(content)
        path.chmod(0o755)

    def arrange(self, binaries=("handler",), needs=(LIBRARY,), name="orders", manifest=None, optional=(), local=()):
        """Sets cargo's metadata of the crate: names of binaries (those in `optional` need a feature), names of
        normal dependencies, and folders of local crates among these."""
        targets = [{"name": each, "kind": ["bin"], **({"required-features": ["cli"]} if each in optional else {})} for each in binaries]
        manifest = manifest or self.crate / "Cargo.toml"
        packages = [{"id": name, "name": name, "source": None, "manifest_path": str(manifest), "targets": targets}]
        packages += [{"id": each, "name": each, "source": "git", "manifest_path": f"/git/{each}/Cargo.toml"} for each in needs]
        packages += [{"id": str(each), "name": "l", "source": None, "manifest_path": f"{each}/Cargo.toml"} for each in local]
        edges = [{"pkg": each["id"], "dep_kinds": [{"kind": None}]} for each in packages[1:]]
        nodes = [{"id": each["id"], "deps": edges if each is packages[0] else []} for each in packages]
        found = {
            "packages": packages,
            "workspace_members": [name],
            "workspace_root": str(self.crate),
            "resolve": {"nodes": nodes},
        }
        (self.bin / "metadata").write_text(json.dumps(found))

    def __call__(self, *arguments, folder=None, **variables):
        return subprocess.run(
            [self.root / "deploy/package.sh", *arguments],
            env={
                "PATH": f"{self.bin}:{os.environ['PATH']}",
                "HOME": str(self.folder),
                "CARGO_TARGET_DIR": str(self.folder / "target"),
                "PYTHONDONTWRITEBYTECODE": "1",
                **{name: str(value) for name, value in variables.items()},
            },
            cwd=folder or self.root,
            capture_output=True,
            text=True,
        )

    def calls(self, command):
        lines = (self.bin / "calls").read_text().splitlines() if (self.bin / "calls").exists() else []
        return [call for call in map(json.loads, lines) if call["arguments"][0] == command]


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path)


def after(flag, arguments):
    return [value for name, value in zip(arguments, arguments[1:]) if name == flag]


def test_the_binary_of_the_crate_is_packaged_as_bootstrap(repository):
    run = repository(HANDLER=repository.crate)
    assert run.returncode == 0, run.stderr
    with zipfile.ZipFile(repository.root / "dist/function.zip") as packed:
        entry, = packed.infolist()
    assert entry.filename == "bootstrap"
    build, = repository.calls("build")
    assert build["folder"] == str(repository.crate)
    assert after("--bin", build["arguments"]) == ["handler"] and after("--package", build["arguments"]) == ["orders"]
    assert "--locked" in build["arguments"]


def test_a_crate_is_built_with_the_profile_of_this_repository(repository):
    repository(HANDLER=repository.crate)
    build, = repository.calls("build")
    assert after("--profile", build["arguments"]) == ["lambda"]
    profile, = after("--config", build["arguments"])
    assert pathlib.Path(profile).read_text() == (
        '[profile.lambda]\ninherits = "release"\nopt-level = "s"\nlto = "thin"\nstrip = true\n\n'
    )


def test_without_a_handler_the_shipped_function_is_packaged(repository):
    for variables in ({}, {"HANDLER": ""}):
        run = repository(**variables)
        assert run.returncode == 0, run.stderr
        build = repository.calls("build")[-1]
        assert build["folder"] == str(repository.root)
        assert after("--bin", build["arguments"]) == ["bootstrap"] and not after("--package", build["arguments"])
    assert not repository.calls("metadata")


def test_crates_are_compiled_once_for_all_functions(repository):
    """With other flags, cargo would compile each of them again."""
    repository()
    repository(HANDLER=repository.crate)
    shipped, own = repository.calls("build")
    assert shipped["flags"] == own["flags"]


def test_the_folder_of_a_local_crate_elsewhere_is_mapped_away(repository):
    elsewhere = repository.folder / "common"
    repository.arrange(local=[elsewhere, repository.crate / "member", repository.root])
    assert repository(HANDLER=repository.crate).returncode == 0
    build, = repository.calls("build")
    mapped = [each.removeprefix("--remap-path-prefix=") for each in build["flags"].split("\x1f")]
    assert f"{elsewhere}=/local/common" in mapped
    assert [each for each in mapped if each.startswith(str(repository.crate))] == []


def test_a_relative_handler_and_folder_for_the_packages_are_the_callers(repository):
    run = repository(folder=repository.folder, HANDLER="orders", DIST="packages/orders")
    assert run.returncode == 0, run.stderr
    assert (repository.folder / "packages/orders/function.zip").exists()
    assert not (repository.root / "dist").exists()


def test_the_function_for_the_layer_links_the_layers_librdkafka(repository):
    run = repository("dynamic", HANDLER=repository.crate)
    assert run.returncode == 0, run.stderr
    assert (repository.root / "dist/function-dynamic.zip").exists()
    _, build = repository.calls("build")
    layer = repository.folder / "target/lambda/layer"
    assert after("--config", build["arguments"])[1:] == [
        f"target.x86_64-unknown-linux-gnu.rdkafka.rustc-link-search=['native={layer}']",
        "target.x86_64-unknown-linux-gnu.rdkafka.rustc-link-lib=['dylib=rdkafka']",
    ]
    assert "--features" not in build["arguments"]


@pytest.mark.parametrize(
    "binaries, optional, chosen",
    [
        (["orders"], [], "orders"),
        (["cli", "bootstrap"], [], "bootstrap"),
        (["cli", "orders"], ["cli"], "orders"),
        (["orders"], ["orders"], "orders"),
    ],
)
def test_the_binary_is_bootstrap_or_the_only_one(repository, binaries, optional, chosen):
    repository.arrange(binaries=binaries, optional=optional)
    assert repository(HANDLER=repository.crate).returncode == 0
    build, = repository.calls("build")
    assert after("--bin", build["arguments"]) == [chosen]


def refused(repository, handler, *parts):
    run = repository(HANDLER=handler)
    assert run.returncode == 2 and not repository.calls("build")
    assert f"HANDLER={handler}: " in run.stderr
    for part in parts:
        assert part in run.stderr, run.stderr


def test_a_folder_that_does_not_exist_is_an_error(repository):
    refused(repository, repository.folder / "nowhere", "this folder does not exist")


def test_a_folder_without_a_crate_is_an_error(repository):
    refused(repository, repository.bin, "there is no Cargo.toml")


def test_a_crate_without_a_binary_is_an_error(repository):
    repository.arrange(binaries=[])
    refused(repository, repository.crate, "has no binary; add src/main.rs")


def test_several_binaries_are_listed(repository):
    repository.arrange(binaries=["orders", "invoices"])
    refused(repository, repository.crate, "several binaries: invoices, orders; name one `bootstrap`")


def test_a_crate_that_does_not_depend_on_this_one_is_an_error(repository):
    repository.arrange(needs=["serde"])
    refused(repository, repository.crate, "does not depend on kafka-consumer-lambda; add it to [dependencies]")


def test_this_crate_is_packaged_without_handler(repository):
    repository.arrange(name=LIBRARY, needs=[])
    refused(repository, repository.crate, "leave HANDLER out")


def test_a_missing_lock_file_is_an_error_with_the_command_that_creates_it(repository):
    (repository.crate / "Cargo.lock").unlink()
    refused(repository, repository.crate, "Cargo.lock is missing; run `cargo generate-lockfile`")


def test_a_lock_file_that_needs_an_update_is_an_error_with_the_command_for_it(repository):
    (repository.bin / "metadata").unlink()
    refused(repository, repository.crate, "cannot update the lock file", "run `cargo update --workspace`")


def test_a_workspace_without_a_package_lists_its_members(repository):
    member = repository.crate / "function"
    repository.arrange(manifest=member / "Cargo.toml")
    refused(repository, repository.crate, "name the folder of a member", str(member))


def test_the_example_crate_is_described_as_it_is():
    """docs/EXTENDING.md shows the program that is compiled, and the dependencies that it has."""
    described = (ROOT / "docs/EXTENDING.md").read_text()
    program = (ROOT / "examples/handler/src/main.rs").read_text().split("\n\n", 1)[1]
    assert program.strip() in described
    manifest = (ROOT / "examples/handler/Cargo.toml").read_text()
    for line in manifest.split("[dependencies]")[1].splitlines():
        if line and not line.startswith(("#", LIBRARY)):
            assert line in described
