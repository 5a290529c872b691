/*
 * The relay in C with all that Linux offers: recvmmsg, sendmmsg, UDP_SEGMENT.
 *
 * Datagrams of one size that are read together go to each member as one message, without those
 * that the member has sent itself.  With --gro 1 it also reads with UDP_GRO: what one sender has sent
 * as one message goes to each member as it is.  With --flood it reads nothing once its members are known, and
 * sends to them as fast as it can: that is how the load side's own limit is found.
 */
#include "common.h"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum { BATCH = 64, MOST_BYTES = 65507, MOST_MESSAGES = 1024 };

struct prepared { /* by room */
	struct mmsghdr *headers;
	uint32_t capacity, count;
	size_t control_length;
};

static struct prepared prepared_of[MOST_ROOMS];
static char *buffers;
static struct sockaddr_in6 origins[BATCH];
static struct mmsghdr in[BATCH];
static struct iovec in_iov[BATCH];
static union {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
} in_control[BATCH];
static int gro;
static char joined[SLOT];
static struct iovec shared, pieces[2 * BATCH];
static union {
	char bytes[CMSG_SPACE(sizeof(uint16_t))];
	struct cmsghdr align;
} control;

static void prepare(struct room *room, struct prepared *p)
{
	if (p->count == room->count)
		return;
	if (p->capacity < room->capacity) {
		p->capacity = room->capacity;
		p->headers = realloc(p->headers, p->capacity * sizeof *p->headers);
		p->count = 0; /* the names have moved */
	}
	for (uint32_t i = p->count; i < room->count; i++) {
		struct msghdr *header = &p->headers[i].msg_hdr;
		memset(&p->headers[i], 0, sizeof p->headers[i]);
		header->msg_name = &room->names[i];
		header->msg_namelen = room->name_size;
		header->msg_iov = &shared;
		header->msg_iovlen = 1;
		header->msg_control = &control;
		header->msg_controllen = p->control_length;
	}
	p->count = room->count;
}

static void set_control(struct prepared *p, size_t length)
{
	if (p->control_length == length)
		return;
	for (uint32_t i = 0; i < p->count; i++)
		p->headers[i].msg_hdr.msg_controllen = length;
	p->control_length = length;
}

static void send_range(int fd, struct mmsghdr *headers, uint32_t start, uint32_t end)
{
	int tries = 0;
	while (start < end) {
		uint32_t most = end - start < MOST_MESSAGES ? end - start : MOST_MESSAGES;
		int n = sendmmsg(fd, headers + start, most, 0);
		if (n > 0) {
			start += (uint32_t)n;
			tries = 0;
		} else if (++tries > 3) { /* an old ICMP error may have come in between */
			start++;
			tries = 0;
		}
	}
}

/* Send datagrams [first, end) of the batch: of one size, but the last may be shorter. */
static void send_run(struct room *room, struct prepared *p, const int32_t *senders, int first, int end)
{
	int k = end - first;
	size_t size = in[first].msg_len, total = size;
	if (k == 1) {
		shared.iov_base = buffers + (size_t)first * SLOT;
	} else {
		/* One copy, so that the kernel walks one piece for each member and not k. */
		total = 0;
		for (int i = first; i < end; i++) {
			memcpy(joined + total, buffers + (size_t)i * SLOT, in[i].msg_len);
			total += in[i].msg_len;
		}
		shared.iov_base = joined;
		uint16_t segment = (uint16_t)size;
		memcpy(CMSG_DATA(&control.align), &segment, sizeof segment);
	}
	shared.iov_len = total;
	set_control(p, k == 1 ? 0 : sizeof control.bytes);
	int one = 1;
	for (int i = first + 1; i < end; i++)
		one &= senders[i] == senders[first];
	if (one) {
		send_range(room->fd, p->headers, 0, (uint32_t)senders[first]);
		send_range(room->fd, p->headers, (uint32_t)senders[first] + 1, room->count);
		return;
	}
	/* Each that spoke gets the pieces between its own. */
	int32_t spoke[BATCH];
	int spoke_count = 0, piece = 0;
	for (int i = first; i < end; i++) {
		int known = 0;
		for (int j = 0; j < spoke_count && !known; j++)
			known = spoke[j] == senders[i];
		if (known)
			continue;
		spoke[spoke_count++] = senders[i];
		int start = piece, others = k;
		size_t begin = 0;
		for (int j = i; j < end; j++) {
			if (senders[j] != senders[i])
				continue;
			size_t cut = size * (size_t)(j - first);
			others--;
			if (cut > begin)
				pieces[piece++] = (struct iovec){joined + begin, cut - begin};
			begin = cut + size;
		}
		if (begin < total)
			pieces[piece++] = (struct iovec){joined + begin, total - begin};
		struct msghdr *header = &p->headers[senders[i]].msg_hdr;
		header->msg_iov = &pieces[start];
		header->msg_iovlen = (size_t)(piece - start);
		header->msg_controllen = others > 1 ? sizeof control.bytes : 0;
	}
	send_range(room->fd, p->headers, 0, room->count);
	for (int i = 0; i < spoke_count; i++) {
		struct msghdr *header = &p->headers[spoke[i]].msg_hdr;
		header->msg_iov = &shared;
		header->msg_iovlen = 1;
		header->msg_controllen = p->control_length;
	}
}

/* The size of the datagrams that the kernel has put into message i; 0 if it is one datagram. */
static size_t segment_of(int i)
{
	struct cmsghdr *cmsg = gro ? CMSG_FIRSTHDR(&in[i].msg_hdr) : NULL;
	int segment = 0;
	if (cmsg && cmsg->cmsg_level == IPPROTO_UDP && cmsg->cmsg_type == UDP_GRO)
		memcpy(&segment, CMSG_DATA(cmsg), sizeof segment);
	return (size_t)segment < in[i].msg_len ? (size_t)segment : 0;
}

static void send_aggregate(struct room *room, struct prepared *p, int32_t sender, int i)
{
	uint16_t segment = (uint16_t)segment_of(i);
	memcpy(CMSG_DATA(&control.align), &segment, sizeof segment);
	shared = (struct iovec){buffers + (size_t)i * SLOT, in[i].msg_len};
	set_control(p, sizeof control.bytes);
	send_range(room->fd, p->headers, 0, (uint32_t)sender);
	send_range(room->fd, p->headers, (uint32_t)sender + 1, room->count);
}

static void relay(struct room *room, struct prepared *p, int flags)
{
	for (int i = 0; gro && i < BATCH; i++)
		in[i].msg_hdr.msg_controllen = sizeof in_control[i].bytes;
	int n = recvmmsg(room->fd, in, BATCH, flags, NULL);
	int32_t senders[BATCH];
	for (int i = 0; i < n; i++) {
		in[i].msg_hdr.msg_namelen = sizeof origins[i];
		senders[i] = find(room, &origins[i]);
		if (senders[i] < 0)
			senders[i] = add(room, &origins[i]);
	}
	if (n <= 0)
		return;
	prepare(room, p);
	for (int first = 0; first < n;) {
		size_t size = in[first].msg_len, total = size;
		int end = first + 1;
		if (segment_of(first)) {
			send_aggregate(room, p, senders[first], first++);
			continue;
		}
		for (; end < n && in[end].msg_len > 0 && !segment_of(end); end++) {
			total += in[end].msg_len;
			if (in[end].msg_len > size || total > MOST_BYTES)
				break;
			if (in[end].msg_len < size) {
				end++;
				break;
			}
		}
		send_run(room, p, senders, first, end);
		first = end;
	}
}

static void flood(struct room *room, struct prepared *p)
{
	uint16_t segment = 100;
	memcpy(CMSG_DATA(&control.align), &segment, sizeof segment);
	shared = (struct iovec){joined, 6400};
	set_control(p, sizeof control.bytes);
	for (;;)
		send_range(room->fd, p->headers, 0, room->count);
}

int main(int argc, char **argv)
{
	int members = 0;
	for (int i = 1; i + 1 < argc; i += 2)
		if (!strcmp(argv[i], "--flood"))
			members = atoi(argv[i + 1]);
		else if (!strcmp(argv[i], "--gro"))
			gro = atoi(argv[i + 1]);
	open_rooms(argc, argv, 0);
	for (int i = 0; i < room_count; i++)
		if (gro && setsockopt(rooms[i].fd, IPPROTO_UDP, UDP_GRO, &gro, sizeof gro)) {
			perror("UDP_GRO");
			exit(1);
		}
	buffers = aligned_alloc(4096, (size_t)BATCH * SLOT);
	struct cmsghdr *cmsg = &control.align;
	cmsg->cmsg_level = IPPROTO_UDP;
	cmsg->cmsg_type = UDP_SEGMENT;
	cmsg->cmsg_len = CMSG_LEN(sizeof(uint16_t));
	for (int i = 0; i < BATCH; i++) {
		in_iov[i] = (struct iovec){buffers + (size_t)i * SLOT, SLOT};
		in[i].msg_hdr = (struct msghdr){.msg_name = &origins[i], .msg_namelen = sizeof origins[i],
			.msg_iov = &in_iov[i], .msg_iovlen = 1};
		if (gro)
			in[i].msg_hdr.msg_control = &in_control[i];
	}
	if (room_count == 1)
		for (;;) {
			relay(&rooms[0], &prepared_of[0], MSG_WAITFORONE);
			if (members && rooms[0].count >= (uint32_t)members)
				flood(&rooms[0], &prepared_of[0]);
		}
	int poller = epoll_create1(0);
	for (int i = 0; i < room_count; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
		epoll_ctl(poller, EPOLL_CTL_ADD, rooms[i].fd, &event);
	}
	for (;;) {
		struct epoll_event ready[MOST_ROOMS];
		int n = epoll_wait(poller, ready, MOST_ROOMS, -1);
		for (int i = 0; i < n; i++)
			relay(&rooms[ready[i].data.u32], &prepared_of[ready[i].data.u32], MSG_DONTWAIT);
	}
}
