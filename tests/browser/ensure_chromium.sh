#!/bin/sh
# The browser tests use Debian's Chromium. Where it is missing and may be installed, it is; else they are skipped.
set -u
command -v chromium >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing Chromium for the browser tests"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium fonts-noto-core >/dev/null && exit 0
fi
echo "no Chromium here and none could be installed: the browser tests will be skipped"
exit 0
