// Random numbers from Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as
// 1, 2, 3"): block number in, four random 32-bit words out, no state between threads.
//
// minigen/backends/philox.py is the same mathematics in NumPy; the tests hold the two together.
// Thread i of a launch computes block first + i, and writes what that block yields.

typedef unsigned int word;
typedef unsigned long long wide;

struct Block { word w[4]; };

__device__ Block philox(wide number, word key0, word key1) {
    word c0 = (word)number, c1 = (word)(number >> 32), c2 = 0, c3 = 0;
    for (int round = 0; round < 10; ++round) {
        wide left = (wide)0xD2511F53u * c0;
        wide right = (wide)0xCD9E8D57u * c2;
        c0 = (word)(right >> 32) ^ c1 ^ key0;
        c1 = (word)right;
        c2 = (word)(left >> 32) ^ c3 ^ key1;
        c3 = (word)left;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    Block block = {{c0, c1, c2, c3}};
    return block;
}

// 24 random bits as a float in [0, 1), 53 as a double: every value is exact.
__device__ float unit_float(word a) { return (float)(a >> 8) * 5.9604644775390625e-8f; }
__device__ double unit_double(word a, word b) {
    return ((double)(a >> 5) * 67108864.0 + (double)(b >> 6)) * 1.1102230246251565e-16;
}

// 64 random bits from half h of a block.
__device__ wide bits(const Block& block, int h) {
    return (wide)block.w[2 * h] << 32 | block.w[2 * h + 1];
}

#define FOR_EACH_BLOCK(PER_BLOCK)                                                              \
    for (wide i = (wide)blockIdx.x * blockDim.x + threadIdx.x; i * (PER_BLOCK) < count;        \
         i += (wide)gridDim.x * blockDim.x)

#define KEEP(place, value)                                                                     \
    if ((place) < count) out[place] = (value)

extern "C" __global__ void uniform_float32(float* out, wide count, word key0, word key1, wide first) {
    FOR_EACH_BLOCK(4) {
        Block block = philox(first + i, key0, key1);
        for (int j = 0; j < 4; ++j) KEEP(4 * i + j, unit_float(block.w[j]));
    }
}

extern "C" __global__ void uniform_float64(double* out, wide count, word key0, word key1, wide first) {
    FOR_EACH_BLOCK(2) {
        Block block = philox(first + i, key0, key1);
        for (int j = 0; j < 2; ++j) KEEP(2 * i + j, unit_double(block.w[2 * j], block.w[2 * j + 1]));
    }
}

// Box and Muller 1958: with u in (0, 1] and v in [0, 1), sqrt(-2 ln u) cos 2πv and
// sqrt(-2 ln u) sin 2πv are two independent standard normals.

extern "C" __global__ void normal_float32(float* out, wide count, word key0, word key1, wide first) {
    FOR_EACH_BLOCK(4) {
        Block block = philox(first + i, key0, key1);
        for (int j = 0; j < 2; ++j) {
            // all 32 bits and a half more, so that u reaches 2^-33 and the tails 6.7 deviations
            float u = fmaf((float)block.w[2 * j], 2.3283064365386963e-10f, 1.1641532182693481e-10f);
            float radius = sqrtf(-2.0f * logf(u));
            float sine, cosine;
            sincospif(2.0f * unit_float(block.w[2 * j + 1]), &sine, &cosine);
            KEEP(4 * i + 2 * j, radius * cosine);
            KEEP(4 * i + 2 * j + 1, radius * sine);
        }
    }
}

extern "C" __global__ void normal_float64(double* out, wide count, word key0, word key1, wide first) {
    FOR_EACH_BLOCK(2) {
        Block block = philox(first + i, key0, key1);
        double u = 1.0 - unit_double(block.w[0], block.w[1]);
        double radius = sqrt(-2.0 * log(u));
        double sine, cosine;
        sincospi(2.0 * unit_double(block.w[2], block.w[3]), &sine, &cosine);
        KEEP(2 * i, radius * cosine);
        KEEP(2 * i + 1, radius * sine);
    }
}

// low + ⌊bits · range / 2^64⌋ (Lemire 2019): uneven by at most range / 2^64.
extern "C" __global__ void integers(
    long long* out, wide count, word key0, word key1, wide first, long long low, wide range
) {
    FOR_EACH_BLOCK(2) {
        Block block = philox(first + i, key0, key1);
        for (int j = 0; j < 2; ++j)
            KEEP(2 * i + j, (long long)((wide)low + __umul64hi(bits(block, j), range)));
    }
}

// 64 random bits each: sorting 0 … n-1 by them gives a permutation.
extern "C" __global__ void keys(wide* out, wide count, word key0, word key1, wide first) {
    FOR_EACH_BLOCK(2) {
        Block block = philox(first + i, key0, key1);
        for (int j = 0; j < 2; ++j) KEEP(2 * i + j, bits(block, j));
    }
}
