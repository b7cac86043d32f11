#!/usr/bin/env bash
# Whether programs and libraries run on provided.al2023: deploy/fits.sh FILE...
#
# They may need the libraries that are there, or one that the files before them are, and no symbol of a
# later glibc than 2.34. Prints the problem and the next step.
set -euo pipefail
# Bash has it since 4.4; the one of Macs is 3.2.
shopt -s inherit_errexit 2>/dev/null || true

glibc=2.34
there=" libc.so.6 libm.so.6 libgcc_s.so.1 libdl.so.2 libpthread.so.0 librt.so.1 ld-linux-x86-64.so.2 ld-linux-aarch64.so.1 "
fits=true

for file in "$@"; do
    for needed in $(objdump -p "$file" | awk '$1 == "NEEDED" { print $2 }'); do
        if [[ $there != *" $needed "* ]]; then
            printf '%s needs %s, which provided.al2023 does not have\n' "$file" "$needed" >&2
            fits=false
        fi
    done
    highest=$(objdump -T "$file" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1)
    if [[ $(printf 'GLIBC_%s\n%s\n' "$glibc" "$highest" | sort -V | tail -1) != "GLIBC_$glibc" ]]; then
        printf '%s needs %s, and provided.al2023 has %s. Build it in a container: see layer/Dockerfile\n' "$file" "$highest" "$glibc" >&2
        fits=false
    fi
    printf '%s: %s\n' "$(basename "$file")" "${highest:-no glibc}"
    there+="$(basename "$file") "
done
$fits
