/* SPDX-License-Identifier: MIT */
/* A ring in a loop of epoll(7). epoll-serve.c has more in its loop: clients, signals. */
#include "loop.h"
#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct loop loop;
	int epoll = epoll_create1(EPOLL_CLOEXEC), fd = loop_open(&loop, argc, argv), result = 1;

	if (fd < 0)
		return loop_close(&loop, -1);
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) {
		perror("loop-epoll");
		return loop_close(&loop, -1);
	}
	while (result == 1) {
		if (epoll_wait(epoll, &event, 1, -1) == 1) {
			result = loop_take(&loop);
		} else if (errno != EINTR) {
			perror("loop-epoll");
			result = -1;
		}
	}
	close(epoll);
	return loop_close(&loop, result);
}
