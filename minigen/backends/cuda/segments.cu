// segment_add: target[place] += Σ of the values that name this place, in a fixed order.
//
// Adding with atomics gives another rounding on every run, because the order is left to
// chance. Here the places come sorted (stably, with the order they came in), the first thread
// of each run of equal places adds up the whole run, and no two threads write the same element.
// A place named k times costs its thread k additions in a row; those of floats are made in double,
// because k roundings of one sign would add up.
//
//     places  (n,)        sorted, the row of target each value belongs to
//     order   (n,)        where in values the sorted entries lie
//     values  (n, width)  contiguous
//     target  (·, width)  contiguous

typedef long long size;

template <typename T, typename Wide>
__device__ void add(T* target, const T* values, const size* places, const size* order, size n, size width) {
    for (size i = (size)blockIdx.x * blockDim.x + threadIdx.x; i < n * width;
         i += (size)gridDim.x * blockDim.x) {
        size row = i / width, column = i % width;
        size place = places[row];
        if (row > 0 && places[row - 1] == place) continue;
        Wide sum = 0;
        for (size r = row; r < n && places[r] == place; ++r) sum += values[order[r] * width + column];
        T& here = target[place * width + column];
        here = (T)(here + sum);
    }
}

#define SEGMENT_ADD(NAME, T, WIDE)                                                                \
    extern "C" __global__ void NAME(                                                              \
        T* target, const T* values, const size* places, const size* order, size n, size width     \
    ) {                                                                                           \
        add<T, WIDE>(target, values, places, order, n, width);                                    \
    }

// search_add: the same sums in the same order with nothing sorted, for CUDA graphs, in which CuPy
// cannot sort. The first value that names a place looks through all later ones: n² reads.
//
//     places  (n,)  as they come

template <typename T, typename Wide>
__device__ void search(T* target, const T* values, const size* places, size n, size width) {
    for (size i = (size)blockIdx.x * blockDim.x + threadIdx.x; i < n * width;
         i += (size)gridDim.x * blockDim.x) {
        size row = i / width, column = i % width;
        size place = places[row];
        size earlier = 0;
        while (earlier < row && places[earlier] != place) ++earlier;
        if (earlier < row) continue;
        Wide sum = 0;
        for (size r = row; r < n; ++r)
            if (places[r] == place) sum += values[r * width + column];
        T& here = target[place * width + column];
        here = (T)(here + sum);
    }
}

#define SEARCH_ADD(NAME, T, WIDE)                                                                 \
    extern "C" __global__ void NAME(                                                              \
        T* target, const T* values, const size* places, size n, size width                        \
    ) {                                                                                           \
        search<T, WIDE>(target, values, places, n, width);                                        \
    }

SEARCH_ADD(search_add_float32, float, double)
SEARCH_ADD(search_add_float64, double, double)
SEARCH_ADD(search_add_int32, int, int)
SEARCH_ADD(search_add_int64, long long, long long)

SEGMENT_ADD(segment_add_float32, float, double)
SEGMENT_ADD(segment_add_float64, double, double)
SEGMENT_ADD(segment_add_int32, int, int)
SEGMENT_ADD(segment_add_int64, long long, long long)
