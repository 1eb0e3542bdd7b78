#!/bin/sh
# Runs a program of another processor, and all that it starts, by the qemu-user of the lab:
#
#   EDGEFLOW_NATIVE_RUNNER="sh tests/emulated.sh FOLDER" EDGEFLOW_NATIVE_CMAKE="-DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++" \
#     python -m pytest tests/integration/agent
#
# FOLDER holds qemu-aarch64 and qemu-arm. They are registered in a binfmt_misc of a user namespace of its own, which
# Linux has since 6.7: nothing of the machine's changes. The process stays the one that was started.
set -e
if [ "$1" != --inside ]; then
  exec unshare --user --map-root-user --mount sh "$0" --inside "$@"
fi
folder=$2
shift 2
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
for format in "qemu-aarch64 2 b7" "qemu-arm 1 28"; do
  set -- $format -- "$@"
  printf '%s' ":$1:M::\\x7fELF\\x0$2\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\x$3\\x00:$mask:$folder/$1:F" \
    > /proc/sys/fs/binfmt_misc/register
  shift 4
done
exec "$@"
