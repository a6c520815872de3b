#!/usr/bin/env bash
# Install the peers that `make interop` and `make bench` speak with: Debian packages, and only those whose command is missing.
# A peer that cannot be installed is named ("not met: ..."); it is for the targets that need it to judge what that means.
set -uo pipefail

packages=()
want() { # PROBE PACKAGES...
    if ! eval "$1" > /dev/null 2>&1; then packages+=("${@:2}"); fi
}
want 'command -v gcc' gcc libc6-dev
want 'test -e /usr/include/openssl/ssl.h' libssl-dev
want 'command -v openssl' openssl
want 'command -v prosody' prosody
want 'test -n "$(find /usr/lib /usr/share -name "lunbound.so" -print -quit)"' lua-unbound
want 'command -v ejabberdctl' ejabberd
want 'command -v nginx' nginx-light
want 'command -v node' nodejs
want 'command -v npm' npm
want 'command -v ip' iproute2
want 'command -v unshare' util-linux

if [ "${#packages[@]}" -eq 0 ]; then
    echo "Every peer is installed."
    exit 0
fi
echo "To be installed: ${packages[*]}"
if [ "$(id -u)" -ne 0 ]; then
    echo "not met: ${packages[*]} (only root can install Debian packages)"
    exit 0
fi
apt-get update --quiet=2 || echo "apt-get update failed; trying with the lists at hand"
for package in "${packages[@]}"; do
    apt-get install --quiet=2 --no-install-recommends "$package" || echo "not met: $package (apt-get cannot install it)"
done
