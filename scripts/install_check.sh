#!/usr/bin/env bash
# Install a wheel and the source tree, each into a new environment, and let twistd find, start and stop the server from there.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
work=$(mktemp -d)
server=
cleanup() {
    if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi
    rm -rf "$work"
}
trap cleanup EXIT

fail() {
    echo "install check: $*" >&2
    exit 1
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

listening() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Poll a condition for up to 30 seconds; that is generous on purpose, for the machine may be busy.
wait_until() {
    for _ in $(seq 300); do
        if "$@"; then return 0; fi
        sleep 0.1
    done
    return 1
}

gone() {
    ! kill -0 "$1" 2>/dev/null
}

start_and_stop() { # NAME VENV
    local name=$1 bin=$2/bin port folder=$work/run-$1
    port=$(free_port)
    mkdir -p "$folder/var"
    cat > "$folder/xmppfed.toml" <<TOML
data_dir = "var"

[domains."example.org"]

[services.http]
endpoint = "tcp:$port:interface=127.0.0.1"
tls = "behind-proxy"
public_url = "https://example.org"

[services.c2s_ws]
TOML
    (cd "$folder" && exec "$bin/twistd" --nodaemon --pidfile= xmppfed --config xmppfed.toml) > "$folder/log" 2>&1 &
    server=$!
    up_or_gone() { listening "$port" || gone "$server"; }
    wait_until up_or_gone || true
    if ! listening "$port"; then
        cat "$folder/log" >&2
        fail "$name: nothing listens on port $port after 30 seconds, or the server has ended"
    fi
    kill "$server"
    wait_until gone "$server" || fail "$name: the server did not stop within 30 seconds after SIGTERM"
    # twistd stops in order and then dies of the signal it was sent: 143 is 128 + SIGTERM.
    local status=0
    wait "$server" || status=$?
    server=
    if [ "$status" -ne 143 ] && [ "$status" -ne 0 ]; then
        cat "$folder/log" >&2
        fail "$name: the server ended with status $status"
    fi
    if grep -q 'Traceback' "$folder/log"; then
        cat "$folder/log" >&2
        fail "$name: the log has a traceback"
    fi
}

check() { # NAME PIP-ARGUMENTS...
    local name=$1 venv=$work/venv-$1
    shift
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
    # Away from the source tree, so that only what was installed can be found.
    cd "$work"
    "$venv/bin/twistd" --help > help.txt
    grep -q '^ *xmppfed ' help.txt || fail "$name: twistd --help does not list xmppfed"
    grep -q '^ *web ' help.txt || fail "$name: the plug-ins of Twisted itself are gone"
    "$venv/bin/python" -c 'import pathlib, xmppfed; assert (pathlib.Path(xmppfed.__file__).parent / "py.typed").exists(), "py.typed is missing"'
    "$venv/bin/xmppfedctl" --help > /dev/null || fail "$name: xmppfedctl --help fails"
    if "$venv/bin/twistd" --nodaemon --pidfile= xmppfed > no-config.log 2>&1; then
        fail "$name: twistd xmppfed starts without --config"
    fi
    if grep -q Traceback no-config.log; then fail "$name: a missing --config shows a traceback"; fi
    start_and_stop "$name" "$venv"
    cd "$root"
    echo "install check: $name passed"
}

# Wheels are built from a copy: a build folder in the tree would smuggle old files into the wheel.
mkdir "$work/source"
git ls-files -z | xargs -0 cp --parents -t "$work/source"
python3 -m venv "$work/venv-build"
"$work/venv-build/bin/python" -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$work/dist" "$work/source"
check wheel "$work"/dist/xmppfed-*.whl
check editable --editable "$root"
