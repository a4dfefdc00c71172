/* Huffman coding of bytes: counting, the tree, writing bits, and reading them back through the tree. */
#include "kernel.h"

#define BYTES 500000

static uint8_t plain[BYTES], packed[BYTES * 2], again[BYTES];
static uint32_t counts[512], codes[256];
static uint16_t parents[512], children[512][2];
static uint8_t lengths[256];

static int make_tree(void)
{
    int nodes = 256;
    uint8_t taken[512] = {0};
    for (;;) {
        int least[2] = {-1, -1};
        for (int i = 0; i < nodes; i++) {
            if (taken[i] || counts[i] == 0)
                continue;
            if (least[0] < 0 || counts[i] < counts[least[0]]) {
                least[1] = least[0];
                least[0] = i;
            } else if (least[1] < 0 || counts[i] < counts[least[1]]) {
                least[1] = i;
            }
        }
        if (least[1] < 0)
            return least[0];
        for (int k = 0; k < 2; k++) {
            children[nodes][k] = (uint16_t)least[k];
            parents[least[k]] = (uint16_t)nodes;
            taken[least[k]] = 1;
        }
        counts[nodes] = counts[least[0]] + counts[least[1]];
        nodes++;
    }
}

static void make_codes(int root)
{
    for (int i = 0; i < 256; i++) {
        codes[i] = lengths[i] = 0;
        if (counts[i] == 0)
            continue;
        for (int node = i; node != root; node = parents[node])
            codes[i] |= (uint32_t)(children[parents[node]][1] == node) << lengths[i]++;
    }
}

static size_t encode(void)
{
    uint64_t bits = 0;
    int held = 0;
    size_t used = 0;
    for (int i = 0; i < BYTES; i++) {
        bits = bits << lengths[plain[i]] | codes[plain[i]];
        held += lengths[plain[i]];
        while (held >= 8) {
            held -= 8;
            packed[used++] = (uint8_t)(bits >> held);
        }
    }
    packed[used++] = (uint8_t)(bits << (8 - held));
    return used;
}

static void decode(int root)
{
    size_t at = 0;
    int bit = 7;
    for (int i = 0; i < BYTES; i++) {
        int node = root;
        while (node >= 256) {
            node = children[node][packed[at] >> bit & 1];
            if (bit-- == 0) {
                bit = 7;
                at++;
            }
        }
        again[i] = (uint8_t)node;
    }
}

uint64_t kernel(void)
{
    uint32_t random = kernel_seed;
    uint64_t sum = 0;
    memset(counts, 0, sizeof(counts));
    for (int i = 0; i < BYTES; i++) {
        uint32_t const x = next_random(&random);
        plain[i] = (uint8_t)((x & 15) * (x >> 8 & 15));
        counts[plain[i]]++;
    }
    int const root = make_tree();
    make_codes(root);
    for (int turn = 0; turn < 2; turn++) {
        sum = mix(sum, encode());
        decode(root);
    }
    for (int i = 0; i < BYTES; i++)
        sum += again[i] == plain[i];
    return sum;
}
