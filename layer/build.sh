#!/usr/bin/env bash
# Links the librdkafka that cargo has built, with the OpenSSL, zstd and zlib it uses, into one library that
# needs nothing but libc and libm:
#
#   layer/build.sh VERSION FOLDER ARCHIVE...
#
# makes FOLDER/lib/librdkafka.so.1, the layer's content, and FOLDER/librdkafka.so and FOLDER/rdkafka.pc, for
# the linker. The archives are librdkafka.a, libssl.a, libcrypto.a, libzstd.a and libz.a: what the static
# function holds, so both variants run the same code.
#
# In one library because Lambda's loader searches /lib64 before /opt/lib: another libssl there would be loaded
# instead of the layer's.
set -euo pipefail
# Bash has it since 4.4; the one of Macs is 3.2.
shopt -s inherit_errexit 2>/dev/null || true

version=$1 folder=$2
shift 2

mkdir -p "$folder/lib"
cat >"$folder/exported" <<'END'
{ global: rd_kafka_*; local: *; };
END
"${CC:-cc}" -shared -o "$folder/lib/librdkafka.so.1" \
    -Wl,-soname,librdkafka.so.1 -Wl,--version-script="$folder/exported" -Wl,--build-id=none \
    -Wl,--gc-sections -Wl,-z,defs -Wl,-z,relro -Wl,-z,now -Wl,--strip-all \
    -Wl,--whole-archive "$1" -Wl,--no-whole-archive "${@:2}" -lm -ldl -lpthread
ln -sf lib/librdkafka.so.1 "$folder/librdkafka.so"
cat >"$folder/rdkafka.pc" <<END
Name: librdkafka
Description: The layer's librdkafka
Version: $version
Libs: -L$(cd "$folder" && pwd) -lrdkafka
END
