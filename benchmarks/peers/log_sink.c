/* Counts the lines of logs: of event streams over HTTP, or of what a command writes.
 *
 * log_sink pipe LINES MARK                         reads standard input
 * log_sink http HOST PORT PATH TOKEN LINES VIEWERS STALLED MARK
 * log_sink raw HOST PORT - - LINES VIEWERS STALLED -  the same without a request
 *
 * Says "ready" once every viewer was answered and got the line MARK (-: it need not), behind which it counts; and in the
 * end a line for each viewer: lines that came, lines it was told to miss, and seconds from the first line that any viewer
 * got to its own last one. The first STALLED viewers read nothing from "ready" on until all others have ended.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SIZE (256 * 1024)

struct viewer {
    int fd;
    long lines, missed;
    int kept, open, is_word, is_marked;
    double last;
    char buffer[2 * SIZE]; /* what is left of a line, and what comes */
};

static double first = 0;
static const char *mark;

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

static void add(struct viewer *v, const char *text, int size)
{
    if (v->is_word)
        v->missed += atol(text);
    else if (v->is_marked)
        v->lines++;
    else
        v->is_marked = size == (int)strlen(mark) && !memcmp(text, mark, size);
}

static void count(struct viewer *v, int size, int events)
{
    char *at = v->buffer, *end = v->buffer + v->kept + size, *feed;
    while ((feed = memchr(at, '\n', end - at))) {
        if (!events)
            add(v, at, feed - at);
        else if (feed - at >= 6 && !memcmp(at, "data: ", 6))
            add(v, at + 6, feed - at - 6);
        else if (feed - at >= 7 && !memcmp(at, "event: ", 7))
            v->is_word = !memcmp(at, "event: dropped", 14);
        else if (feed == at)
            v->is_word = 0;
        at = feed + 1;
    }
    v->kept = end - at;
    memmove(v->buffer, at, v->kept);
    v->last = now();
    if (!first && (v->lines || v->missed))
        first = v->last;
}

static int take(struct viewer *v, long lines, int events)
{
    int size = read(v->fd, v->buffer + v->kept, SIZE);
    if (size <= 0) {
        v->open = 0;
        return 0;
    }
    count(v, size, events);
    if (v->lines + v->missed >= lines)
        v->open = 0;
    return 1;
}

int main(int argc, char **argv)
{
    int pipes = !strcmp(argv[1], "pipe"), http = !strcmp(argv[1], "http");
    long lines = atol(argv[pipes ? 2 : 6]);
    mark = argv[pipes ? 3 : 9];
    int viewers = pipes ? 1 : atoi(argv[7]), stalled = pipes ? 0 : atoi(argv[8]), open = viewers;
    struct viewer *all = calloc(viewers, sizeof *all);
    struct pollfd *polls = calloc(viewers, sizeof *polls);
    for (int i = 0; i < viewers; i++) {
        struct viewer *v = &all[i];
        v->open = 1;
        v->is_marked = !strcmp(mark, "-");
        if (pipes)
            continue;
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[3]))};
        inet_pton(AF_INET, argv[2], &address.sin_addr);
        v->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(v->fd, (struct sockaddr *)&address, sizeof address)) {
            perror("connect");
            return 1;
        }
        if (!http)
            continue;
        char request[2048];
        snprintf(request, sizeof request,
                 "GET %s HTTP/1.1\r\nHost: %s:%s\r\nAuthorization: Bearer %s\r\n\r\n", argv[4], argv[2], argv[3], argv[5]);
        if (write(v->fd, request, strlen(request)) < 0)
            return 1;
        int size = 0;
        char *body = NULL;
        while (!body) {
            int got = read(v->fd, v->buffer + size, SIZE - size);
            if (got <= 0)
                return 1;
            size += got;
            body = memmem(v->buffer, size, "\r\n\r\n", 4);
        }
        if (memcmp(v->buffer, "HTTP/1.1 200", 12)) {
            fprintf(stderr, "%.200s\n", v->buffer);
            return 1;
        }
        count(v, size, 1);
    }
    for (int i = 0; i < viewers; i++)
        while (!all[i].is_marked)
            if (!take(&all[i], lines, !pipes))
                return 1;
    puts("ready");
    fflush(stdout);
    for (int from = stalled; open; from = 0) {
        for (;;) {
            int left = 0;
            for (int i = from; i < viewers; i++) {
                polls[i] = (struct pollfd){.fd = all[i].open ? all[i].fd : -1, .events = POLLIN};
                left += all[i].open;
            }
            if (!left)
                break;
            if (poll(polls + from, viewers - from, 60000) <= 0) {
                fprintf(stderr, "no line for a minute\n");
                return 2;
            }
            for (int i = from; i < viewers; i++)
                if (polls[i].revents)
                    take(&all[i], lines, !pipes);
        }
        if (!from)
            break;
    }
    for (int i = 0; i < viewers; i++)
        printf("%ld %ld %.6f\n", all[i].lines, all[i].missed, all[i].last - first);
    return 0;
}
