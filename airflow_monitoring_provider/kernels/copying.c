/* Rows in PostgreSQL's binary COPY format, taken apart: PostgreSQL documentation, COPY, "Binary Format".

   A row is its number of fields (2 bytes), then for each its length (4 bytes, -1 is null) and its bytes; all are
   big-endian. Every function stays within the arrays whose lengths it is told, whatever they hold. */

#include <stdint.h>
#include <string.h>

enum { VARIABLE = 0, WHOLE = 1, EIGHT = 2, TRUTH = 3 };

static uint64_t big_endian(const uint8_t *byte, int width)
{
    uint64_t value = 0;
    for (int i = 0; i < width; i++)
        value = value << 8 | byte[i];
    return value;
}

/* For each field of rows x columns, column by column, its value and its length (-1: null, and the value is 0).

   kinds[column] says what a field is: WHOLE, a signed integer of 2, 4 or 8 bytes; EIGHT, the bits of 8 bytes; TRUTH, one
   byte; VARIABLE, whose value is the place in data where its bytes begin. Returns -1, or the row (from 0) at which data
   is not what it should be: rows when something follows the last. */
int64_t copy_fields(const uint8_t *data, int64_t size, int64_t rows, int64_t columns, const uint8_t *kinds,
                    int64_t *values, int32_t *lengths)
{
    int64_t at = 0;
    for (int64_t row = 0; row < rows; row++) {
        if (size - at < 2 || (int64_t)big_endian(data + at, 2) != columns)
            return row;
        at += 2;
        for (int64_t column = 0; column < columns; column++) {
            if (size - at < 4)
                return row;
            int32_t length = (int32_t)(uint32_t)big_endian(data + at, 4);
            at += 4;
            int64_t field = column * rows + row, value = 0;
            if (length != -1) {
                if (length < 0 || size - at < length)
                    return row;
                switch (kinds[column]) {
                case VARIABLE:
                    value = at;
                    break;
                case EIGHT:
                    if (length != 8)
                        return row;
                    value = (int64_t)big_endian(data + at, 8);
                    break;
                case TRUTH:
                    if (length != 1)
                        return row;
                    value = data[at];
                    break;
                case WHOLE:
                    if (length == 4)
                        value = (int32_t)(uint32_t)big_endian(data + at, 4);
                    else if (length == 8)
                        value = (int64_t)big_endian(data + at, 8);
                    else if (length == 2)
                        value = (int16_t)(uint16_t)big_endian(data + at, 2);
                    else
                        return row;
                    break;
                default:
                    return row;
                }
                at += length;
            }
            values[field] = value;
            lengths[field] = length;
        }
    }
    return at == size ? -1 : rows;
}

/* The bytes of one VARIABLE column of copy_fields one after the other in out, and where each begins: offsets[rows + 1].
   Returns how many bytes that are, or -1 when they are more than room or do not lie within data. */
int64_t copy_bytes(const uint8_t *data, int64_t size, const int64_t *starts, const int32_t *lengths, int64_t rows,
                   int32_t *offsets, uint8_t *out, int64_t room)
{
    int64_t filled = 0;
    for (int64_t row = 0; row < rows; row++) {
        offsets[row] = (int32_t)filled;
        int64_t length = lengths[row], start = starts[row];
        if (length <= 0)
            continue;
        if (length > room - filled || start < 0 || start > size - length)
            return -1;
        memcpy(out + filled, data + start, (size_t)length);
        filled += length;
    }
    offsets[rows] = (int32_t)filled;
    return filled;
}
