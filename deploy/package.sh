#!/usr/bin/env bash
# Builds what Lambda runs, for this machine's processor:
#
#   dist/function.zip           the function, which needs nothing else
#   dist/layer.zip              librdkafka with all that it links, as a layer
#   dist/function-dynamic.zip   a smaller function, which needs the layer: `deploy/package.sh dynamic`
#
# The same sources and compilers give the same bytes, in whatever folder. rust-toolchain.toml names Rust's
# compiler, layer/Dockerfile C's too.
set -euo pipefail
# Bash has it since 4.4; the one of Macs is 3.2.
shopt -s inherit_errexit 2>/dev/null || true
cd "$(dirname "$0")/.."

if [[ ${1:-static} != static && ${1:-static} != dynamic ]]; then
    printf 'usage: %s [static|dynamic]\n' "$0" >&2
    exit 2
fi
missing=()
for tool in cargo "${CC:-cc}" make perl objdump pkg-config python3; do
    command -v "$tool" >/dev/null || missing+=("$tool")
done
if ((${#missing[@]} > 0)); then
    printf 'missing: %s\n' "${missing[@]}" >&2
    exit 2
fi

target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target/lambda" dist
target=$(cd "$target" && pwd)
work=$target/lambda

# The folder of the crates is known once they are there.
cargo fetch --locked --quiet

# Nothing in the result tells where it was built, or when.
flags=("$PWD=/build" "$target=/target" "$(rustc --print sysroot)=/rust")
for registry in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
    flags+=("$registry=/crates")
done
printf -v CARGO_ENCODED_RUSTFLAGS -- '--remap-path-prefix=%s\x1f' "${flags[@]}"
export CARGO_ENCODED_RUSTFLAGS=${CARGO_ENCODED_RUSTFLAGS%$'\x1f'}
export SOURCE_DATE_EPOCH=315532800
# Else OpenSSL would name the folder it was built in, as the one to look for modules in. There are none.
export GNUMAKEFLAGS="MODULESDIR=/usr/local/ssl/modules ENGINESDIR=/usr/local/ssl/engines"

# Where the layer's library is; for both builds, because crates are compiled again where it changes.
export PKG_CONFIG_PATH=$work/layer

build() {
    cargo build --locked --profile lambda --bin bootstrap --message-format=json-render-diagnostics "${@:2}" >"$work/$1.json"
    cp "$work/bootstrap" "$work/bootstrap-$1"
}

# The folder that a crate's build script has filled.
filled_by() {
    local folder
    folder=$(sed -n 's|.*"reason":"build-script-executed".*#'"$1"'@.*"out_dir":"\([^"]*\)".*|\1|p' "$work/static.json")
    if [[ ! -d $folder ]]; then
        printf 'cargo did not say where it has built %s; it said: %s\n' "$1" "${folder:-nothing}" >&2
        exit 1
    fi
    printf '%s' "$folder"
}

size() {
    printf '%-26s %10d bytes\n' "$1" "$(wc -c <"$1")"
}

echo "the function"
build static
deploy/fits.sh "$work/bootstrap-static"
python3 deploy/zip.py dist/function.zip bootstrap="$work/bootstrap-static"

echo "the layer"
kafka=$(filled_by rdkafka-sys)
openssl=$(filled_by openssl-sys)/openssl-build/install/lib
zstd=$(filled_by zstd-sys)
zlib=$(filled_by libz-sys)/lib
version=$(sed -n 's|.*#rdkafka-sys@[0-9.]*+\([0-9.]*\)".*|\1|p' "$work/static.json" | head -1)
layer/build.sh "$version" "$work/layer" \
    "$kafka/src/librdkafka.a" "$openssl/libssl.a" "$openssl/libcrypto.a" "$zstd/libzstd.a" "$zlib/libz.a"
deploy/fits.sh "$work/layer/lib/librdkafka.so.1"
python3 deploy/zip.py dist/layer.zip lib/librdkafka.so.1="$work/layer/lib/librdkafka.so.1"

if [[ ${1:-static} == dynamic ]]; then
    echo "the function for the layer"
    build dynamic --no-default-features --features rdkafka/dynamic-linking
    deploy/fits.sh "$work/layer/lib/librdkafka.so.1" "$work/bootstrap-dynamic"
    python3 deploy/zip.py dist/function-dynamic.zip bootstrap="$work/bootstrap-dynamic"
    size dist/function-dynamic.zip
fi
size dist/function.zip
size dist/layer.zip
printf 'for %s\n' "$(uname -m | sed 's/aarch64/arm64/')"
