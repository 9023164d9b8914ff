# shellcheck shell=bash
# What the scripts of this folder share. Everything they make lies in `target/package`.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export here=$root/trials/package
export CARGO_TARGET_DIR=$root/target
out=$CARGO_TARGET_DIR/package
export version
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)

passed=0
failed=0

step() { printf '\n== %s\n' "$*"; }

# Runs a command quietly and counts whether it succeeded: check "what is claimed" command …
check() {
    local claim=$1
    shift
    local said=$out/last.$$
    if "$@" >"$said" 2>&1; then
        printf '  ok      %s\n' "$claim"
        passed=$((passed + 1))
    else
        printf '  FAILED  %s\n' "$claim"
        sed 's/^/          /' "$said" | tail -n 20
        failed=$((failed + 1))
    fi
    rm -f "$said"
}

# The same for a command that has to be refused.
check_refused() {
    local claim=$1
    shift
    check "$claim" not "$@"
}
not() { ! "$@"; }

# Ends the script with one line that sums it up.
summary() {
    printf '\n%s: %d checks passed, %d failed\n' "$1" "$passed" "$failed"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

# Repeats a command until it succeeds; gives up after a minute.
eventually() {
    local deadline=$((SECONDS + 60))
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.2
    done
}

need_root() {
    [ "$(id -u)" -eq 0 ] || { echo "$(basename "$0") makes chroots: run it as root" >&2; exit 2; }
}

# Installs programs of Debian that this machine lacks: need program=package …
need() {
    local pair missing=()
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} -eq 0 ] && return
    echo "installing: ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# A clean Debian of this machine's release, from the mirrors that this machine uses, as an archive
# that is made once: debian_archive NAME mmdebstrap-options …
debian_archive() {
    local file=$out/cache/$1.tar
    shift
    if [ ! -e "$file" ]; then
        need mmdebstrap=mmdebstrap
        mkdir -p "$out/cache"
        local codename sources=/etc/apt/sources.list
        codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
        [ -e /etc/apt/sources.list.d/debian.sources ] && sources=/etc/apt/sources.list.d/debian.sources
        mmdebstrap --quiet "$@" "$codename" "$file.new.tar" "$sources" >&2
        mv "$file.new.tar" "$file"
    fi
    echo "$file"
}

# Unpacks such an archive into an empty folder.
unpack_debian() {
    rm -rf "$2"
    mkdir -p "$2"
    tar -xf "$1" -C "$2"
}

# Debian's name of this machine's architecture.
dpkg_arch() {
    case $(uname -m) in
        x86_64) echo amd64 ;;
        aarch64) echo arm64 ;;
        *) uname -m ;;
    esac
}

# Starts a chroot as a machine of its own: its processes, its mounts, and no network but its loopback.
# Its first process is systemd, or the command that is named. Sets `machine` to that process; `halt`
# ends it with everything in it.
boot() {
    local chroot=$1 joined=$out/cgroup.$$
    shift
    [ $# -gt 0 ] || set -- /sbin/init
    first_process=$(basename "${1/%init/systemd}")
    # A group of its own, where its systemd may make others.
    : >"$joined"
    unshare --mount --net --uts --ipc sh -euc '
        for line in $(grep -E "^[0-9]+:(name=systemd)?:" /proc/self/cgroup); do
            case $line in
                *:name=systemd:*) group=/sys/fs/cgroup/systemd${line##*:} ;;
                *) [ ! -e /sys/fs/cgroup/unified ] || continue
                   group=/sys/fs/cgroup${line##*:} ;;
            esac
            mkdir -p "$group/causeway-trial"
            echo 0 >"$group/causeway-trial/cgroup.procs"
            echo "$group/causeway-trial" >>"$2"
        done
        ip link set lo up
        chroot=$1 script=$3
        shift 3
        exec unshare --pid --cgroup --fork --kill-child sh -euc "$script" sh "$chroot" "$@"
    ' sh "$chroot" "$joined" "$inside_of_machine" "$@" >"$joined.log" 2>&1 &
    booted=$!
    eventually find_machine || { cat "$joined.log"; return 1; }
}

inside_of_machine='
    cd "$1"
    hostname trial
    mount --bind . .
    cd "$1"
    shift
    mount -t proc proc proc
    mount -t sysfs sysfs sys
    mount -t tmpfs tmpfs run
    mount -t tmpfs tmpfs tmp
    mount -t tmpfs -o mode=755 tmpfs dev
    mkdir dev/pts dev/shm
    mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
    mount -t tmpfs tmpfs dev/shm
    ln -s pts/ptmx dev/ptmx
    ln -s /proc/self/fd dev/fd
    for device in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
        mknod -m 666 "dev/${device%%:*}" c "$(echo "$device" | cut -d: -f2)" "${device##*:}"
    done
    if [ -e /sys/fs/cgroup/systemd ]; then
        mount -t tmpfs tmpfs sys/fs/cgroup
        mkdir sys/fs/cgroup/systemd
        mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
    else
        mount -t cgroup2 cgroup2 sys/fs/cgroup
    fi
    exec env -i container=trial PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot . "$@"
'

find_machine() {
    # The first child of the second unshare, which took the place of the first.
    machine=$(cat "/proc/$booted/task/$booted/children" 2>/dev/null)
    machine=${machine%% *}
    [ -n "$machine" ] && [ "$(cat "/proc/$machine/comm" 2>/dev/null)" = "$first_process" ]
}

# Runs a command on the machine.
inside() {
    nsenter --target "$machine" --mount --pid --net --uts --ipc --cgroup --root --wd \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive "$@"
}

halt() {
    [ -n "${booted:-}" ] || return 0
    kill -KILL "${machine:-$booted}" 2>/dev/null || true
    wait "$booted" 2>/dev/null || true
    booted=
    local group
    while read -r group; do
        find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
    done <"$out/cgroup.$$"
    rm -f "$out/cgroup.$$" "$out/cgroup.$$.log"
}

# Runs a command in a chroot that shares this machine's network; what it leaves running ends with it.
in_chroot() {
    local chroot=$1
    shift
    cp /etc/resolv.conf "$chroot/etc/"
    unshare --mount --pid --fork --kill-child sh -euc '
        cd "$1"
        shift
        mount --bind . .
        cd "$PWD"
        mount -t proc proc proc
        mount --rbind /dev dev
        exec chroot . env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "$@"
    ' sh "$chroot" "$@"
}
