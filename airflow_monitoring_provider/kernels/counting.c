/* Counting: how often each code of a dictionary occurs among the rows that are there.

   Validity is Arrow's: bit i of a bitmap, lowest bit of a byte first, says whether row i - offset holds a value. Every
   function stays within the arrays whose lengths it is told, whatever they hold. */

#include <stdint.h>
#include <string.h>

#include "validity.h"

enum { LANES = 4, SMALL = 1024, STRETCH = 1 << 16 };

/* Adds to counts[0..size) how often each of n codes occurs where the bitmap (or NULL) and the flags `keep` (or NULL)
   have it. Returns how many were counted, or -1 when a code lies outside (counts are undefined then).

   A code that comes twice in a row waits for its own last count to be stored; neighbours count in tables of their own,
   where these are small enough to stay in the first-level cache. */
#define COUNT_CODES(NAME, TYPE)                                                                                       \
    int64_t NAME(const TYPE *codes, const uint8_t *bitmap, int64_t offset, const uint8_t *keep, int64_t n,            \
                 int64_t *counts, int64_t size)                                                                       \
    {                                                                                                                 \
        uint32_t tables[LANES][SMALL];                                                                                \
        int small = size <= SMALL;                                                                                    \
        int64_t counted = 0;                                                                                          \
        for (int64_t start = 0; start < n; start += STRETCH) {                                                        \
            int64_t end = n - start < STRETCH ? n : start + STRETCH;                                                  \
            if (small)                                                                                                \
                for (int lane = 0; lane < LANES; lane++)                                                              \
                    memset(tables[lane], 0, (size_t)size * sizeof(uint32_t));                                         \
            for (int64_t i = start; i < end; i += 64) {                                                               \
                int64_t width = end - i < 64 ? end - i : 64;                                                          \
                uint64_t there = bitmap ? bits_from(bitmap, offset + i, width) : ~(uint64_t)0;                        \
                for (int64_t j = 0; j < width; j++) {                                                                 \
                    if (!(there >> j & 1) || (keep && !keep[i + j]))                                                  \
                        continue;                                                                                     \
                    uint64_t code = (uint64_t)codes[i + j];                                                           \
                    if (code >= (uint64_t)size)                                                                       \
                        return -1;                                                                                    \
                    if (small)                                                                                        \
                        tables[j & (LANES - 1)][code]++;                                                              \
                    else                                                                                              \
                        counts[code]++;                                                                               \
                    counted++;                                                                                        \
                }                                                                                                     \
            }                                                                                                         \
            if (small)                                                                                                \
                for (int lane = 0; lane < LANES; lane++)                                                              \
                    for (int64_t code = 0; code < size; code++)                                                       \
                        counts[code] += tables[lane][code];                                                           \
        }                                                                                                             \
        return counted;                                                                                               \
    }

COUNT_CODES(count_codes_i1, int8_t)
COUNT_CODES(count_codes_i2, int16_t)
COUNT_CODES(count_codes_i4, int32_t)
COUNT_CODES(count_codes_i8, int64_t)
COUNT_CODES(count_codes_u1, uint8_t)
COUNT_CODES(count_codes_u2, uint16_t)
COUNT_CODES(count_codes_u4, uint32_t)
COUNT_CODES(count_codes_u8, uint64_t)
