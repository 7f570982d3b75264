/* Validity: which rows hold a value, as Arrow packs it, the lowest bit of a byte first. */

#ifndef VALIDITY_H
#define VALIDITY_H

#include <stdint.h>

/* 64 validity bits from bit `at` on, of which the caller uses the first `width`; reads no byte beyond those. */
static inline uint64_t bits_from(const uint8_t *bitmap, int64_t at, int64_t width)
{
    const uint8_t *byte = bitmap + (at >> 3);
    int skip = (int)(at & 7);
    int64_t bytes = (skip + width + 7) >> 3;
    uint64_t word = 0;
    for (int64_t i = 0; i < bytes && i < 8; i++)
        word |= (uint64_t)byte[i] << (8 * i);
    word >>= skip;
    if (bytes > 8)
        word |= (uint64_t)byte[8] << (64 - skip);
    return word;
}

#endif
