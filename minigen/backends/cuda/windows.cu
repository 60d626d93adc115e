// gather_windows (im2col): every window of a channels-last image as one row of a matrix.
//
//     out[n, i, j, t, c] = source[n, i·step0 + taps[t].row, j·step1 + taps[t].column, c]
//
// One thread moves one number; neighbouring threads move neighbouring channels, so that reads
// and writes of a warp are contiguous. Nothing is computed, so only the width of an element
// matters. The plain version stands in minigen/ops/_windows.py.

typedef long long size;

template <typename T>
__device__ void gather(
    T* out, const T* source, const int* taps, size batch, size rows, size columns, size tap_count,
    size channels, size step0, size step1, size stride_n, size stride_h, size stride_w, size stride_c
) {
    size count = batch * rows * columns * tap_count * channels;
    for (size place = (size)blockIdx.x * blockDim.x + threadIdx.x; place < count;
         place += (size)gridDim.x * blockDim.x) {
        size rest = place;
        size c = rest % channels; rest /= channels;
        size t = rest % tap_count; rest /= tap_count;
        size j = rest % columns; rest /= columns;
        size i = rest % rows;
        size n = rest / rows;
        size h = i * step0 + taps[2 * t], w = j * step1 + taps[2 * t + 1];
        out[place] = source[n * stride_n + h * stride_h + w * stride_w + c * stride_c];
    }
}

#define GATHER(NAME, T)                                                                          \
    extern "C" __global__ void NAME(                                                             \
        T* out, const T* source, const int* taps, size batch, size rows, size columns,           \
        size tap_count, size channels, size step0, size step1, size stride_n, size stride_h,     \
        size stride_w, size stride_c                                                             \
    ) {                                                                                          \
        gather<T>(out, source, taps, batch, rows, columns, tap_count, channels, step0, step1,    \
                  stride_n, stride_h, stride_w, stride_c);                                       \
    }

GATHER(gather_windows_1, unsigned char)
GATHER(gather_windows_2, unsigned short)
GATHER(gather_windows_4, unsigned int)
GATHER(gather_windows_8, unsigned long long)
