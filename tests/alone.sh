#!/bin/sh
# SPDX-License-Identifier: MIT
# alone.sh TEST [ARGUMENT...]: run a test in a /dev/shm and a System V space of its own, where
# this user may have them, so that tests that run side by side do not meet.
if unshare -m -i mount -t tmpfs none /dev/shm 2>/dev/null; then
	# shellcheck disable=SC2016
	exec unshare -m -i sh -c 'mount -t tmpfs none /dev/shm && exec "$@"' sh "$@"
fi
exec "$@"
