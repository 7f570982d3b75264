/* Hashing of texts as profiles/hashing.py defines it. Every function stays within the arrays whose lengths it is told. */

#include <stdint.h>

#include "mixing.h"

/* The first `bytes` of 8 as a little-endian number. */
static uint64_t word_at(const uint8_t *byte, int64_t bytes)
{
    uint64_t word = 0;
    for (int64_t i = 0; i < bytes; i++)
        word |= (uint64_t)byte[i] << (8 * i);
    return word;
}

/* The state of each text data[offsets[row], offsets[row + 1]) in one lane: lane 0 mixes with the seed by an exclusive or,
   lane 1 by a product. Of texts of more than `longest` bytes only the length is mixed. Returns -1, or the row (from 0)
   whose text does not lie within data. */
int64_t hash_texts(const uint8_t *data, int64_t size, const int64_t *offsets, int64_t rows, int64_t lane, uint64_t seed,
                   int64_t longest, uint64_t *states)
{
    for (int64_t row = 0; row < rows; row++) {
        int64_t start = offsets[row], end = offsets[row + 1];
        if (start < 0 || end < start || end > size)
            return row;
        int64_t length = end - start;
        uint64_t state = mix(lane ? (uint64_t)length * seed + seed : (uint64_t)length ^ seed);
        if (length <= longest) {
            const uint8_t *at = data + start;
            for (; length > 0; length -= 8, at += 8) {
                uint64_t word = length >= 8 ? word_at(at, 8) : word_at(at, length);
                state = mix(state * 3 + (lane ? word * seed : word ^ seed));
            }
        }
        states[row] = state;
    }
    return -1;
}

/* Mixes a word into the state of each of n rows, in one lane; where `states` is NULL each state is a fresh one. `mixed`
   may be `states`. */
void hash_words(const uint64_t *words, const uint64_t *states, int64_t n, int64_t lane, uint64_t seed, uint64_t *mixed)
{
    for (int64_t row = 0; row < n; row++) {
        uint64_t word = lane ? words[row] * seed : words[row] ^ seed;
        mixed[row] = mix(states ? states[row] * 3 + word : lane ? word + seed : word);
    }
}
