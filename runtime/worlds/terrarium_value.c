/* How values cross between the host and a Terrarium guest; the conventions are the guest libraries' of 2018. */
#include "runtime/worlds/terrarium.h"

#include <string.h>

#define SLICE_BYTES 8u /* u32 pointer, u32 length */

void tf_terrarium_give_nothing(struct tf_guest *guest, uint32_t pointer_out, uint32_t length_out)
{
    tf_guest_write_u32(guest, pointer_out, 0);
    tf_guest_write_u32(guest, length_out, 0);
}

/*
 * Length + 1, because C guests use the result as a string, and because an allocator asked for 0 bytes may answer with
 * an address that the guest's own free then refuses. tf_guest_allocate made sure that the block lies in the memory, so
 * sums of its address and offsets in it do not wrap.
 */
static uint32_t copy_in(struct tf_guest *guest, struct tf_text text)
{
    if (text.length >= UINT32_MAX)
        tf_guest_trap(guest, TF_TRAP_HOST_CALL, "a value does not fit a guest's address space");
    uint32_t const length = (uint32_t)text.length;
    uint32_t const address = tf_guest_allocate(guest, length + 1);
    tf_guest_write_string(guest, address, length > 0 ? text.bytes : "", length);
    return address;
}

void tf_terrarium_give_text(struct tf_guest *guest, uint32_t pointer_out, uint32_t length_out, struct tf_text text)
{
    /* Both words are written before the allocator runs: wild addresses trap before any guest code, and whatever the
     * allocator reads there is not an uninitialised word. */
    tf_terrarium_give_nothing(guest, pointer_out, length_out);
    if (text.length == 0)
        return;
    uint32_t const address = copy_in(guest, text);
    tf_guest_write_u32(guest, pointer_out, address);
    tf_guest_write_u32(guest, length_out, (uint32_t)text.length);
}

void tf_terrarium_give_value(struct tf_guest *guest, uint32_t pointer_out, uint32_t length_out, struct tf_text value)
{
    tf_terrarium_give_nothing(guest, pointer_out, length_out);
    uint32_t const address = copy_in(guest, value);
    tf_guest_write_u32(guest, pointer_out, address);
    tf_guest_write_u32(guest, length_out, (uint32_t)value.length);
}

/*
 * The array comes first and each slice is filled in as its text is copied, so that nothing has to be remembered on
 * the host's side from one call of the allocator to the next.
 */
void tf_terrarium_give_texts(struct tf_guest *guest, uint32_t pointer_out, uint32_t length_out, size_t count,
                             tf_terrarium_next_fn next, void *cursor)
{
    tf_terrarium_give_nothing(guest, pointer_out, length_out);
    if (count == 0)
        return;
    if (count > UINT32_MAX / SLICE_BYTES)
        tf_guest_trap(guest, TF_TRAP_HOST_CALL, "a list does not fit a guest's address space");
    uint32_t const array = tf_guest_allocate(guest, (uint32_t)count * SLICE_BYTES);
    for (uint32_t i = 0; i < count; i++) {
        struct tf_text text;
        if (!next(cursor, &text))
            tf_guest_trap(guest, TF_TRAP_HOST_CALL, "a list ended early: this is a bug of the host");
        uint32_t const address = copy_in(guest, text);
        uint32_t const slice[2] = {address, (uint32_t)text.length};
        tf_guest_write(guest, array + i * SLICE_BYTES, slice, sizeof(slice));
    }
    tf_guest_write_u32(guest, pointer_out, array);
    tf_guest_write_u32(guest, length_out, (uint32_t)count);
}

struct tf_text tf_terrarium_take(struct tf_guest *guest, uint32_t address, uint32_t length)
{
    return (struct tf_text){(const char *)tf_guest_bytes(guest, address, length), length};
}

const uint8_t *tf_terrarium_take_array(struct tf_guest *guest, uint32_t address, uint32_t count,
                                       uint32_t element_bytes)
{
    uint64_t const bytes = (uint64_t)count * element_bytes;
    if (bytes > UINT32_MAX)
        tf_guest_trap(guest, TF_TRAP_HOST_CALL, "an array is longer than the memory");
    return tf_guest_bytes(guest, address, (uint32_t)bytes);
}

struct tf_text tf_terrarium_take_slice(struct tf_guest *guest, const uint8_t *slices, uint32_t index)
{
    uint32_t slice[2]; /* the guest may have put the array at any address */
    memcpy(slice, slices + (size_t)index * SLICE_BYTES, sizeof(slice));
    return tf_terrarium_take(guest, slice[0], slice[1]);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool tf_terrarium_same_name(struct tf_text left, struct tf_text right)
{
    if (left.length != right.length)
        return false;
    for (size_t i = 0; i < left.length; i++) {
        if (lower(left.bytes[i]) != lower(right.bytes[i]))
            return false;
    }
    return true;
}
