/* What the C relays share: options, sockets, and the members of one room by address. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_ROOMS = 256, SLOT = 65536, BUFFER = 4 << 20 };

struct room {
	int fd;
	socklen_t name_size;
	uint32_t count, capacity, buckets;
	struct sockaddr_in6 *names; /* also holds IPv4 ones */
	int32_t *table;             /* open addressing: index into names, or -1 */
};

static struct room rooms[MOST_ROOMS];
static int room_count = 1;

static inline uint32_t hash_of(const struct sockaddr_in6 *name, socklen_t size)
{
	/* On one machine ports tell peers apart; the address is mixed in for all others. */
	const uint8_t *bytes = (const uint8_t *)name;
	uint32_t port, tail;
	memcpy(&port, bytes, 4);
	memcpy(&tail, size == sizeof(struct sockaddr_in) ? bytes + 4 : bytes + 20, 4);
	return (port ^ tail * 31) * 2654435761u;
}

static inline int same(const struct sockaddr_in6 *a, const struct sockaddr_in6 *b, socklen_t size)
{
	/* family, port, address (and flow); what follows is padding or the scope */
	return !memcmp(a, b, size == sizeof(struct sockaddr_in) ? 8 : 24);
}

static void place(struct room *room, uint32_t index)
{
	uint32_t i = hash_of(&room->names[index], room->name_size) & (room->buckets - 1);
	while (room->table[i] >= 0)
		i = (i + 1) & (room->buckets - 1);
	room->table[i] = (int32_t)index;
}

/* Return a member's index, -1 if there is none of that address. */
static inline int32_t find(const struct room *room, const struct sockaddr_in6 *name)
{
	uint32_t i = hash_of(name, room->name_size) & (room->buckets - 1);
	for (; room->table[i] >= 0; i = (i + 1) & (room->buckets - 1))
		if (same(&room->names[room->table[i]], name, room->name_size))
			return room->table[i];
	return -1;
}

static void grow(struct room *room)
{
	room->capacity = room->capacity ? 2 * room->capacity : 64;
	room->buckets = 4 * room->capacity;
	room->names = realloc(room->names, room->capacity * sizeof *room->names);
	room->table = realloc(room->table, room->buckets * sizeof *room->table);
	memset(room->table, -1, room->buckets * sizeof *room->table);
	for (uint32_t i = 0; i < room->count; i++)
		place(room, i);
}

static int32_t add(struct room *room, const struct sockaddr_in6 *name)
{
	if (room->count == room->capacity)
		grow(room);
	room->names[room->count] = *name;
	place(room, room->count);
	return (int32_t)room->count++;
}

/* Options --host H --ports COUNT; one room on a free port each, told as udprelay tells it. */
static void open_rooms(int argc, char **argv, int flags)
{
	const char *host = "127.0.0.1";
	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--host"))
			host = argv[i + 1];
		else if (!strcmp(argv[i], "--ports"))
			room_count = atoi(argv[i + 1]);
	}
	if (room_count < 1 || room_count > MOST_ROOMS)
		exit(2);
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICHOST}, *at;
	if (getaddrinfo(host, "0", &hints, &at))
		exit(2);
	for (int i = 0; i < room_count; i++) {
		struct room *room = &rooms[i];
		struct sockaddr_in6 name;
		socklen_t size = sizeof name;
		int bytes = BUFFER;
		room->fd = socket(at->ai_family, SOCK_DGRAM | flags, 0);
		if (room->fd < 0 || bind(room->fd, at->ai_addr, at->ai_addrlen)) {
			perror("bind");
			exit(1);
		}
		setsockopt(room->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
		getsockname(room->fd, (struct sockaddr *)&name, &size);
		room->name_size = size;
		grow(room);
		printf("{\"event\":\"listener.opened\",\"port\":%d}\n", ntohs(name.sin6_port));
	}
	freeaddrinfo(at);
	fflush(stdout);
}
