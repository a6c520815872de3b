#!/usr/bin/env bash
# Install the peers that `make interop` and `make bench` speak with, and only those whose command is missing; with the word
# `lan`, those of `make demo-lan` alone.
# A peer that cannot be installed is named ("not met: ..."); it is for the targets that need it to judge what that means.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

packages=()
want() { # PROBE PACKAGES...
    if ! eval "$1" > /dev/null 2>&1; then packages+=("${@:2}"); fi
}
want 'command -v chromium' chromium
want 'command -v certutil' libnss3-tools
want 'command -v node' nodejs
want 'command -v npm' npm
want 'command -v ip' iproute2
want 'command -v unshare' util-linux
want 'command -v dbus-daemon' dbus
want 'command -v avahi-daemon' avahi-daemon
want 'command -v purple-remote' libpurple-bin
if [ "${1:-}" != lan ]; then
    want 'command -v gcc' gcc libc6-dev
    want 'test -e /usr/include/openssl/ssl.h' libssl-dev
    want 'command -v openssl' openssl
    want 'command -v prosody' prosody
    want 'test -n "$(find /usr/lib /usr/share -name "lunbound.so" -print -quit)"' lua-unbound
    want 'command -v ejabberdctl' ejabberd
    want 'command -v nginx' nginx-light
    want 'command -v caddy' caddy
    want 'command -v haproxy' haproxy
    want '/usr/bin/python3 -c "import nbxmpp, gi; gi.require_version(\"Soup\", \"3.0\")"' python3-nbxmpp gir1.2-soup-3.0
    want 'test -n "$(find /usr/lib -name "libgiognutls.so" -print -quit)"' glib-networking
fi

install_packages() {
    if [ "${#packages[@]}" -eq 0 ]; then
        echo "Every Debian package is installed."
        return
    fi
    echo "To be installed: ${packages[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        echo "not met: ${packages[*]} (only root can install Debian packages)"
        return
    fi
    apt-get update --quiet=2 || echo "apt-get update failed; trying with the lists at hand"
    for package in "${packages[@]}"; do
        apt-get install --quiet=2 --no-install-recommends "$package" || echo "not met: $package (apt-get cannot install it)"
    done
}

# The clients that run in Node, and Converse.js for Chromium, as package-lock.json says.
install_npm_clients() {
    local folder=tests/interop/clients
    if [ "$folder/node_modules/.package-lock.json" -nt "$folder/package-lock.json" ]; then return; fi
    if npm ci --prefix "$folder" --silent && touch "$folder/node_modules/.package-lock.json"; then return; fi
    echo "not met: xmpp.js, Strophe, StanzaJS, Converse.js (npm cannot install them)"
}

# slixmpp has an environment of its own, so that what it wants is no concern of ours.
install_slixmpp() {
    local wanted=tests/interop/clients/requirements.txt made=build/slixmpp
    if [ "$made/installed" -nt "$wanted" ]; then return; fi
    if python3 -m venv "$made" && "$made/bin/pip" install --quiet --disable-pip-version-check --requirement "$wanted"; then
        touch "$made/installed"
    else
        echo "not met: slixmpp (pip cannot install it)"
    fi
}

# xmpp-proxy is in no Debian. WebSocket it knows since 1.1; what is left out of it here is QUIC and clients. On two cores that
# takes about seven minutes, which is why it is kept outside of the clone.
install_xmpp_proxy() {
    local root=${XDG_CACHE_HOME:-$HOME/.cache}/xmppfed
    if command -v xmpp-proxy > /dev/null || [ -x "$root/bin/xmpp-proxy" ]; then return; fi
    if ! command -v cargo > /dev/null; then
        echo "not met: xmpp-proxy (there is no cargo to build it with)"
        return
    fi
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        cargo install --quiet --locked --root "$root" --version '^1.1' xmpp-proxy --no-default-features \
        --features s2s-incoming,s2s-outgoing,tls,websocket,logging,tls-ca-roots-native,tls-ring \
        || echo "not met: xmpp-proxy (cargo cannot install a version from 1.1 on, the first with WebSocket)"
}

install_packages
install_npm_clients
if [ "${1:-}" != lan ]; then
    install_slixmpp
    install_xmpp_proxy
fi
