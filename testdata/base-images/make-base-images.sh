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

# What of a tree is in no image: what was mounted or written for apt to run, and what apt can fetch or make again.
left_out=(./dev ./proc ./sys ./run/\* ./tmp/\* ./etc/hostname ./etc/resolv.conf ./var/lib/apt/lists/\*_\*
    ./etc/apt/apt.conf.d/00mmdebstrap ./usr/sbin/policy-rc.d ./usr/sbin/start-stop-daemon
    ./var/cache/apt/\*.bin ./var/cache/apt/archives/\*.deb ./var/cache/ldconfig/aux-cache ./var/log/\*)

# snapshot NAME: a hook that packs the tree as it stands, as $work/NAME.tar
snapshot() {
    printf 'tar -C "$1" --one-file-system --anchored --sort=name --numeric-owner --xattrs --format=pax'
    printf ' --pax-option=exthdr.name=%%d/PaxHeaders/%%f,delete=atime,delete=ctime --clamp-mtime --mtime=@%s' "$SOURCE_DATE_EPOCH"
    printf ' --exclude=%q' "${left_out[@]}"
    # mmdebstrap has a stand-in for this one meanwhile.
    printf ' --transform=s,start-stop-daemon.REAL$,start-stop-daemon,r'
    printf ' -cf %q . && tar -C %q --append --numeric-owner --owner=0 --group=0 --mtime=@%s -f %q dev proc sys etc/resolv.conf' \
        "$work/$1.tar" "$work/empty" "$SOURCE_DATE_EPOCH" "$work/$1.tar"
}

# add_packages PACKAGE...: a hook that adds packages to the tree
add_packages() {
    printf 'APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" DEBIAN_FRONTEND=noninteractive'
    printf ' apt-get --yes -qq -o DPkg::Chroot-Directory="$1" install %s >%q 2>&1 || { cat %q >&2; exit 1; }' \
        "$*" "$work/apt.log" "$work/apt.log"
}

# rootfs [HOOK...]: minbase as $work/minbase.tar, then what the hooks do
rootfs() {
    local hook hooks=()
    for hook; do hooks+=("--customize-hook=$hook"); done
    mkdir -p "$work"/empty/{dev,etc,proc,sys}
    : >"$work/empty/etc/resolv.conf"
    # The first hook leaves apt as container images have it: no fsync for each package.
    mmdebstrap --quiet --variant=minbase --mode=root --components=main --format=null \
        --aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --customize-hook='echo force-unsafe-io >"$1/etc/dpkg/dpkg.cfg.d/docker-apt-speedup"' \
        --customize-hook="$(snapshot minbase)" "${hooks[@]}" "$suite" /dev/null ${mirror:+"$mirror"}
}

net_packages=(ca-certificates curl netbase)
dev_packages=(gcc libc6-dev make git xz-utils)
py_packages=(python3 python3-pip python3-venv)

make_debian() {
    [ -e "$work/minbase.tar" ] || rootfs
    layout "debian:$suite" bash "$work/minbase.tar"
}

make_python() {
    rootfs "$(add_packages "${net_packages[@]}")" "$(snapshot net)" \
        "$(add_packages "${dev_packages[@]}")" "$(snapshot dev)" \
        "$(add_packages "${py_packages[@]}")" "$(snapshot py)"
    layout python:3 python3 "$work/minbase.tar" "$work/net.tar" "$work/dev.tar" "$work/py.tar"
}

# python:3 begins with debian, which comes for nothing after it.
[ ${#images[@]} -lt 2 ] || mapfile -t images < <(printf '%s\n' "${images[@]}" | sort -r)

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
