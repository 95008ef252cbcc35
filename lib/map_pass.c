/* SPDX-License-Identifier: MIT */
/* L0: pass a descriptor over a UNIX socket, unix(7), with one byte of payload. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <shmring/map.h>

#include "error.h"

#define PASS_BYTE 'S'
#define PASS_MAX 8 /* more than one is wrong, but each must be closed */

int shr_fd_send(int socket, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	char byte = PASS_BYTE;
	struct iovec data = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {.msg_iov = &data,
				 .msg_iovlen = 1,
				 .msg_control = control.bytes,
				 .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	ssize_t n;

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	do
		n = sendmsg(socket, &message, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n == 1 ? 0 : shr_fail(errno, "cannot send descriptor %d: %s", fd, strerror(errno));
}

int shr_fd_receive(int socket)
{
	union {
		char bytes[CMSG_SPACE(PASS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	char byte = 0;
	struct iovec data = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {.msg_iov = &data,
				 .msg_iovlen = 1,
				 .msg_control = control.bytes,
				 .msg_controllen = sizeof(control.bytes)};
	int fd[PASS_MAX], count = 0;
	ssize_t n;

	do
		n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return shr_fail(errno, "cannot receive a descriptor: %s", strerror(errno));
	for (struct cmsghdr *at = CMSG_FIRSTHDR(&message); at; at = CMSG_NXTHDR(&message, at)) {
		size_t bytes = at->cmsg_len - CMSG_LEN(0);

		if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i + sizeof(int) <= bytes && count < PASS_MAX; i += sizeof(int))
			memcpy(&fd[count++], CMSG_DATA(at) + i, sizeof(int));
	}
	if (n == 1 && byte == PASS_BYTE && count == 1 && !(message.msg_flags & MSG_CTRUNC))
		return fd[0];
	for (int i = 0; i < count; i++)
		close(fd[i]);
	if (!n && !count)
		return shr_fail(ENODATA, "the peer has closed the socket");
	return shr_fail(EPROTO, "%d descriptors came, or with other data, not one", count);
}
