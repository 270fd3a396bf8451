#!/bin/sh
# Make a base for the step image out of Debian's packages, where no registry can be reached: python3, certificates and
# the C++ library that wheels link to (as python:3.11-slim has them).
# usage: debian-base.sh NAME[:TAG]    SUITE names another release than this machine's. Two runs on the same state of the
# archive with the same SOURCE_DATE_EPOCH give the same layer.
set -eu
name=${1:?usage: debian-base.sh NAME[:TAG]}
docker=${PIPEC_DOCKER:-docker}
suite=${SUITE:-$(. /etc/os-release && echo "$VERSION_CODENAME")}
for tool in mmdebstrap "$docker"; do
  command -v "$tool" > /dev/null || { echo "debian-base: \`$tool\` is not installed here: install it" >&2; exit 2; }
done
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-1580601600}
export SOURCE_DATE_EPOCH
archive=$(mktemp --suffix=.tar)
trap 'rm -f "$archive"' EXIT
# Without apt (`essential`): what is in an image of steps is decided when it is built.
mmdebstrap --quiet --variant=essential --include=python3,ca-certificates,libstdc++6 --aptopt='APT::Install-Recommends "false"' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/bash-completion/*' \
  "$suite" "$archive"
"$docker" import --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' "$archive" "$name"
