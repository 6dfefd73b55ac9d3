#!/bin/bash
# Build Dockerfiles of this folder, or rbuild's own, twice each, and run what they made.
#
#   check.sh RBUILD IMAGES [c-program|python-service|rust-service|eight-stages|rbuild]...
#
# Without names: all of this folder. `rbuild`, which compiles rbuild in a container, takes minutes.
# RBUILD is the binary to test, IMAGES a folder made by make-base-images.sh. State goes to $RBUILD_ROOT, by default a
# new directory that is removed in the end.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
rbuild=$(realpath "$1") images=$(realpath "$2")
shift 2
[ $# -gt 0 ] || set -- c-program python-service rust-service eight-stages

work=$(mktemp -d)
export RBUILD_ROOT=${RBUILD_ROOT:-$work/root}

# A normal user's store holds files of subordinate IDs, which rbuild can remove and rm cannot; what sweeps the store after
# a build may still be at it.
clean_up() {
    local status=$? try
    "$rbuild" rm -f service >/dev/null 2>&1 || :
    for try in 1 2 3 4 5; do
        [ "$RBUILD_ROOT" != "$work/root" ] || "$rbuild" prune -a -f >/dev/null 2>&1 || :
        if rm -rf "$work" 2>/dev/null; then exit "$status"; fi
        sleep "$try"
    done
    echo "note: $work could not be removed" >&2
    exit "$status"
}
trap clean_up EXIT

fail() { echo "FAILED: $*" >&2; exit 1; }

# What this host needs to reach package registries, as optional secrets.
host=()
secret() { [ ! -r "$2" ] || host+=(--secret "id=$1,src=$2"); }
secret ca /etc/ssl/certs/ca-certificates.crt
for file in "${PIP_CONFIG_FILE:-}" ~/.config/pip/pip.conf /etc/pip.conf; do
    if [ -r "$file" ]; then secret pip "$file"; break; fi
done
secret cargo "${CARGO_HOME:-$HOME/.cargo}/config.toml"
if command -v apt-config >/dev/null && apt-config dump | grep -E '^Acquire::https?::Proxy ' >"$work/apt.conf"; then
    secret apt "$work/apt.conf"
fi

bases=()
for image in busybox:latest debian:bookworm python:3; do
    layout=$images/${image/:/-}
    [ ! -e "$layout" ] || bases+=(--build-context "${image%:latest}=oci-layout://$layout:${image#*:}")
done

build() { # NAME CONTEXT [option...]: the log is in $work/log, the image's ID in $work/id
    local name=$1 context=$2; shift 2
    "$rbuild" build --progress=plain -t "$name" --iidfile "$work/id" "${bases[@]}" "${host[@]}" "$@" "$context" \
        2>"$work/log" || { tail -n 60 "$work/log" >&2; fail "$name does not build"; }
}

twice() { # NAME CONTEXT [option...]: builds; then again, which must run nothing and give the same image
    local first
    build "$@"
    first=$(cat "$work/id")
    build "$@"
    [ "$first" = "$(cat "$work/id")" ] || fail "the second build of $1 gave another image"
    if awk '/^#[0-9]+ \[.*\] (RUN|COPY) /{name[$1]=$0} /^#[0-9]+ DONE/{if ($1 in name) print name[$1]}' "$work/log" | grep .; then
        fail "the second build of $1 ran these steps"
    fi
}

equal() { [ "$1" = "$2" ] || fail "expected '$2', got '$1'"; }

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

ask() { # PORT PATH: what a service answers, once it is up
    for _ in $(seq 100); do
        if curl --silent --fail --noproxy '*' "http://127.0.0.1:$1$2"; then return; fi
        sleep 0.1
    done
    fail "nothing answers on port $1"
}

serve() { # NAME: starts a service as the container "service", sets $port
    port=$(free_port)
    "$rbuild" run -d --rm --name service -p "127.0.0.1:$port:$port" -e "PORT=$port" "$1" >/dev/null
}

c-program() {
    twice check/c-program "$here/c-program"
    equal "$("$rbuild" run --rm check/c-program)" "hello, world"
    equal "$("$rbuild" run --rm check/c-program you)" "hello, you"
}

python-service() {
    twice check/python-service "$here/python-service"
    serve check/python-service
    ask "$port" / | grep -q '"user":"app"' || fail "the service does not run as app"
    # Python's first process listens to this one.
    "$rbuild" stop --signal INT service >/dev/null
}

rust-service() {
    twice check/rust-service "$here/rust-service"
    serve check/rust-service
    equal "$(ask "$port" /x)" "hello from /x"
    "$rbuild" rm -f service >/dev/null
}

eight-stages() {
    local begun=$SECONDS
    build check/eight-stages "$here/eight-stages" --no-cache
    # Eight times two seconds one after the other; two and some in parallel.
    [ $((SECONDS - begun)) -lt 8 ] || fail "the stages do not run at the same time: $((SECONDS - begun)) s"
    twice check/eight-stages "$here/eight-stages"
    equal "$("$rbuild" run --rm check/eight-stages | wc -l)" 8
}

rbuild() {
    # What is committed: the tree itself may be edited while this runs.
    mkdir "$work/source"
    git -C "$here/../.." archive HEAD | tar -x -C "$work/source"
    twice check/rbuild "$work/source" --build-arg PROFILE="${PROFILE:-quick}"
    "$rbuild" run --rm check/rbuild version | grep -qi rbuild || fail "rbuild does not run in its own image"
}

for case in "$@"; do
    begun=$SECONDS
    "$case"
    echo "test dockerfiles::$case ... ok ($((SECONDS - begun)) s, $(id -un))"
done
