/* The plain relay in C: recvfrom, then sendto to every other member. */
#include "common.h"

static char buffer[SLOT];

/* Relay one datagram; return whether there was one. */
static int relay(struct room *room, int flags)
{
	struct sockaddr_in6 from;
	socklen_t size = sizeof from;
	ssize_t length = recvfrom(room->fd, buffer, sizeof buffer, flags, (struct sockaddr *)&from, &size);
	if (length < 0)
		return errno == ECONNREFUSED || errno == EINTR;
	int32_t sender = find(room, &from);
	if (sender < 0)
		sender = add(room, &from);
	for (uint32_t i = 0; i < room->count; i++)
		if ((int32_t)i != sender)
			sendto(room->fd, buffer, (size_t)length, 0, (struct sockaddr *)&room->names[i],
			       room->name_size);
	return 1;
}

int main(int argc, char **argv)
{
	open_rooms(argc, argv, 0);
	if (room_count == 1)
		for (;;)
			relay(&rooms[0], 0);
	int poller = epoll_create1(0);
	for (int i = 0; i < room_count; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = &rooms[i]};
		epoll_ctl(poller, EPOLL_CTL_ADD, rooms[i].fd, &event);
	}
	for (;;) {
		struct epoll_event ready[MOST_ROOMS];
		int n = epoll_wait(poller, ready, MOST_ROOMS, -1);
		for (int i = 0; i < n; i++)
			for (int k = 0; k < 64 && relay(ready[i].data.ptr, MSG_DONTWAIT); k++)
				;
	}
}
