/* Hashing of texts as profiles/hashing.py defines it. Every function stays within the arrays whose lengths it is told. */

#include <stdint.h>

/* The finaliser of SplitMix64, which is in the public domain. */
static uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94D049BB133111EB);
    return value ^ (value >> 31);
}

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
