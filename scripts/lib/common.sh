# shellcheck shell=bash
# shellcheck disable=SC2034  # `started_engine` is read by the scripts that source this file
# Shell shared by our scripts: words for the person watching, packages of the distribution, and the project's venv.
# Source it: . "$(dirname "$0")/lib/common.sh"

least_go=25 # 1.25, the least that sops asks for
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say() { # say WORDS…: one line of progress on standard error
    printf '==> %s\n' "$*" >&2
}

die() { # die WORDS…: tell why and end the script
    printf 'error: %s\n' "$*" >&2
    exit 1
}

retry() { # retry TIMES COMMAND…: run until it succeeds, with a longer pause after each failure
    local times=$1 attempt pause=2
    shift
    for ((attempt = 1; attempt <= times; attempt++)); do
        "$@" && return 0
        if ((attempt < times)); then
            say "failed (attempt $attempt of $times), again in ${pause}s: $1 ${2-}"
            sleep "$pause"
            pause=$((pause * 2))
        fi
    done
    return 1
}

_apt_get() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" </dev/null
}

# Services are kept from starting while packages are set up: our scripts start what they need, on ports of their own.
_apt_install() {
    local policy=/usr/sbin/policy-rc.d made=0 status=0
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        made=1
    fi
    _apt_get install -y --no-install-recommends "$@" >&2 || status=$?
    [ "$made" = 0 ] || rm -f "$policy"
    return "$status"
}

ensure_packages() { # ensure_packages NAME…: install what is missing from the distribution; nothing happens when all are there
    local name missing=()
    for name in "$@"; do
        dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null | grep -qx installed || missing+=("$name")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    [ "$(id -u)" = 0 ] || die "cannot install ${missing[*]}: run as root, or install them first"
    say "installing ${missing[*]}"
    if ! apt-cache show "${missing[@]}" >/dev/null 2>&1; then
        retry 3 _apt_get update >&2 || die "cannot read the lists of packages: is the network there?"
    fi
    _apt_install "${missing[@]}" && return 0
    retry 3 _apt_get update >&2
    retry 2 _apt_install "${missing[@]}" || die "cannot install ${missing[*]}"
}

find_python() { # find_python: print the path of a Python 3.11 or newer, the distribution's first
    local candidate
    for candidate in /usr/bin/python3 python3 python3.11 python3.12 python3.13; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

_make_venv() {
    local venv=$1 python
    if ! python=$(find_python); then
        ensure_packages python3
        python=$(find_python) || die "cannot find Python 3.11 or newer"
    fi
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        ensure_packages python3-venv
    fi
    say "making $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv" || die "cannot make a venv at $venv"
}

# What is installed, as one line: the locks, the project's own table, its place, and the interpreter.
_venv_wanted() {
    local venv=$1
    shift
    {
        cat "$@" "$root/requirements/build.txt" "$root/pyproject.toml"
        printf '%s\n' "$root"
        "$venv/bin/python" -c 'import sys; print(sys.version, sys.base_prefix)'
    } | sha256sum | cut -d ' ' -f 1
}

_pip() {
    local venv=$1
    shift
    "$venv/bin/python" -m pip --disable-pip-version-check install -q --no-input --timeout 60 --retries 5 "$@" </dev/null >&2
}

_pip_locked() {
    retry 4 _pip "$1" --require-hashes "${@:2}" || die "cannot install Python packages"
}

ensure_venv() { # ensure_venv VENV LOCK…: make VENV hold exactly the locked packages and the project; at once when it does
    local venv=$1 lock wanted arguments=()
    shift
    for lock in "$@"; do
        arguments+=(-r "$lock")
    done
    mkdir -p "$(dirname "$venv")"
    exec 8>"$venv.lock"
    flock 8
    if ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then
        _make_venv "$venv"
    fi
    wanted=$(_venv_wanted "$venv" "$@")
    if [ "$(cat "$venv/installed" 2>/dev/null)" != "$wanted" ]; then
        rm -f "$venv/installed"
        say "installing Python packages into $venv"
        # The build backend first: what has no wheel, and the project itself, is built with it and with nothing unpinned.
        _pip_locked "$venv" -r "$root/requirements/build.txt"
        _pip_locked "$venv" --no-build-isolation --use-pep517 "${arguments[@]}"
        _pip "$venv" --no-deps --no-build-isolation --no-index -e "$root" || die "cannot install the project into $venv"
        printf '%s\n' "$wanted" >"$venv/installed"
    fi
    exec 8>&-
}

_go_fits() { # _go_fits PROGRAM: whether it is a Go that can build our tools
    local version
    version=$(GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null) || return 1
    [[ $version =~ ^go1\.([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -ge "$least_go" ]
}

# ensure_go: put a Go of at least 1.25 in `go`: the machine's own, or else one in the project's venv, which exists already.
ensure_go() {
    for go in "$(command -v go)" /usr/local/go/bin/go "$root/.venv/bin/go"; do
        [ -n "$go" ] && _go_fits "$go" && return 0
    done
    say "installing Go into $root/.venv"
    _pip_locked "$root/.venv" -r "$root/requirements/tools.txt"
    _go_fits "$go" || die "cannot build what the tests need: the Go in $root/.venv does not work"
}

# go_install NAME MODULE: build the program NAME of a Go module into .tools/bin, once for each version of the module. Where it
# was fetched and compiled goes away again: for `sops` alone that is 2 GB.
go_install() {
    local name=$1 module=$2 bin="$root/.tools/bin" scratch status=0
    [ "$(cat "$bin/$name.version" 2>/dev/null)" != "$module" ] || return 0
    ensure_go
    say "building $module"
    mkdir -p "$bin"
    scratch=$(mktemp -d)
    GOFLAGS='-modcacherw -trimpath -ldflags=-s' GOPATH="$scratch/path" GOCACHE="$scratch/cache" GOBIN="$scratch/bin" \
        CGO_ENABLED=0 retry 3 "$go" install "$module" >&2 || status=$?
    if [ "$status" = 0 ]; then
        mv "$scratch/bin/$name" "$bin/$name"
        printf '%s\n' "$module" >"$bin/$name.version"
    fi
    rm -rf "$scratch"
    [ "$status" = 0 ] || die "cannot build $module"
}

ensure_sops() { # ensure_sops: have stock sops, on PATH or in .tools/bin
    ! command -v sops >/dev/null || return 0
    go_install sops "github.com/getsops/sops/v3/cmd/sops@v3.13.3"
}

_engine_answers() {
    timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1
}

# _drop_stale_pid FILE PROGRAM: remove a process id that a crash or a power cut left, when it is not that program's any more.
# dockerd looks only whether some process has the number, and where /run outlives a boot another one may.
_drop_stale_pid() {
    local pid
    pid=$(cat "$1" 2>/dev/null) || return 0
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ] || rm -f "$1"
}

# ensure_engine LOG: start dockerd, logging to LOG, when no engine answers. When it started one, its process id is
# in started_engine; else that is empty.
ensure_engine() {
    local log=$1 _
    started_engine=
    _engine_answers && return 0
    command -v dockerd >/dev/null || die "cannot start Docker: no dockerd here"
    [ "$(id -u)" = 0 ] || die "cannot start Docker: run as root, or start it first"
    _drop_stale_pid /var/run/docker.pid dockerd
    _drop_stale_pid /var/run/docker/containerd/containerd.pid containerd
    say "starting dockerd, log in $log"
    setsid dockerd --live-restore >"$log" 2>&1 </dev/null 8>&- &
    local pid=$!
    for _ in $(seq 120); do
        if _engine_answers; then
            started_engine=$pid
            return 0
        fi
        if ! kill -0 "$pid" 2>/dev/null; then
            tail -n 20 "$log" >&2
            die "cannot start Docker: dockerd ended, see $log"
        fi
        sleep 0.5
    done
    kill "$pid" 2>/dev/null || true
    die "cannot start Docker: no answer within 60 s, see $log"
}

stop_engine() { # stop_engine PID: end a dockerd that ensure_engine started, and wait for it
    local pid=$1 _
    kill "$pid" 2>/dev/null || return 0
    for _ in $(seq 60); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.5
    done
    kill -KILL "$pid" 2>/dev/null || true
}
