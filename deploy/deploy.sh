#!/usr/bin/env bash
# Deploys the function, its table and its alarms into an account, and removes them again.
#
#   STACK=orders BUCKET=my-packages PARAMETERS=orders.params deploy/deploy.sh deploy
#   STACK=orders deploy/deploy.sh destroy
#
# deploy/deploy.py does the work and lists the other settings. This script runs with the bash of macOS (3.2).
set -euo pipefail

if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 8))' >/dev/null 2>&1; then
    printf 'missing: python3, version 3.8 or later\n' >&2
    exit 2
fi
# Not "$@" alone: with `set -u` some old bashes take it for unset where there are no arguments.
exec python3 "$(dirname "$0")/deploy.py" ${1+"$@"}
