#!/bin/sh
# Runs the pinned forge on the contracts. Needs `node` on PATH (forge calls solc-node.mjs).
set -eu
cd "$(dirname "$0")"
forge=node_modules/@foundry-rs/forge-linux-amd64/bin/forge
if [ ! -x "$forge" ]; then
    echo "forge is not installed. Run \`make setup\` (Linux on x86-64 only)." >&2
    exit 1
fi
exec "$forge" "$@"
