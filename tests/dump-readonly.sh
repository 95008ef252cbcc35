#!/bin/sh
# SPDX-License-Identifier: MIT
# shmring-dump stores nothing to shared memory: of each command, by the system calls that
# it makes. A segment is opened and attached to for reading only, never mapped to be
# written to, not written to otherwise, and no lock of it is taken.
name=/shmring-dump-readonly-$$
key=sysv:0x$(printf '%08x' $((0x58000000 + $$)))
dir=$(mktemp -d)
end_all() {
	[ "$made" ] && ipcrm -M "${key#sysv:}" 2>/dev/null
	rm -rf "$dir" "/dev/shm$name" "/dev/shm$name-t"
}
made=
trap end_all EXIT
trap 'exit 1' INT TERM
# Not libtool's script: what it starts is of no interest.
dump=$PWD/.libs/shmring-dump
[ -x "$dump" ] || dump=$PWD/shmring-dump
LD_LIBRARY_PATH=$PWD/.libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
# A sanitizer that looks for leaks traces the program itself.
ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
export ASAN_OPTIONS

command -v strace >/dev/null || { echo "1..0 # SKIP there is no strace"; exit 0; }
strace -o "$dir/trace" true 2>/dev/null || { echo "1..0 # SKIP strace may not trace here"; exit 0; }

calls=open,openat,openat2,creat,mmap,mprotect,mremap,pkey_mprotect,remap_file_pages,shmat
calls=$calls,write,writev,pwrite64,pwritev,pwritev2,ftruncate,truncate,fallocate,sendfile,splice
calls=$calls,copy_file_range,fcntl,flock,unlink,unlinkat,rename,renameat,renameat2,link,linkat
calls=$calls,fchmod,chmod,fchmodat,utimensat,shmctl,shmget,process_vm_writev,ptrace

# What of $dir/trace may change a segment. With -y a descriptor is a number and <its path>.
changes() {
	awk '
	/^[0-9]+ +(---|\+\+\+)/ { next }
	# Who makes a System V segment has a lock file until it is whole (map_sysv.c).
	/"\/dev\/shm\/\.shmring-gate-.* = -1 ENOENT/ { next }
	{ call = $0; sub(/^[0-9]+ +/, "", call); ours = call ~ /\/dev\/shm\// }
	call ~ /^(open|openat|openat2)\(/ {
		if (ours && call !~ /O_RDONLY/) print
		if (ours && call ~ /O_CREAT|O_TRUNC|O_WRONLY|O_RDWR/) print
		if (ours && call ~ / = [0-9]/) seen = 1
		next
	}
	call ~ /^mmap\(/ {
		if (ours && call ~ /MAP_SHARED/) { mapped = 1; if (call ~ /PROT_WRITE/) print }
		next
	}
	call ~ /^(mprotect|pkey_mprotect)\(/ { if (mapped && call ~ /PROT_WRITE/) print; next }
	call ~ /^shmat\(/ { if (call !~ /SHM_RDONLY/) print; seen = mapped = 1; next }
	call ~ /^shmget\(/ { if (call ~ /IPC_CREAT/) print; next }
	call ~ /^shmctl\(/ { if (call ~ /IPC_(SET|RMID)|SHM_(UN)?LOCK/) print; next }
	call ~ /^fcntl\(/ { if (ours && call ~ /SETLK|F_ADD_SEALS/) print; next }
	call ~ /^(mremap|process_vm_writev|ptrace|remap_file_pages)\(/ { if (mapped) print; next }
	ours { print }
	END { if (!seen) print "no segment was opened" }
	' "$dir/trace"
}

n=0
reads_only() { # description, arguments of shmring-dump
	what=$1
	shift
	n=$((n + 1))
	rm -f "$dir/image" "$dir/trace"
	timeout 60 strace -f -qq -y -o "$dir/trace" -e "trace=$calls" "$dump" "$@" >"$dir/out" 2>"$dir/err"
	result=$?
	changed=$(changes)
	if [ $result = 0 ] && [ -z "$changed" ]; then echo "ok $n - $what"; else
		echo "not ok $n - $what"
		printf '%s\n' "status $result" "$changed" | sed 's/^/# /'
		sed 's/^/# /' "$dir/err"
	fi
}

./dump-segment make "$name" || exit 1
printf 'insert a\ninsert-block ff\ninsert-stats c\n' | ./dump-tables "$name-t" >/dev/null || exit 1
./dump-segment make "$key" && made=1
echo 1..34
reads_only "list" list
for segment in "$name" "$name-t" "$key"; do
	of="of $segment"
	case $segment in
	"$key") [ "$made" ] || {
		for i in 1 2 3 4 5 6 7 8 9 10 11; do n=$((n + 1)) && echo "ok $n # SKIP no System V shared memory"; done
		continue
	} ;;
	esac
	reads_only "info $of" info "$segment"
	reads_only "schema $of" schema "$segment"
	reads_only "locks $of" locks "$segment"
	reads_only "stat $of" stat "$segment"
	reads_only "stat again and again $of" stat -i 0.05 -c 2 "$segment"
	reads_only "blame $of" blame "$segment"
	reads_only "top $of" top --once "$segment"
	reads_only "check $of" check "$segment"
	reads_only "save $of" save "$segment" "$dir/image"
	reads_only "records $of" records "$segment"
	reads_only "follow $of" follow --once --from=oldest --timeout=0.1 "$segment"
done
exit 0
