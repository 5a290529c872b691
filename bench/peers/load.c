/*
 * The load side of the benchmark: every member of every room, in one process on one core.
 *
 * usage: load --host H --ports P,P,… --members N [options]; see main() for the options.
 *
 * 1. Each member joins with one small datagram; member 0 of its room must see it relayed. Session
 *    members come joined: --session-ids, and their sockets as descriptors from --sockets on.
 * 2. The speakers send: closed loop (at most --window datagrams of a room under way) or at a
 *    fixed --rate, whatever comes of it.
 * 3. Between the end of --warm and --seconds later all is counted; the result is one JSON object.
 *
 * Every datagram starts with its kind, its speaker and a sequence number. From these follow, for
 * each receiver and speaker: what is lost, doubled, out of order, cut, or came back to its
 * speaker. A delivery is a datagram that was read by a receiver, or that arrived at a receiver's
 * full buffer and was dropped there by the kernel (the relay has done its work for both).
 *
 * With --device, the members are behind a device whose packets nobody receives. The deliveries are
 * then what the device has carried: payload bytes divided by the size. Such members join one by one
 * as above, but have --source addresses of their own.
 *
 * Cheap by design: only the first 24 bytes are copied out (MSG_TRUNC tells the length), 64
 * datagrams a call; a lone speaker's datagrams leave as one message (UDP_SEGMENT); in a closed
 * loop the process sleeps between sweeps, so that its CPU time tells how much of its core it
 * needs and the relay pays for no wake-up. Receivers do not use UDP_GRO: with it the kernel would
 * not cut up what a relay sends with UDP_SEGMENT, which no network card's path is spared.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <netdb.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

enum { JOIN = 0x4a, DATA = 0x44, BACK = 0x42 };
enum { BATCH = 64, MOST_BYTES = 65507, MOST_ROOMS = 256, MOST_SAMPLES = 4000000 };
enum { COUNTERS = 3 };             /* of count.c */
enum { HEADERS = 14 + 20 + 8 };    /* bytes of Ethernet, IPv4 and UDP */
/* Bytes in front of the payload of a session's DATA, to and from the relay (docs/protocol.rst). */
enum { ID = 8, UP = 18, DOWN = 30, DATA_UP = 0x10, DATA_DOWN = 0x20 };

struct head { /* in front of every payload; never crosses machines */
	uint8_t kind, pad;
	uint16_t speaker;
	uint32_t number;
	uint64_t sent_at;
} __attribute__((packed));

struct room {
	uint32_t *sent;      /* by speaker: number of its last datagram */
	uint32_t *last;      /* [receiver * speakers + speaker]: last number seen */
	uint64_t total_sent; /* datagrams */
	uint64_t expected;   /* deliveries that are seen or known lost */
	uint64_t written_off;
	uint32_t next;       /* whose turn it is to speak */
};

static const char *host = "127.0.0.1";
static int ports[MOST_ROOMS], rooms;
static int members = 2, speakers = 1, size = 100, mixed, window = 256, burst = 64, turn;
static const char *device, *source;
static int echo, drowsy, flood, core = -1, own_core = -1;
static double rate, warm = 0.3, seconds = 1.0;
static long pid, also;

static int *fds, device_file;
static uint64_t carried; /* payload bytes of the device that are counted as deliveries */
static const volatile uint64_t *counters;
static int up, down, first_socket = -1;
static uint8_t (*session_ids)[ID];
static struct room *room_of;
static uint32_t *samples;
static size_t sample_count;
static int sampling, counting;
static uint64_t n_received, n_echoed, n_disorder, n_cut, n_lost, n_foreign, n_sent, n_refused, n_back;
static uint32_t last_back;

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void nap(long ns)
{
	struct timespec t = {0, ns};
	nanosleep(&t, NULL);
}

static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double cpu_of(long process)
{
	clockid_t clock;
	struct timespec t;
	if (process <= 0 || clock_getcpuclockid((pid_t)process, &clock) || clock_gettime(clock, &t))
		return -1;
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Seconds for which a core was idle, and for which the host took it away. */
static void core_times(int core, double *idle, double *steal)
{
	char line[256], name[16];
	FILE *file = core >= 0 ? fopen("/proc/stat", "r") : NULL;
	unsigned long long v[8];
	*idle = *steal = 0;
	snprintf(name, sizeof name, "cpu%d ", core);
	while (file && fgets(line, sizeof line, file))
		if (!strncmp(line, name, strlen(name))
		    && sscanf(line + strlen(name), "%llu %llu %llu %llu %llu %llu %llu %llu", &v[0],
			      &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]) == 8) {
			*idle = (double)(v[3] + v[4]) / (double)sysconf(_SC_CLK_TCK);
			*steal = (double)v[7] / (double)sysconf(_SC_CLK_TCK);
		}
	if (file)
		fclose(file);
}

static uint64_t receiver_drops(void)
{
	uint64_t total = 0;
	for (int i = 0; i < rooms * members; i++) {
		uint32_t info[16] = {0};
		socklen_t length = sizeof info;
		if (getsockopt(fds[i], SOL_SOCKET, SO_MEMINFO, info, &length) == 0)
			total += info[SK_MEMINFO_DROPS];
	}
	return total;
}

/* The length of a speaker's datagram number n: the receiver can check it. */
static int length_of(uint32_t n)
{
	static const int sizes[8] = {60, 1200, 100, 100, 400, 60, 1200, 172};
	if (!mixed)
		return size;
	n *= 2654435761u;
	return sizes[n >> 29];
}

/* What stands in front of a session's payload: nothing for plain members. */
static char *begin_datagram(char *at, int index, uint32_t number)
{
	if (up) {
		uint8_t start[6] = {0xfd, 'U', 'R', 1, DATA_UP, 0};
		number = htonl(number);
		memcpy(at, start, sizeof start);
		memcpy(at + sizeof start, session_ids[index], ID);
		memcpy(at + sizeof start + ID, &number, sizeof number);
	}
	return at + up;
}

static void take_over_sessions(const char *ids)
{
	int count = rooms * members;
	session_ids = calloc((size_t)count, sizeof *session_ids);
	up = UP, down = DOWN;
	for (int i = 0; i < count; i++) {
		fds[i] = first_socket + i;
		for (int j = 0; j < ID; j++)
			if (sscanf(ids + 2 * (i * ID + j), "%2hhx", &session_ids[i][j]) != 1) {
				fprintf(stderr, "load: too few session ids\n");
				exit(2);
			}
	}
}

static void open_members(void)
{
	for (int r = 0; r < rooms; r++) {
		struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICHOST}, *to;
		char port[16];
		snprintf(port, sizeof port, "%d", ports[r]);
		if (getaddrinfo(host, port, &hints, &to))
			die("address");
		for (int m = 0; m < members; m++) {
			int fd = socket(to->ai_family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
			int bytes = members * rooms > 200 ? 1 << 20 : 4 << 20;
			if (fd < 0)
				die("socket");
			if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes))
				setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
			bytes = 4 << 20;
			setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
			if (source) {
				struct sockaddr_in from = {.sin_family = AF_INET};
				inet_pton(AF_INET, source, &from.sin_addr);
				from.sin_addr.s_addr = htonl(ntohl(from.sin_addr.s_addr) + (uint32_t)m + 1);
				if (bind(fd, (struct sockaddr *)&from, sizeof from))
					die("source address");
			}
			if (connect(fd, to->ai_addr, to->ai_addrlen))
				die("connect");
			fds[r * members + m] = fd;
		}
		freeaddrinfo(to);
	}
}

/* Receiving. */

static struct mmsghdr in[BATCH];
static struct iovec in_iov[BATCH];
static char in_data[BATCH][DOWN + 24];
static int joined_seen, flooded;

static void echo_back(int index, struct head *head, unsigned length)
{
	char reply[UP + MOST_BYTES] = {0};
	struct head back = *head;
	back.kind = BACK;
	memcpy(begin_datagram(reply, index, head->number), &back, sizeof back);
	if (send(fds[index], reply, (unsigned)up + length, MSG_DONTWAIT) < 0)
		n_refused++;
}

static void take(int index, struct head *head, unsigned length)
{
	int r = index / members, m = index % members;
	struct room *room = &room_of[r];
	if (length < sizeof *head || head->kind == JOIN) {
		if (length >= sizeof *head && m == 0)
			joined_seen = (int)head->number > joined_seen ? (int)head->number : joined_seen;
		return;
	}
	if (head->kind == BACK) {
		if (m == 0) {
			if (sampling && sample_count < MOST_SAMPLES)
				samples[sample_count++] = (uint32_t)(now_ns() - head->sent_at);
			int32_t step = (int32_t)(head->number - last_back);
			n_received += counting;
			if (step <= 0) {
				n_disorder++;
				return;
			}
			n_lost += counting ? (uint32_t)step - 1 : 0;
			n_back += counting ? (uint32_t)step : 0;
			last_back = head->number;
		}
		return;
	}
	if (head->kind != DATA || head->speaker >= speakers) {
		n_foreign++;
		return;
	}
	if (head->speaker == m) {
		n_echoed++;
		return;
	}
	uint32_t *last = &room->last[(size_t)m * speakers + head->speaker];
	int32_t step = (int32_t)(head->number - *last);
	n_received += counting;
	if (step <= 0) {
		n_disorder++;
		return;
	}
	*last = head->number;
	room->expected += (uint32_t)step;
	if (counting)
		n_lost += (uint32_t)step - 1;
	if ((int)length != length_of(head->number))
		n_cut++;
	if (rate > 0 && sampling && !echo && sample_count < MOST_SAMPLES)
		samples[sample_count++] = (uint32_t)(now_ns() - head->sent_at);
	if (echo && m == 1)
		echo_back(index, head, length);
}

static int drain(int index)
{
	int total = 0;
	for (;;) {
		int n = recvmmsg(fds[index], in, BATCH, MSG_DONTWAIT | MSG_TRUNC, NULL);
		if (n <= 0) {
			if (n < 0 && errno == ECONNREFUSED)
				continue;
			return total;
		}
		if (flood && flooded) {
			n_received += counting ? (unsigned)n : 0;
		} else {
			for (int i = 0; i < n; i++)
				if (!down || (in[i].msg_len >= DOWN && in_data[i][4] == DATA_DOWN))
					take(index, (struct head *)(in_data[i] + down), in[i].msg_len - (unsigned)down);
		}
		total += n;
		if (n < BATCH || total >= 16 * BATCH)
			return total;
	}
}

/* Payload bytes that the relay has sent into its end of the device. */
static uint64_t device_payload(void)
{
	char text[4096], *line;
	unsigned long long bytes, packets;
	ssize_t length = pread(device_file, text, sizeof text - 1, 0);
	text[length > 0 ? length : 0] = 0;
	line = strstr(text, device);
	if (!line || sscanf(line + strlen(device), ": %llu %llu", &bytes, &packets) != 2) {
		fprintf(stderr, "load: no device %s\n", device);
		exit(1);
	}
	return bytes - packets * HEADERS;
}

static int sweep_device(void)
{
	uint64_t deliveries = (device_payload() - carried) / (unsigned)size;
	carried += deliveries * (unsigned)size;
	room_of[0].expected += deliveries;
	n_received += counting ? deliveries : 0;
	return (int)deliveries;
}

static int sweep(void)
{
	int total = 0;
	if (device)
		return sweep_device();
	for (int i = 0; i < rooms * members; i++)
		total += drain(i);
	return total;
}

/* Sending. */

static char out[MOST_BYTES + 64 * UP + 1];

static void send_one(int r, int speaker)
{
	struct room *room = &room_of[r];
	uint32_t number = ++room->sent[speaker];
	struct head head = {DATA, 0, (uint16_t)speaker, number, rate > 0 ? now_ns() : 0};
	memcpy(begin_datagram(out, r * members + speaker, number), &head, sizeof head);
	if (send(fds[r * members + speaker], out, (size_t)(up + length_of(number)), MSG_DONTWAIT) < 0)
		n_refused++;
	room->total_sent++;
	n_sent += counting;
}

/* Up to count datagrams of one speaker as one message. */
static int send_some(int r, int speaker, int count)
{
	struct room *room = &room_of[r];
	int whole = up + size, most = MOST_BYTES / whole;
	if (count > burst)
		count = burst;
	if (count > most)
		count = most;
	if (count <= 1 || mixed) {
		for (int i = 0; i < count; i++)
			send_one(r, speaker);
		return count;
	}
	uint64_t stamp = rate > 0 ? now_ns() : 0;
	for (int i = 0; i < count; i++) {
		struct head head = {DATA, 0, (uint16_t)speaker, ++room->sent[speaker], stamp};
		memcpy(begin_datagram(out + i * whole, r * members + speaker, head.number), &head, sizeof head);
	}
	union {
		char bytes[CMSG_SPACE(sizeof(uint16_t))];
		struct cmsghdr align;
	} control = {{0}};
	struct iovec iov = {out, (size_t)(count * whole)};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof control.bytes};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message);
	uint16_t segment = (uint16_t)whole;
	cmsg->cmsg_level = IPPROTO_UDP;
	cmsg->cmsg_type = UDP_SEGMENT;
	cmsg->cmsg_len = CMSG_LEN(sizeof segment);
	memcpy(CMSG_DATA(cmsg), &segment, sizeof segment);
	if (sendmsg(fds[r * members + speaker], &message, MSG_DONTWAIT) < 0)
		n_refused++;
	room->total_sent += (unsigned)count;
	n_sent += counting ? (unsigned)count : 0;
	return count;
}

/* 1 to turn datagrams of one speaker, sent one by one: each number as often. */
static int send_turn(int r, int speaker)
{
	int count = 1 + (int)(room_of[r].sent[speaker] % (unsigned)turn);
	for (int i = 0; i < count; i++)
		send_one(r, speaker);
	return count;
}

static int fill_windows(void)
{
	int total = 0;
	for (int r = 0; r < rooms; r++) {
		struct room *room = &room_of[r];
		int64_t others = members - 1;
		int64_t under_way = (int64_t)(room->total_sent - room->written_off)
			- (int64_t)room->expected / others;
		int64_t free = window - under_way;
		/* Not before there is room for a good part: it is cheaper in larger messages. */
		if (free < window / 8 && free < burst)
			continue;
		while (free > 0) {
			int speaker = (int)(room->next++ % (unsigned)speakers);
			int n = turn ? send_turn(r, speaker) : send_some(r, speaker, free > burst ? burst : (int)free);
			free -= n;
			total += n;
		}
	}
	return total;
}

static void write_off(void)
{
	for (int r = 0; r < rooms; r++) {
		struct room *room = &room_of[r];
		uint64_t gone = room->total_sent - room->expected / (unsigned)(members - 1);
		if (device && counting)
			n_lost += (gone - room->written_off) * (unsigned)(members - 1);
		room->written_off = gone;
	}
}

static double join_all(void)
{
	uint64_t start = now_ns();
	for (int r = 0; r < rooms; r++) {
		joined_seen = 0;
		for (int m = 0; m < members; m++) {
			int tries = 0;
		again:;
			char data[sizeof(struct head)];
			struct head head = {JOIN, 0, 0, (uint32_t)m, 0};
			memcpy(data, &head, sizeof head);
			send(fds[r * members + m], data, sizeof data, 0);
			if (m == 0) {
				nap(2000000);
				continue;
			}
			uint64_t since = now_ns();
			while (joined_seen < m) {
				struct pollfd wait = {fds[r * members], POLLIN, 0};
				poll(&wait, 1, 100);
				drain(r * members);
				if (now_ns() - since > 300000000u) {
					if (++tries > 30) {
						fprintf(stderr, "load: member %d of room %d cannot join\n", m, r);
						exit(1);
					}
					if (m == 1) { /* perhaps it was member 0 that got lost */
						head.number = 0;
						send(fds[r * members], &head, sizeof head, 0);
					}
					goto again;
				}
			}
			if (m % 16 == 0)
				for (int i = 1; i <= m; i++)
					drain(r * members + i);
		}
	}
	flooded = flood;
	for (int quiet = 0; quiet < 3 && !flood;) {
		nap(10000000);
		quiet = sweep() ? 0 : quiet + 1;
	}
	return (double)(now_ns() - start) / 1e9;
}

/* As join_all, for members behind the device: it carries each datagram to all before. */
static double join_away(void)
{
	uint64_t start = now_ns();
	for (int m = 0; m < members; m++) {
		struct head head = {JOIN, 0, 0, (uint32_t)m, 0};
		uint64_t copies = (unsigned)m * sizeof head, before;
		int tries = 0;
		do {
			if (++tries > 30) {
				fprintf(stderr, "load: member %d cannot join\n", m);
				exit(1);
			}
			if (tries > 1 && m == 1) { /* perhaps it was member 0 that got lost */
				send(fds[0], &head, sizeof head, 0);
				nap(2000000);
			}
			before = device_payload();
			send(fds[m], &head, sizeof head, 0);
			for (int i = 0; i < 100 && (!copies || device_payload() - before < copies); i++)
				nap(copies ? 1000000 : 20000);
		} while (device_payload() - before < copies);
	}
	nap(50000000);
	carried = device_payload();
	return (double)(now_ns() - start) / 1e9;
}

static void read_counters(uint64_t *into)
{
	for (int i = 0; counters && i < COUNTERS; i++)
		into[i] = counters[i] - into[i];
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static double percentile(double p)
{
	if (!sample_count)
		return -1;
	return samples[(size_t)(p * (double)(sample_count - 1))] / 1e3;
}

int main(int argc, char **argv)
{
	char *ids = NULL;
	for (int i = 1; i + 1 < argc; i += 2) {
		const char *name = argv[i], *value = argv[i + 1];
		if (!strcmp(name, "--host")) host = value;
		else if (!strcmp(name, "--ports")) {
			char *list = strdup(value);
			for (char *p = strtok(list, ","); p && rooms < MOST_ROOMS; p = strtok(NULL, ","))
				ports[rooms++] = atoi(p);
		}
		else if (!strcmp(name, "--members")) members = atoi(value);   /* of each room */
		else if (!strcmp(name, "--speakers")) speakers = atoi(value); /* of each room */
		else if (!strcmp(name, "--size")) mixed = !strcmp(value, "mixed"), size = mixed ? 60 : atoi(value);
		else if (!strcmp(name, "--window")) window = atoi(value); /* datagrams of a room */
		else if (!strcmp(name, "--burst")) burst = atoi(value);   /* datagrams of a speaker */
		else if (!strcmp(name, "--rate")) rate = atof(value);     /* datagrams/s of all rooms */
		else if (!strcmp(name, "--warm")) warm = atof(value);
		else if (!strcmp(name, "--seconds")) seconds = atof(value);
		else if (!strcmp(name, "--pid")) pid = atol(value);       /* the relay */
		else if (!strcmp(name, "--also")) also = atol(value);     /* ksoftirqd of its core */
		else if (!strcmp(name, "--core")) core = atoi(value);     /* that the relay runs on */
		else if (!strcmp(name, "--own-core")) own_core = atoi(value);
		else if (!strcmp(name, "--echo")) echo = atoi(value);     /* member 1 answers member 0 */
		else if (!strcmp(name, "--drowsy")) drowsy = atoi(value); /* sleep where others spin */
		else if (!strcmp(name, "--sockets")) first_socket = atoi(value);
		else if (!strcmp(name, "--session-ids")) {
			FILE *file = fopen(value, "r"); /* in hexadecimal, by room and member */
			size_t room_for = 0;
			if (!file || getline(&ids, &room_for, file) < 0)
				die("session ids");
			fclose(file);
		}
		else if (!strcmp(name, "--turn")) turn = atoi(value);     /* at most, each speaker one by one */
		else if (!strcmp(name, "--device")) device = value;       /* that leads to all members */
		else if (!strcmp(name, "--source")) source = value;       /* member 0 has the next address */
		else if (!strcmp(name, "--counters")) {                   /* the file of count.c */
			int file = open(value, O_RDONLY);
			counters = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
			if (counters == MAP_FAILED)
				die("counters");
		}
		else if (!strcmp(name, "--flood")) flood = atoi(value);   /* only read what comes */
		else {
			fprintf(stderr, "load: unknown option %s\n", name);
			return 2;
		}
	}
	if (device && (device_file = open("/proc/net/dev", O_RDONLY)) < 0)
		die("/proc/net/dev");
	if ((device && (rooms != 1 || rate > 0 || mixed)) || !rooms || members < 2 || speakers < 1 || speakers > members || size < 24 || size > MOST_BYTES) {
		fprintf(stderr, "load: bad arguments\n");
		return 2;
	}
	prctl(PR_SET_TIMERSLACK, 1);
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	fds = calloc((size_t)(rooms * members), sizeof *fds);
	room_of = calloc((size_t)rooms, sizeof *room_of);
	samples = malloc(MOST_SAMPLES * sizeof *samples);
	for (int r = 0; r < rooms; r++) {
		room_of[r].sent = calloc((size_t)speakers, sizeof(uint32_t));
		room_of[r].last = calloc((size_t)members * speakers, sizeof(uint32_t));
	}
	for (int i = 0; i < BATCH; i++) {
		in_iov[i] = (struct iovec){in_data[i], sizeof in_data[i]};
		in[i].msg_hdr.msg_iov = &in_iov[i];
		in[i].msg_hdr.msg_iovlen = 1;
	}
	double join = 0;
	if (ids) {
		take_over_sessions(ids);
	} else {
		open_members();
		join = device ? join_away() : join_all();
	}

	int poller = epoll_create1(0);
	for (int i = 0; i < rooms * members; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
		if (rate > 0)
			epoll_ctl(poller, EPOLL_CTL_ADD, fds[i], &event);
	}
	uint64_t begin = now_ns(), open_at = begin + (uint64_t)(warm * 1e9);
	uint64_t close_at = 0, paced = 0, moved_at = begin, opened_at = 0, closed_at = 0, stalls = 0;
	uint64_t drops = 0, before = 0;
	double idle = 0, steal = 0, idle_before = 0, steal_before = 0;
	double own_idle = 0, own_steal = 0, own_idle_before = 0, own_steal_before = 0;
	/* On a busy machine the relay may not run for a while: nothing is lost then. */
	uint64_t patience = device ? 500000000u : 100000000u;
	double cpu_relay = 0, cpu_also = 0, cpu_own = 0;
	uint64_t counts[COUNTERS] = {0};
	for (;;) {
		uint64_t now = now_ns();
		if (!counting && !closed_at && now >= open_at) {
			counting = sampling = 1;
			drops = receiver_drops();
			cpu_own = cpu_of(getpid());
			core_times(core, &idle_before, &steal_before);
			core_times(own_core, &own_idle_before, &own_steal_before);
			cpu_also = cpu_of(also);
			cpu_relay = cpu_of(pid);
			read_counters(counts);
			for (int r = 0; r < rooms; r++)
				before += room_of[r].expected;
			opened_at = now_ns();
			close_at = opened_at + (uint64_t)(seconds * 1e9);
		} else if (counting && now >= close_at) {
			closed_at = now_ns();
			read_counters(counts);
			cpu_relay = cpu_of(pid) - cpu_relay;
			cpu_also = also > 0 ? cpu_of(also) - cpu_also : 0;
			cpu_own = cpu_of(getpid()) - cpu_own;
			core_times(core, &idle, &steal);
			core_times(own_core, &own_idle, &own_steal);
			drops = receiver_drops() - drops;
			counting = 0;
			break;
		}
		int moved = 0;
		if (rate > 0) {
			uint64_t due = (uint64_t)((double)(now - begin) / 1e9 * rate);
			if (due - paced > 4096)
				paced = due - 4096; /* this process was not run for a while */
			while (paced < due) {
				int r = (int)(paced % (unsigned)rooms), count = 1;
				struct room *room = &room_of[r];
				if (rooms == 1 && speakers == 1 && due - paced > 1)
					count = (int)(due - paced > 64 ? 64 : due - paced);
				int s = (int)(room->next++ % (unsigned)speakers);
				if (count > 1)
					count = send_some(r, s, count);
				else
					send_one(r, s);
				paced += (unsigned)count;
			}
			struct epoll_event ready[64];
			int n = epoll_wait(poller, ready, 64, 0);
			for (int i = 0; i < n; i++)
				moved += drain((int)ready[i].data.u32);
			if (drowsy && !moved)
				nap(50000);
			continue;
		}
		moved = sweep();
		if (moved)
			moved_at = now_ns();
		else if (!flood && now - moved_at > patience) {
			write_off();
			stalls++;
			moved_at = now;
		}
		if (!flood)
			fill_windows();
		/* A device's counters are shared with the relay's core: reading them all the time slows it. */
		if (device)
			nap(20000);
		else if (moved < rooms * members * 4 && moved < 2048)
			nap(100000);
	}
	uint64_t after = 0;
	for (int r = 0; r < rooms; r++)
		after += room_of[r].expected;
	qsort(samples, sample_count, sizeof *samples, by_size);
	double took = (double)(closed_at - opened_at) / 1e9;
	printf("{\"seconds\":%.6f,\"sent\":%llu,\"received\":%llu,\"receiver_drops\":%llu,"
	       "\"expected\":%llu,\"gaps\":%llu,\"echoed\":%llu,\"disorder\":%llu,\"wrong_length\":%llu,"
	       "\"foreign\":%llu,\"refused\":%llu,\"stalls\":%llu,\"relay_cpu\":%.6f,\"softirqd_cpu\":%.6f,"
	       "\"load_cpu\":%.6f,\"core_idle\":%.3f,\"core_steal\":%.3f,\"own_core_idle\":%.3f,\"join_seconds\":%.3f,\"samples\":%zu,\"p50_us\":%.2f,\"p99_us\":%.2f,"
	       "\"system_calls\":%llu,\"python_calls\":%llu,\"c_calls\":%llu}\n",
	       took, (unsigned long long)n_sent, (unsigned long long)n_received,
	       (unsigned long long)drops, (unsigned long long)(after - before + n_back),
	       (unsigned long long)n_lost, (unsigned long long)n_echoed,
	       (unsigned long long)n_disorder, (unsigned long long)n_cut,
	       (unsigned long long)n_foreign, (unsigned long long)n_refused,
	       (unsigned long long)stalls, cpu_relay, cpu_also, cpu_own, idle - idle_before,
	       steal - steal_before, own_idle - own_idle_before, join, sample_count,
	       percentile(0.50), percentile(0.99), (unsigned long long)counts[0],
	       (unsigned long long)counts[1], (unsigned long long)counts[2]);
	return 0;
}
