#!/usr/bin/env bash
# Checks what is deployed, without an account:
#
#   deploy/check.sh template    the template and the scripts beside this one; needs Python 3.11 or later
#   deploy/check.sh build       also builds the packages
#   deploy/check.sh run         runs the packages, as built before, as Lambda would run them; needs what the tests
#                               on real services need
#   deploy/check.sh             all of that
set -euo pipefail
# Bash has it since 4.4; the one of Macs is 3.2.
shopt -s inherit_errexit 2>/dev/null || true
cd "$(dirname "$0")/.."

what=${1:-all}
if [[ ! $what =~ ^(template|build|run|all)$ ]]; then
    printf 'usage: %s [template|build|run]\n' "$0" >&2
    exit 2
fi

target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target"
target=$(cd "$target" && pwd)
tools=$target/deploy-tools
export PYTHONDONTWRITEBYTECODE=1
requirements=.ci/deploy-requirements.txt

# An incomplete venv, or one for other versions, is created again.
if ! cmp -s "$requirements" "$tools/installed.txt"; then
    rm -rf "$tools"
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement "$requirements"
    cp "$requirements" "$tools/installed.txt"
fi

test_with() {
    "$tools/bin/python" -m pytest -q -p no:cacheprovider "$@"
}

template() {
    echo "cfn-lint"
    # -c I: also what is only informational, such as missing deletion policies.
    "$tools/bin/cfn-lint" --include-checks I --template cloudformation.yaml

    echo "checkov, on the template and on stacks with their conditions resolved"
    rm -rf "$tools/stacks"
    "$tools/bin/python" tests/deploy/stack.py "$tools/stacks"
    cp cloudformation.yaml "$tools/stacks"
    "$tools/bin/checkov" --directory "$tools/stacks" --framework cloudformation --skip-download --compact --quiet

    echo "shellcheck"
    "$tools/bin/shellcheck" deploy/*.sh layer/*.sh .ci/run

    echo "the template"
    test_with tests/deploy --ignore tests/deploy/test_package.py
}

build() {
    deploy/package.sh dynamic
    # Only the crate itself and the last link are new.
    HANDLER=examples/handler DIST=$target/handler-packages deploy/package.sh
}

run() {
    export PACKAGES=$target/packages
    "$tools/bin/python" tests/deploy/unpack.py dist "$PACKAGES"
    "$tools/bin/python" tests/deploy/unpack.py "$target/handler-packages" "$PACKAGES/handler"
    # One at a time: some of them measure.
    cargo test --locked --all-features --test package -- --test-threads 1
    test_with tests/deploy/test_package.py
}

if [[ $what != run ]]; then
    template
fi
if [[ $what == build || $what == all ]]; then
    build
fi
if [[ $what == run || $what == all ]]; then
    run
fi
