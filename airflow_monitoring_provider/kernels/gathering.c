/* Gathering: the numbers of a block in one reading. What is null, unwanted or no finite number is left out and counted,
   and of the rest bounds, sums of powers and a table of codes are taken while they are in the first-level cache.

   Sums are kept in four lanes, two to a vector, that are added up at the end: the same order on every processor, and two
   lanes are what any of x86-64 and ARM has. Wider ones (AVX2, AVX-512) were tried and are not faster: what takes the time
   is the table. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "validity.h"

enum { PAIRS = 2, STRETCH = 1024 };

typedef double pair __attribute__((vector_size(16)));
typedef int64_t masks __attribute__((vector_size(16)));

static const uint64_t MAGNITUDE = 0x7FFFFFFFFFFFFFFFu;
static const uint64_t HALF = 0x3FE0000000000000u; /* the bits of 0.5 */

/* The same fields in the same order stand in gathering.py; each takes eight bytes. */
struct gathering {
    /* asked for */
    double pivot;     /* powers are those of differences from it */
    int64_t mirrored; /* what lies outside [0, 1] is invalid, and codes have their precision at both ends */
    int64_t shift;    /* 0..63, low bits of a code that are dropped */
    int64_t low;      /* the first code of the table */
    int64_t width;    /* of the table; 0 for none */
    int64_t folded;   /* a second table of this width follows: complements of codes below zero */
    int64_t *table;
    double *values; /* of n: the values in their order, without those left out */
    double *rest;   /* of n: values whose code the table does not hold */
    /* found in this block */
    int64_t seen; /* rows that are there and wanted: values, NaN, infinities, invalid */
    int64_t count;
    int64_t outside; /* how many are in rest */
    int64_t nan, positive_inf, negative_inf, invalid, zero;
    int64_t overflown; /* bounds and powers are not known */
    double least, greatest;
    double power1, power2, power3, power4;
    uint64_t least_whole, greatest_whole; /* of rows seen, where they are whole numbers of 64 bits */
};

/* Rows of up to 64 that are there and wanted. */
static inline uint64_t wanted_rows(const uint8_t *bitmap, int64_t offset, const uint8_t *keep, int64_t at, int64_t width)
{
    uint64_t word = width == 64 ? ~(uint64_t)0 : ((uint64_t)1 << width) - 1;
    if (bitmap)
        word &= bits_from(bitmap, offset + at, width);
    if (keep) {
        uint64_t flags = 0;
        for (int64_t j = 0; j < width; j++)
            flags |= (uint64_t)(keep[at + j] != 0) << j;
        word &= flags;
    }
    return word;
}

static inline uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Takes out what is no value and counts it; returns how many stay. */
static int64_t without_special(struct gathering *g, double *values, int64_t n)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++) {
        double value = values[i];
        if (isnan(value))
            g->nan++;
        else if (isinf(value))
            value > 0 ? g->positive_inf++ : g->negative_inf++;
        else if (g->mirrored && !(value >= 0.0 && value <= 1.0))
            g->invalid++;
        else
            values[kept++] = value;
    }
    return kept;
}

struct lanes {
    pair least[PAIRS], greatest[PAIRS], power1[PAIRS], power2[PAIRS], power3[PAIRS], power4[PAIRS];
};

/* Compilers vectorise neither comparisons that are careful with NaN nor sums that may not be reordered. */
static inline pair lesser(pair a, pair b)
{
    masks less = a < b;
    return (pair)(((masks)a & less) | ((masks)b & ~less));
}

static inline pair greater(pair a, pair b)
{
    masks more = a > b;
    return (pair)(((masks)a & more) | ((masks)b & ~more));
}

/* Bounds and sums of powers of n values; 0, and `sums` are as they were, where a value or a sum may not be finite. */
static inline int sum_up(struct lanes *sums, const double *values, int64_t n, double pivot)
{
    struct lanes s = *sums;
    int64_t i = 0;
    for (; i + 2 * PAIRS <= n; i += 2 * PAIRS)
        for (int k = 0; k < PAIRS; k++) {
            pair value, away, square;
            memcpy(&value, values + i + 2 * k, sizeof value);
            away = value - pivot;
            square = away * away;
            s.least[k] = lesser(value, s.least[k]);
            s.greatest[k] = greater(value, s.greatest[k]);
            s.power1[k] += away;
            s.power2[k] += square;
            s.power3[k] += away * square;
            s.power4[k] += square * square;
        }
    for (int k = 0; i < n; i++, k++) {
        int at = k / 2, one = k % 2;
        double value = values[i], away = value - pivot, square = away * away;
        s.least[at][one] = value < s.least[at][one] ? value : s.least[at][one];
        s.greatest[at][one] = value > s.greatest[at][one] ? value : s.greatest[at][one];
        s.power1[at][one] += away;
        s.power2[at][one] += square;
        s.power3[at][one] += away * square;
        s.power4[at][one] += square * square;
    }
    double total = 0.0; /* NaN where a value is, which no comparison sees */
    int finite = 1;
    for (int k = 0; k < PAIRS; k++)
        for (int one = 0; one < 2; one++) {
            total += s.power1[k][one];
            finite &= s.least[k][one] != -INFINITY && s.greatest[k][one] != INFINITY;
        }
    if (!finite || isnan(total))
        return 0;
    *sums = s;
    return 1;
}

/* Counts the codes of n values in the table; what it does not hold goes to `rest`. */
static inline void count_codes(struct gathering *g, const double *restrict values, int64_t n)
{
    int64_t *restrict table = g->table;
    double *restrict rest = g->rest + g->outside;
    uint64_t low = (uint64_t)g->low, width = (uint64_t)g->width;
    int shift = (int)g->shift;
    int64_t outside = 0, zero = 0;
    uint64_t second = g->folded ? width : 0, beyond = g->folded ? 0 : ~(uint64_t)0;
    for (int64_t i = 0; i < n; i++) {
        double value = values[i] + 0.0; /* -0.0 becomes 0.0 */
        uint64_t bits = bits_of(value), below = 0 - (bits >> 63), place;
        zero += bits == 0;
        place = ((bits & MAGNITUDE) >> shift) - low;
        place |= below & beyond; /* a table without a second one holds nothing below zero */
        if (place < width)
            table[place + (below & second)]++;
        else
            rest[outside++] = values[i];
    }
    g->outside += outside;
    g->zero += zero;
}

static inline void count_mirrored(struct gathering *g, const double *values, int64_t n)
{
    uint64_t low = (uint64_t)g->low, width = (uint64_t)g->width;
    int64_t outside = g->outside;
    for (int64_t i = 0; i < n; i++) {
        double value = values[i] + 0.0;
        uint64_t code = value > 0.5 ? 2 * HALF - bits_of(1.0 - value) : bits_of(value);
        uint64_t place = (code >> g->shift) - low;
        g->zero += value == 0.0;
        if (place < width)
            g->table[place]++;
        else
            g->rest[outside++] = values[i];
    }
    g->outside = outside;
}

static inline void begin(struct gathering *g, struct lanes *sums)
{
    g->seen = g->count = g->outside = g->nan = g->positive_inf = g->negative_inf = g->invalid = g->zero = 0;
    g->overflown = 0;
    memset(sums, 0, sizeof *sums);
    for (int k = 0; k < PAIRS; k++) {
        sums->least[k] = (pair){INFINITY, INFINITY};
        sums->greatest[k] = (pair){-INFINITY, -INFINITY};
    }
}

static inline void bounds_of(const struct lanes *sums, double *least, double *greatest)
{
    *least = INFINITY;
    *greatest = -INFINITY;
    for (int k = 0; k < PAIRS; k++)
        for (int one = 0; one < 2; one++) {
            *least = sums->least[k][one] < *least ? sums->least[k][one] : *least;
            *greatest = sums->greatest[k][one] > *greatest ? sums->greatest[k][one] : *greatest;
        }
}

/* Takes in the n values at the end of g->values. */
static inline void take_in(struct gathering *g, struct lanes *sums, int64_t n)
{
    double *values = g->values + g->count;
    struct lanes before = *sums;
    int fine = sum_up(sums, values, n, g->pivot);
    if (g->mirrored && n) {
        double least, greatest;
        bounds_of(sums, &least, &greatest);
        fine &= least >= 0.0 && greatest <= 1.0;
    }
    if (!fine) {
        *sums = before;
        n = without_special(g, values, n);
        if (!sum_up(sums, values, n, g->pivot))
            g->overflown = 1;
    }
    if (g->mirrored)
        count_mirrored(g, values, n);
    else
        count_codes(g, values, n);
    g->count += n;
}

static inline void finish(struct gathering *g, const struct lanes *sums)
{
    bounds_of(sums, &g->least, &g->greatest);
    g->power1 = g->power2 = g->power3 = g->power4 = 0.0;
    for (int k = 0; k < PAIRS; k++)
        for (int one = 0; one < 2; one++) {
            g->power1 += sums->power1[k][one];
            g->power2 += sums->power2[k][one];
            g->power3 += sums->power3[k][one];
            g->power4 += sums->power4[k][one];
        }
}

/* Gathers the n numbers at `data` that the bitmap (or NULL) and the flags `keep` (or NULL) have. WIDE is 1 for whole
   numbers that a double may not hold, whose own bounds are found, too. */
#define GATHER(NAME, TYPE, WIDE, LOWEST, HIGHEST)                                                                     \
    void NAME(struct gathering *g, const TYPE *data, const uint8_t *bitmap, int64_t offset,           \
                              const uint8_t *keep, int64_t n)                                                         \
    {                                                                                                                 \
        struct lanes sums;                                                                                            \
        TYPE least = HIGHEST, greatest = LOWEST;                                                                      \
        begin(g, &sums);                                                                                              \
        for (int64_t start = 0; start < n; start += STRETCH) {                                                        \
            int64_t end = n - start < STRETCH ? n : start + STRETCH, got = 0;                                         \
            double *values = g->values + g->count;                                                                    \
            for (int64_t i = start; i < end; i += 64) {                                                               \
                int64_t width = end - i < 64 ? end - i : 64;                                                          \
                uint64_t wanted = wanted_rows(bitmap, offset, keep, i, width);                                        \
                if (wanted == ~(uint64_t)0) {                                                                         \
                    for (int64_t j = 0; j < 64; j++)                                                                  \
                        values[got + j] = (double)data[i + j];                                                        \
                    got += 64;                                                                                        \
                } else {                                                                                              \
                    for (int64_t j = 0; j < width; j++) {                                                             \
                        values[got] = (double)data[i + j];                                                            \
                        got += (int64_t)(wanted >> j & 1);                                                            \
                    }                                                                                                 \
                }                                                                                                     \
                if (WIDE)                                                                                             \
                    for (int64_t j = 0; j < width; j++)                                                               \
                        if (wanted >> j & 1) {                                                                        \
                            least = data[i + j] < least ? data[i + j] : least;                                        \
                            greatest = data[i + j] > greatest ? data[i + j] : greatest;                               \
                        }                                                                                             \
            }                                                                                                         \
            g->seen += got;                                                                                           \
            take_in(g, &sums, got);                                                                                   \
        }                                                                                                             \
        finish(g, &sums);                                                                                             \
        g->least_whole = (uint64_t)least;                                                                             \
        g->greatest_whole = (uint64_t)greatest;                                                                       \
    }

GATHER(gather_f8, double, 0, 0, 0)
GATHER(gather_f4, float, 0, 0, 0)
GATHER(gather_i1, int8_t, 0, 0, 0)
GATHER(gather_i2, int16_t, 0, 0, 0)
GATHER(gather_i4, int32_t, 0, 0, 0)
GATHER(gather_i8, int64_t, 1, INT64_MIN, INT64_MAX)
GATHER(gather_u1, uint8_t, 0, 0, 0)
GATHER(gather_u2, uint16_t, 0, 0, 0)
GATHER(gather_u4, uint32_t, 0, 0, 0)
GATHER(gather_u8, uint64_t, 1, 0, UINT64_MAX)
