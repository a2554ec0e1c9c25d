#!/usr/bin/env bash
# Install the browser of the browser tests where it is absent.
set -euo pipefail

if command -v chromium >/dev/null; then
    exit 0
fi
if [ "$(id -u)" != 0 ]; then
    echo "Chromium is missing, and only root can install it: run \`sudo apt-get install chromium\`." >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install --yes --no-install-recommends chromium fonts-liberation
