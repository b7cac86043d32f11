#!/usr/bin/env bash
# Checks the template and the scripts beside this one, without an account. Needs Python 3.11 or later.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=${CARGO_TARGET_DIR:-target}/deploy-tools
requirements=.ci/deploy-requirements.txt

# A venv that was left half made, or made for other versions, is made anew.
if ! cmp --silent "$requirements" "$tools/installed.txt"; then
    rm -rf "$tools"
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement "$requirements"
    cp "$requirements" "$tools/installed.txt"
fi

echo "cfn-lint"
# -c I: also what is only informational, such as missing deletion policies.
"$tools/bin/cfn-lint" --include-checks I --template cloudformation.yaml

echo "checkov, on the template and on stacks with their conditions resolved"
rm -rf "$tools/stacks"
PYTHONDONTWRITEBYTECODE=1 "$tools/bin/python" tests/deploy/stack.py "$tools/stacks"
cp cloudformation.yaml "$tools/stacks"
"$tools/bin/checkov" --directory "$tools/stacks" --framework cloudformation --skip-download --compact --quiet

echo "shellcheck"
if command -v shellcheck >/dev/null; then
    shellcheck deploy/*.sh
else
    echo "NOT CHECKED: shellcheck is not installed"
fi

PYTHONDONTWRITEBYTECODE=1 exec "$tools/bin/python" -m pytest -q -p no:cacheprovider tests/deploy "$@"
