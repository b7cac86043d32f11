#!/usr/bin/env bash
# Builds what Lambda runs, for this machine's processor:
#
#   dist/function.zip           the function, which needs nothing else
#   dist/layer.zip              librdkafka with all that it links, as a layer
#   dist/function-dynamic.zip   a smaller function, which needs the layer: `deploy/package.sh dynamic`
#
# Variables, both optional, relative to the caller's folder:
#
#   HANDLER    the folder of the crate whose function is packaged, in place of the one in src/bin/bootstrap.rs
#   DIST       where the packages go, in place of dist
#
# The same sources and compilers give the same bytes in every folder. rust-toolchain.toml names Rust's
# compiler, layer/Dockerfile C's too.
set -euo pipefail
# Bash has it since 4.4; the one of Macs is 3.2.
shopt -s inherit_errexit 2>/dev/null || true
from=$PWD
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

dist=${DIST:-dist}
if [[ -n ${DIST:-} && $DIST != /* ]]; then
    dist=$from/$DIST
fi
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target/lambda" "$dist"
target=$(cd "$target" && pwd)
work=$target/lambda
export CARGO_TARGET_DIR=$target

crate=$PWD binary=bootstrap package=() folders=()
if [[ -n ${HANDLER:-} ]]; then
    crate=$HANDLER
    if [[ $crate != /* ]]; then
        crate=$from/$crate
    fi
    found=$(python3 deploy/handler.py "$crate" "$PWD")
    {
        read -r id
        read -r binary
        while read -r folder; do
            folders+=("$folder")
        done
    } <<<"$found"
    package=(--package "$id")
fi

# In the crate's folder, whose .cargo/config.toml and rust-toolchain.toml apply.
in_crate() {
    (cd "$crate" && "$@")
}

# The folder of the crates is determined after they are fetched.
in_crate cargo fetch --locked --quiet

# The result does not depend on the folder and the time of the build.
home=${CARGO_HOME:-$HOME/.cargo}
flags=("$PWD=/build" "$target=/target" "$(in_crate rustc --print sysroot)=/rust" "$home/git/checkouts=/git")
for registry in "$home"/registry/src/*; do
    flags+=("$registry=/crates")
done
for folder in ${folders[@]+"${folders[@]}"}; do
    flags+=("$folder=/local/$(basename "$folder")")
done
printf -v CARGO_ENCODED_RUSTFLAGS -- '--remap-path-prefix=%s\x1f' "${flags[@]}"
export CARGO_ENCODED_RUSTFLAGS=${CARGO_ENCODED_RUSTFLAGS%$'\x1f'}
export SOURCE_DATE_EPOCH=315532800
# By default OpenSSL would load modules from the folder it was built in. There are none.
export GNUMAKEFLAGS="MODULESDIR=/usr/local/ssl/modules ENGINESDIR=/usr/local/ssl/engines"

# Where the layer's library is; for both builds, because crates are compiled again where it changes.
export PKG_CONFIG_PATH=$work/layer

# A crate outside of this workspace has profiles of its own: it gets this one.
sed -n '/^\[profile\.lambda\]/,/^$/p' Cargo.toml >"$work/profile.toml"

build() {
    in_crate cargo build --locked --config "$work/profile.toml" --profile lambda ${package[@]+"${package[@]}"} --bin "$binary" \
        --message-format=json-render-diagnostics "${@:2}" >"$work/$1.json"
    cp "$work/$binary" "$work/bootstrap-$1"
}

# The folder that a crate's build script has filled.
filled_by() {
    local folder
    folder=$(sed -n 's|.*"reason":"build-script-executed".*#'"$1"'@.*"out_dir":"\([^"]*\)".*|\1|p' "$work/static.json")
    if [[ ! -d $folder ]]; then
        printf 'cargo reported no folder for the build of %s: %s\n' "$1" "${folder:-nothing}" >&2
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
python3 deploy/zip.py "$dist/function.zip" bootstrap="$work/bootstrap-static"

echo "the layer"
kafka=$(filled_by rdkafka-sys)
openssl=$(filled_by openssl-sys)/openssl-build/install/lib
zstd=$(filled_by zstd-sys)
zlib=$(filled_by libz-sys)/lib
version=$(sed -n 's|.*#rdkafka-sys@[0-9.]*+\([0-9.]*\)".*|\1|p' "$work/static.json" | head -1)
layer/build.sh "$version" "$work/layer" \
    "$kafka/src/librdkafka.a" "$openssl/libssl.a" "$openssl/libcrypto.a" "$zstd/libzstd.a" "$zlib/libz.a"
deploy/fits.sh "$work/layer/lib/librdkafka.so.1"
python3 deploy/zip.py "$dist/layer.zip" lib/librdkafka.so.1="$work/layer/lib/librdkafka.so.1"

if [[ ${1:-static} == dynamic ]]; then
    echo "the function for the layer"
    if [[ -n ${HANDLER:-} ]]; then
        # The crate has no feature for it, so cargo gets the library in place of the one that rdkafka-sys builds.
        host=$(in_crate rustc -vV | sed -n 's/^host: //p')
        build dynamic --config "target.$host.rdkafka.rustc-link-search=['native=$work/layer']" \
            --config "target.$host.rdkafka.rustc-link-lib=['dylib=rdkafka']"
    else
        build dynamic --no-default-features --features rdkafka/dynamic-linking
    fi
    deploy/fits.sh "$work/layer/lib/librdkafka.so.1" "$work/bootstrap-dynamic"
    python3 deploy/zip.py "$dist/function-dynamic.zip" bootstrap="$work/bootstrap-dynamic"
    size "$dist/function-dynamic.zip"
fi
size "$dist/function.zip"
size "$dist/layer.zip"
printf 'for %s\n' "$(uname -m | sed 's/aarch64/arm64/')"
