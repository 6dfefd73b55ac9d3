#!/bin/bash
# Make the base images that the tests and benchmarks build on, from Debian
# packages only (no image registry is contacted):
#
#   busybox:latest    one layer, static busybox with its applets as symlinks
#   debian:bookworm   one layer, minbase with a working apt
#   python:3          four layers (minbase, ca-certificates/curl, a C toolchain,
#                     python3): the "large base image with several layers"
#
# Each becomes an OCI image layout OUT/<name>-<tag>/; with --push it is also
# copied into a registry.  Needs: busybox-static, mmdebstrap, python3, and
# skopeo for --push.  Must run as root.
#
#   make-base-images.sh --out DIR [--push HOST:PORT[/PATH]] [--suite bookworm]
#                       [--mirror URL] [--force] [IMAGE...]
#
# Without --mirror, mmdebstrap's own default for the suite is used.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
out= push= suite=bookworm mirror= force=
images=()
while [ $# -gt 0 ]; do
    case $1 in
    --out) out=$2; shift 2 ;;
    --push) push=$2; shift 2 ;;
    --suite) suite=$2; shift 2 ;;
    --mirror) mirror=$2; shift 2 ;;
    --force) force=1; shift ;;
    -h | --help) sed -n '2,18s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "unknown option $1" >&2; exit 2 ;;
    *) images+=("$1"); shift ;;
    esac
done
[ -n "$out" ] || { echo "--out is needed" >&2; exit 2; }
[ ${#images[@]} -gt 0 ] || images=(busybox:latest "debian:$suite" python:3)

PATH=$PATH:/usr/sbin:/sbin
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-1700000000}
path_env=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mkdir -p "$out"
work=$(mktemp -d "$out/.work.XXXXXX")
trap 'rm -rf "$work"' EXIT

layout() { # TAG CMD TAR...  -> writes the layout for TAG
    local tag=$1 cmd=$2 dir; shift 2
    dir=$out/${tag/:/-}
    rm -rf "$dir.new"
    /usr/bin/python3 "$here/tools/ocilayout.py" --out "$dir.new" --tag "${tag#*:}" \
        --config "{\"Env\":[\"$path_env\"],\"Cmd\":[\"$cmd\"]}" "$@"
    rm -rf "$dir"; mv "$dir.new" "$dir"
}

make_busybox() {
    local bb root=$work/busybox
    bb=$(command -v busybox)
    mkdir -p "$root"/{bin,dev,etc,home,proc,root,sys,tmp,usr/bin,usr/sbin,usr/local/bin,sbin,var/run,var/spool/mail,run}
    install -m 755 "$bb" "$root/bin/busybox"
    "$bb" --list | grep -vx busybox | while read -r applet; do ln -s busybox "$root/bin/$applet"; done
    ln -s ../../bin/env "$root/usr/bin/env"
    chmod 1777 "$root/tmp"
    chmod 700 "$root/root"
    printf '%s\n' root:x:0:0:root:/root:/bin/sh daemon:x:1:1:daemon:/usr/sbin:/bin/false \
        www-data:x:33:33:www-data:/var/www:/bin/false nobody:x:65534:65534:nobody:/home:/bin/false >"$root/etc/passwd"
    printf '%s\n' root:x:0: daemon:x:1: www-data:x:33: users:x:100: nobody:x:65534: >"$root/etc/group"
    printf 'root::10933:0:99999:7:::\n' >"$root/etc/shadow"
    chmod 640 "$root/etc/shadow"
    printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
    tar -C "$root" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -cf "$work/busybox.tar" .
    layout busybox:latest sh "$work/busybox.tar"
}

# rootfs NAME [PACKAGE...]: minbase plus packages, as $work/NAME.tar
rootfs() {
    local name=$1 IFS=,; shift
    [ ! -e "$work/$name.tar" ] || return 0
    # The customize hooks leave apt as container images have it: no package
    # lists, no cache, no service starts, no fsync for each package.
    mmdebstrap --quiet --variant=minbase --mode=root --components=main ${1:+--include="$*"} \
        --aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --customize-hook='printf "#!/bin/sh\nexit 101\n" >"$1/usr/sbin/policy-rc.d"; chmod 755 "$1/usr/sbin/policy-rc.d"' \
        --customize-hook='echo force-unsafe-io >"$1/etc/dpkg/dpkg.cfg.d/docker-apt-speedup"' \
        --customize-hook='rm -f "$1/etc/resolv.conf" "$1/etc/hostname"; : >"$1/etc/resolv.conf"' \
        --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin "$1"/var/log/* "$1"/var/cache/ldconfig/aux-cache' \
        "$suite" "$work/$name.tar" ${mirror:+"$mirror"}
}

net_packages=(ca-certificates curl netbase)
dev_packages=(gcc libc6-dev make git xz-utils)
py_packages=(python3 python3-pip python3-venv)

make_debian() { rootfs minbase; layout "debian:$suite" bash "$work/minbase.tar"; }
make_python() {
    rootfs minbase
    rootfs net "${net_packages[@]}"
    rootfs dev "${net_packages[@]}" "${dev_packages[@]}"
    rootfs py "${net_packages[@]}" "${dev_packages[@]}" "${py_packages[@]}"
    layout python:3 python3 "$work/minbase.tar" "$work/net.tar" "$work/dev.tar" "$work/py.tar"
}

for image in "${images[@]}"; do
    dir=$out/${image/:/-}
    if [ -n "$force" ] || [ ! -e "$dir/index.json" ]; then
        echo "== $image" >&2
        case $image in
        busybox:*) make_busybox ;;
        debian:*) make_debian ;;
        python:*) make_python ;;
        *) echo "no recipe for $image" >&2; exit 2 ;;
        esac
    fi
    if [ -n "$push" ]; then
        skopeo copy --quiet --dest-tls-verify=false "oci:$dir:${image#*:}" "docker://$push/$image"
    fi
done
