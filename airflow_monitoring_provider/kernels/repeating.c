/* Keys of rows: put together by their first byte, and asked whether one comes twice. Every function stays within the
   arrays whose lengths it is told, whatever they hold. */

#include <stdint.h>
#include <string.h>

#include "mixing.h"

enum { PARTS = 256, MOST_STEPS = 8 };

/* Puts n keys into `spread` by their first byte, in 256 parts one after the other, and says where each ends. To the sum
   of a part is added the mixed sum of its keys: other keys have another one. */
void spread_keys(const uint64_t *keys, int64_t n, uint64_t *spread, int64_t *ends, uint64_t *sums)
{
    int64_t places[PARTS] = {0}, place = 0;
    for (int64_t i = 0; i < n; i++)
        places[keys[i] >> 56]++;
    for (int part = 0; part < PARTS; part++) {
        int64_t held = places[part];
        places[part] = place;
        ends[part] = place += held;
    }
    for (int64_t i = 0; i < n; i++) {
        uint64_t key = keys[i], part = key >> 56;
        spread[places[part]++] = key;
        sums[part] += mix(key);
    }
}

/* The sum of n keys as spread_keys takes it. */
uint64_t mixed_sum(const uint64_t *keys, int64_t n)
{
    uint64_t sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += mix(keys[i]);
    return sum;
}

/* Whether a key comes twice within one of so many parts of an array, each of which goes up to its end: 1 or 0; -1 where
   that would take long, since many keys want one place, or where a part has more than half as many keys as the table
   has places. The table is used from its beginning, as much of it as a part needs. */
int64_t keys_repeat(const uint64_t *keys, const int64_t *ends, int64_t parts, uint64_t *table, int64_t places)
{
    for (int64_t part = 0, start = 0; part < parts; start = ends[part], part++) {
        int64_t n = ends[part] - start, width = 16, steps = 0, zeros = 0;
        while (width < 2 * n)
            width *= 2;
        if (n < 0 || width > places)
            return -1;
        memset(table, 0, (size_t)width * sizeof *table);
        uint64_t mask = (uint64_t)width - 1;
        for (int64_t i = start; i < start + n; i++) {
            uint64_t key = keys[i], place = key & mask;
            for (; table[place] && table[place] != key; place = (place + 1) & mask)
                steps++;
            if (key ? table[place] == key : zeros++ > 0)
                return 1;
            table[place] = key;
            if (steps > MOST_STEPS * (n + 64))
                return -1;
        }
    }
    return 0;
}
