#!/usr/bin/env bash
# Install the browser of the browser tests where it is absent.
set -euo pipefail

# The node binary in Playwright's driver needs libatomic, which a bare Debian lacks.
if command -v chromium-headless-shell chromium >/dev/null && [[ $(/sbin/ldconfig -p) == *libatomic.so.1* ]]; then
    exit 0
fi
if [ "$(id -u)" != 0 ]; then
    echo "Chromium or libatomic is missing, and only root can install them: run \`sudo apt-get install chromium-headless-shell libatomic1\`." >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install --yes --no-install-recommends chromium-headless-shell fonts-liberation libatomic1
