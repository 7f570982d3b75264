/* Counting: how often each code of a dictionary, or each whole number, occurs among the rows that are there.

   Validity is Arrow's: bit i of a bitmap, lowest bit of a byte first, says whether row i - offset holds a value. Every
   function stays within the arrays whose lengths it is told, whatever they hold. */

#include <stdint.h>
#include <string.h>

#include "validity.h"

enum { LANES = 4, SMALL = 1024, STRETCH = 1 << 16 };

/* Adds to counts[0..size) how often each of n numbers, less `low`, occurs where the bitmap (or NULL) and the flags `keep`
   (or NULL) have it, up to the first that lies outside. Adds to `counted` how many there were, and returns how many rows
   were looked at: n, or which row holds the number outside.

   A number that comes twice in a row waits for its own last count to be stored; neighbours count in tables of their own,
   where these are small enough to stay in the first-level cache. */
#define COUNT_NUMBERS(NAME, TYPE)                                                                                     \
    int64_t NAME(const TYPE *numbers, const uint8_t *bitmap, int64_t offset, const uint8_t *keep, int64_t n,          \
                 uint64_t low, int64_t *counts, int64_t size, int64_t *counted)                                       \
    {                                                                                                                 \
        uint32_t tables[LANES][SMALL];                                                                                \
        int small = size <= SMALL;                                                                                    \
        int64_t outside = n, seen = 0;                                                                                \
        for (int64_t start = 0; start < n && outside == n; start += STRETCH) {                                        \
            int64_t end = n - start < STRETCH ? n : start + STRETCH;                                                  \
            if (small)                                                                                                \
                for (int lane = 0; lane < LANES; lane++)                                                              \
                    memset(tables[lane], 0, (size_t)size * sizeof(uint32_t));                                         \
            for (int64_t i = start; i < end && outside == n; i += 64) {                                               \
                int64_t width = end - i < 64 ? end - i : 64;                                                          \
                uint64_t there = bitmap ? bits_from(bitmap, offset + i, width) : ~(uint64_t)0;                        \
                for (int64_t j = 0; j < width; j++) {                                                                 \
                    if (!(there >> j & 1) || (keep && !keep[i + j]))                                                  \
                        continue;                                                                                     \
                    uint64_t place = (uint64_t)numbers[i + j] - low;                                                  \
                    if (place >= (uint64_t)size) {                                                                    \
                        outside = i + j;                                                                              \
                        break;                                                                                        \
                    }                                                                                                 \
                    if (small)                                                                                        \
                        tables[j & (LANES - 1)][place]++;                                                             \
                    else                                                                                              \
                        counts[place]++;                                                                              \
                    seen++;                                                                                           \
                }                                                                                                     \
            }                                                                                                         \
            if (small)                                                                                                \
                for (int lane = 0; lane < LANES; lane++)                                                              \
                    for (int64_t place = 0; place < size; place++)                                                    \
                        counts[place] += tables[lane][place];                                                         \
        }                                                                                                             \
        *counted += seen;                                                                                             \
        return outside;                                                                                               \
    }

COUNT_NUMBERS(count_numbers_i1, int8_t)
COUNT_NUMBERS(count_numbers_i2, int16_t)
COUNT_NUMBERS(count_numbers_i4, int32_t)
COUNT_NUMBERS(count_numbers_i8, int64_t)
COUNT_NUMBERS(count_numbers_u1, uint8_t)
COUNT_NUMBERS(count_numbers_u2, uint16_t)
COUNT_NUMBERS(count_numbers_u4, uint32_t)
COUNT_NUMBERS(count_numbers_u8, uint64_t)
