/* The mixer of profiles/hashing.py. */

#ifndef MIXING_H
#define MIXING_H

#include <stdint.h>

/* The finaliser of SplitMix64, which is in the public domain. */
static inline uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94D049BB133111EB);
    return value ^ (value >> 31);
}

#endif
