/* Messages of a COPY taken from libpq one after the other: PostgreSQL documentation, "Functions Associated with the
   COPY Command".

   The functions of libpq are handed in, so that they are those of the library that made the connection. Nothing is
   written beyond the room that the caller names, and a message that does not fit is held until there is room. */

#include <poll.h>
#include <stdint.h>
#include <string.h>

enum { FULL = 1, WAIT = 2, GROW = 3, LAST = 4, ENDED = 5, FAILED = 6, BROKEN = 7 };

struct receiver {
    int (*get_copy_data)(void *connection, char **message, int async);
    int (*consume_input)(void *connection);
    void (*free_message)(void *message);
    void *connection;
    int64_t socket;
    int64_t patience;   /* milliseconds to wait for the server in here */
    int64_t most_rows;
    int64_t most_bytes; /* a block is full when it has more */
    int64_t least;      /* bytes of what is no row any more */
    uint8_t *out;
    int64_t room;
    int64_t *ends;      /* most_rows of them: where each message ends in out */
    int64_t rows;       /* so many are in out already */
    int64_t filled;     /* and so many bytes */
    char *held;         /* a message that awaits more room */
    int64_t held_size;
};

/* Whether there is something to read for libpq. What else the socket may tell is left for psycopg to find out. */
static int arrived(const struct receiver *from)
{
    struct pollfd waiting = {.fd = (int)from->socket, .events = POLLIN, .revents = 0};
    return poll(&waiting, 1, (int)from->patience) == 1 && (waiting.revents & POLLIN);
}

/* Append messages until a block is FULL; until nothing has arrived for a while (WAIT) or a signal came; until there is
   no room for held_size bytes (GROW); or until a message of at most `least` bytes, the LAST one, which is dropped.
   ENDED: the server ended the COPY before; FAILED: libpq cannot give the message; BROKEN: it cannot read on. */
int64_t receive_rows(struct receiver *from)
{
    for (;;) {
        if (!from->held) {
            int size = from->get_copy_data(from->connection, &from->held, 1);
            if (size < 0)
                return size == -1 ? ENDED : FAILED;
            if (size == 0) {
                if (!arrived(from))
                    return WAIT;
                if (!from->consume_input(from->connection))
                    return BROKEN;
                continue;
            }
            from->held_size = size;
        }
        int64_t size = from->held_size;
        if (size > from->least) {
            if (size > from->room - from->filled)
                return GROW;
            memcpy(from->out + from->filled, from->held, (size_t)size);
            from->filled += size;
            from->ends[from->rows++] = from->filled;
        }
        from->free_message(from->held);
        from->held = NULL;
        if (size <= from->least)
            return LAST;
        if (from->rows >= from->most_rows || from->filled > from->most_bytes)
            return FULL;
    }
}

/* Let go of a message that is still held. */
void drop_held(struct receiver *from)
{
    if (from->held)
        from->free_message(from->held);
    from->held = NULL;
}
