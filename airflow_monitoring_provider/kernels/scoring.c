/* Scoring: where the probabilities of two classes met what became of them, in one reading. Every function stays within the
   arrays whose lengths it is told, whatever they hold. */

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { TENTHS = 10, CELLS = 4 * TENTHS, LANES = 2, TOGETHER = 16, EXPONENT_OF_HALF = 1022 };

/* The same fields in the same order stand in scoring.py; each takes eight bytes. */
struct scoring {
    /* asked for */
    double threshold;  /* from which on the positive class is predicted */
    double least;      /* probabilities nearer to 0 or 1 count as this near, in the logarithm */
    int64_t positive;  /* index of the positive class, 0 or 1 */
    double *when;      /* of n: scores of rows that were positive, in their order */
    double *otherwise; /* of n: of rows that were not */
    /* found in this block */
    int64_t unlabelled[2]; /* by predicted class: rows whose class is not known */
    int64_t cells[CELLS];  /* by actual class, predicted class and tenth of the score: the others */
    double scores[TENTHS]; /* by tenth: the scores of these, as all that follows */
    int64_t were, were_not;
    double brier;
    double product; /* of what was given to the class that it was, times 2 to the power of `exponent` */
    int64_t exponent;
};

/* Takes the exponent out of a number that is above 0 and normal. */
static inline int64_t near_one(double *number)
{
    uint64_t bits;
    memcpy(&bits, number, sizeof bits);
    int64_t exponent = (int64_t)(bits >> 52) - EXPONENT_OF_HALF;
    bits = (bits & ((UINT64_C(1) << 52) - 1)) | (uint64_t)EXPONENT_OF_HALF << 52;
    memcpy(number, &bits, sizeof bits);
    return exponent;
}

/* Scores n rows with an index of their class, or less than 0 where it is not known. Returns n, or the first row whose
   score lies outside [0, 1] or whose class is neither (what was found means nothing then).

   What is likely to be met twice in a row waits for its own last count to be stored, so neighbours count apart. */
int64_t score_classes(struct scoring *s, const double *restrict scores, const int64_t *restrict actual, int64_t n)
{
    static const double NOT[2] = {1.0, 0.0};
    const double threshold = s->threshold, least = s->least, most = 1.0 - s->least;
    const int64_t positive = s->positive;
    double *restrict when = s->when, *restrict otherwise = s->otherwise;
    int64_t cells[LANES][CELLS] = {{0}}, were = 0, taken = 0, exponent = 0;
    double sums[LANES][TENTHS] = {{0.0}}, brier = 0.0, product = 1.0;
    s->unlabelled[0] = s->unlabelled[1] = 0;
    for (int64_t i = 0; i < n; i++) {
        double score = scores[i];
        int64_t is = actual[i];
        if (!(score >= 0.0 && score <= 1.0) || is > 1)
            return i;
        int64_t predicted = (score >= threshold) ^ (1 - positive);
        if (is < 0) {
            s->unlabelled[predicted]++;
            continue;
        }
        int64_t was = is == positive, tenth = (int64_t)(10.0 * score), lane = taken & (LANES - 1);
        tenth -= tenth == TENTHS;
        cells[lane][(2 * is + predicted) * TENTHS + tenth]++;
        sums[lane][tenth] += score;
        when[were] = score;
        otherwise[taken - were] = score;
        were += was;
        double own = fabs(score - NOT[was]), away = 1.0 - own;
        brier += away * away;
        own = own < least ? least : own;
        product *= own > most ? most : own;
        if (++taken % TOGETHER == 0)
            exponent += near_one(&product);
    }
    for (int cell = 0; cell < CELLS; cell++)
        s->cells[cell] = cells[0][cell] + cells[1][cell];
    for (int tenth = 0; tenth < TENTHS; tenth++)
        s->scores[tenth] = sums[0][tenth] + sums[1][tenth];
    s->were = were;
    s->were_not = taken - were;
    s->brier = brier;
    s->product = product;
    s->exponent = exponent;
    return n;
}
