"""Finds what `make package HANDLER=folder` builds: handler.py FOLDER THIS_REPOSITORY

Prints the package's id, the name of its binary, and, a line each, the folders of crates that the compiler gets by
their full path. What is wrong with the folder is printed to stderr, with exit code 2."""

import json
import pathlib
import subprocess
import sys

LIBRARY = "kafka-consumer-lambda"


class Unusable(Exception):
    pass


def metadata(folder):
    """Cargo's metadata of the crate in `folder`, with its Cargo.lock unchanged."""
    if not folder.is_dir():
        raise Unusable("this folder does not exist")
    if not (folder / "Cargo.toml").is_file():
        raise Unusable("there is no Cargo.toml; name the folder of a crate")
    root = pathlib.Path(cargo(folder, "locate-project", "--workspace", "--message-format", "plain").strip()).parent
    if not (root / "Cargo.lock").is_file():
        raise Unusable(
            f"{root}/Cargo.lock is missing; run `cargo generate-lockfile` there and commit the file, so that every "
            "build uses the same versions"
        )
    return json.loads(cargo(folder, "metadata", "--locked", "--format-version", "1"))


def cargo(folder, *arguments):
    # In its folder, so that its .cargo/config.toml and rust-toolchain.toml apply.
    run = subprocess.run(["cargo", *arguments], cwd=folder, stdout=subprocess.PIPE, universal_newlines=True)
    if run.returncode:
        raise Unusable(
            f"`cargo {' '.join(arguments)}` failed; if Cargo.lock needs an update, run `cargo update --workspace` there "
            "and commit the file"
        )
    return run.stdout


def package(found, folder):
    manifest = folder / "Cargo.toml"
    for each in found["packages"]:
        if pathlib.Path(each["manifest_path"]).resolve() == manifest:
            return each
    members = sorted(each["manifest_path"] for each in found["packages"] if each["id"] in found["workspace_members"])
    folders = ", ".join(str(pathlib.Path(each).parent) for each in members)
    raise Unusable(f"this is a workspace without a package of its own; name the folder of a member: {folders}")


def binary(chosen):
    """The one named `bootstrap`, or the only one that needs no feature of the crate's own, or the only one."""
    programs = [each for each in chosen["targets"] if "bin" in each["kind"]]
    names = [each["name"] for each in programs]
    if "bootstrap" in names:
        return "bootstrap"
    plain = [each["name"] for each in programs if not each.get("required-features")]
    for candidates in (plain, names):
        if len(candidates) == 1:
            return candidates[0]
    if not names:
        raise Unusable(f"the package {chosen['name']} has no binary; add src/main.rs, which calls `lambda::run`")
    raise Unusable(f"the package {chosen['name']} has several binaries: {', '.join(sorted(names))}; name one `bootstrap`")


def dependencies(found, package_id):
    """The ids of all packages that the program is built from."""
    nodes = {each["id"]: each for each in found["resolve"]["nodes"]}
    reached, left = set(), [package_id]
    while left:
        at = left.pop()
        if at not in reached:
            reached.add(at)
            left += [each["pkg"] for each in nodes[at]["deps"] if any(kind["kind"] is None for kind in each["dep_kinds"])]
    return reached


def by_full_path(crates, root, repository):
    """Cargo passes the files of its workspace by relative paths, and those of other local crates by full ones. This
    repository's are mapped already."""
    for each in crates:
        folder = pathlib.Path(each["manifest_path"]).parent
        if each["source"] is None and root not in (folder, *folder.parents) and repository not in (folder, *folder.parents):
            yield folder


def main(folder, repository):
    folder = folder.resolve()
    try:
        found = metadata(folder)
        chosen = package(found, folder)
        name = binary(chosen)
        reached = dependencies(found, chosen["id"])
        crates = [each for each in found["packages"] if each["id"] in reached]
        if chosen["name"] == LIBRARY:
            raise Unusable(f"this is {LIBRARY} itself; leave HANDLER out to package the function that it ships")
        if not any(each["name"] == LIBRARY for each in crates):
            raise Unusable(f"the package {chosen['name']} does not depend on {LIBRARY}; add it to [dependencies]")
    except Unusable as error:
        print(f"HANDLER={folder}: {error}", file=sys.stderr)
        return 2
    local = by_full_path(crates, pathlib.Path(found["workspace_root"]), repository.resolve())
    print(chosen["id"], name, *sorted(local), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))
