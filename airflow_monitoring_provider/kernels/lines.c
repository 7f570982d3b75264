/* Whole numbers as decimal digits, and columns as lines of text: PostgreSQL's COPY text format and CSV. Every function
   stays within the arrays whose lengths it is told, whatever they hold. */

#include <stdint.h>
#include <string.h>

enum { WHOLE = 0, PLAIN = 1, TEXT = 2, CODED = 3 };
enum { MOST_DIGITS = 20 };

static const char PAIRS[] = "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
                            "5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

/* The digits of a number, at most MOST_DIGITS bytes; returns how many. */
static int64_t put_whole(int64_t value, uint8_t *out)
{
    uint8_t digits[MOST_DIGITS];
    int at = MOST_DIGITS;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    while (rest >= 100) {
        at -= 2;
        memcpy(digits + at, PAIRS + rest % 100 * 2, 2);
        rest /= 100;
    }
    if (rest >= 10) {
        at -= 2;
        memcpy(digits + at, PAIRS + rest * 2, 2);
    } else {
        digits[--at] = (uint8_t)('0' + rest);
    }
    if (value < 0)
        digits[--at] = '-';
    memcpy(out, digits + at, (size_t)(MOST_DIGITS - at));
    return MOST_DIGITS - at;
}

static int holds(const uint8_t *valid, int64_t bit)
{
    return valid == NULL || (valid[bit >> 3] >> (bit & 7) & 1);
}

/* The texts of whole numbers one after the other in out, and where each begins: offsets[rows + 1]. A row whose bit of
   valid, from bit first on, is not set has no text. Returns how many bytes that are, or -1 when room may not do. */
int64_t whole_digits(const int64_t *values, const uint8_t *valid, int64_t first, int64_t rows, int64_t *offsets,
                    uint8_t *out, int64_t room)
{
    int64_t filled = 0;
    for (int64_t row = 0; row < rows; row++) {
        offsets[row] = filled;
        if (!holds(valid, first + row))
            continue;
        if (room - filled < MOST_DIGITS)
            return -1;
        filled += put_whole(values[row], out + filled);
    }
    offsets[rows] = filled;
    return filled;
}

/* A line for each row: its columns with the separator between them and a line feed at the end.

   kinds[column] says what values[column], the address of an array of rows, holds: WHOLE, int64 numbers; CODED, int32
   codes of counts[column] texts; PLAIN and TEXT have none, as row r has text r. Text t is data[column][offsets[column][t],
   offsets[column][t + 1]), of sizes[column] bytes in all. A TEXT stands in quotes where quote is a byte (not -1), and a
   byte of it that escapes[byte] gives another for becomes mark and that other; PLAIN and CODED are taken as they are.
   valid[column] is the address of the column's validity, from bit firsts[column] on, or 0; a row without a value has the
   text none. Returns how many bytes the lines have, or -1 - row (from 0) where a text or code lies outside of what was
   told, or the lines are more than room. */
int64_t join_lines(int64_t rows, int64_t columns, const uint8_t *kinds, const int64_t *values, const int64_t *offsets,
                   const int64_t *data, const int64_t *sizes, const int64_t *counts, const int64_t *valid,
                   const int64_t *firsts, const uint8_t *escapes, int64_t mark, int64_t quote, int64_t separator,
                   const uint8_t *none, int64_t none_size, uint8_t *out, int64_t room)
{
    int64_t filled = 0;
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t column = 0; column < columns; column++) {
            if (!holds((const uint8_t *)(intptr_t)valid[column], firsts[column] + row)) {
                if (room - filled < none_size + 1)
                    return -1 - row;
                memcpy(out + filled, none, (size_t)none_size);
                filled += none_size;
            } else if (kinds[column] == WHOLE) {
                if (room - filled < MOST_DIGITS + 1)
                    return -1 - row;
                filled += put_whole(((const int64_t *)(intptr_t)values[column])[row], out + filled);
            } else {
                const int32_t *ends = (const int32_t *)(intptr_t)offsets[column];
                int64_t text = row;
                if (kinds[column] == CODED) {
                    text = ((const int32_t *)(intptr_t)values[column])[row];
                    if (text < 0 || text >= counts[column])
                        return -1 - row;
                }
                int64_t start = ends[text], length = (int64_t)ends[text + 1] - start;
                if (start < 0 || length < 0 || start > sizes[column] - length)
                    return -1 - row;
                const uint8_t *from = (const uint8_t *)(intptr_t)data[column] + start;
                if (kinds[column] != TEXT) {
                    if (room - filled < length + 1)
                        return -1 - row;
                    memcpy(out + filled, from, (size_t)length);
                    filled += length;
                } else {
                    if (room - filled < 2 * length + 3)
                        return -1 - row;
                    if (quote >= 0)
                        out[filled++] = (uint8_t)quote;
                    for (int64_t i = 0; i < length; i++) {
                        uint8_t other = escapes[from[i]];
                        if (other)
                            out[filled++] = (uint8_t)mark;
                        out[filled++] = other ? other : from[i];
                    }
                    if (quote >= 0)
                        out[filled++] = (uint8_t)quote;
                }
            }
            out[filled++] = (uint8_t)(column + 1 < columns ? separator : '\n');
        }
    }
    return filled;
}
