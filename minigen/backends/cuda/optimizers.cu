// One optimizer step in one pass over memory: each thread updates its own elements of the flat
// buffers. The plain versions, and the formulas with their names, stand in minigen/optim/.
// A pointer that may be null is marked so; numbers come as double and are used as T.

typedef long long size;

#define FOR_EACH_ELEMENT                                                                         \
    for (size i = (size)blockIdx.x * blockDim.x + threadIdx.x; i < count;                        \
         i += (size)gridDim.x * blockDim.x)

// first and second are the sums M and V; largest, the largest V so far, may be null: no amsgrad;
// decay multiplies p beforehand (AdamW); weight_decay adds to the gradient (Adam)
template <typename T>
__device__ void adam(
    T* value, const T* grad, T* first, T* second, T* largest, size count, T beta1, T beta2,
    T scale, T small, T weight_decay, T decay
) {
    FOR_EACH_ELEMENT {
        T p = value[i] * decay;
        T g = weight_decay ? grad[i] + weight_decay * p : grad[i];
        T m = first[i] * beta1 + g;
        T v = second[i] * beta2 + g * g;
        first[i] = m;
        second[i] = v;
        if (largest) {
            v = largest[i] > v ? largest[i] : v;  // a NaN in v is kept
            largest[i] = v;
        }
        value[i] = p - m / (sqrt(v) + small) * scale;
    }
}

// velocity may be null: no momentum
template <typename T>
__device__ void sgd(
    T* value, const T* grad, T* velocity, size count, T lr, T momentum, T rest, T weight_decay,
    int nesterov, int is_first
) {
    FOR_EACH_ELEMENT {
        T p = value[i];
        T g = weight_decay ? grad[i] + weight_decay * p : grad[i];
        T direction = g;
        if (velocity) {
            T u = is_first ? g : velocity[i] * momentum + g * rest;
            velocity[i] = u;
            direction = nesterov ? u * momentum + g : u;
        }
        value[i] = p - direction * lr;
    }
}

// mean may be null: not centred; velocity may be null: no momentum
template <typename T>
__device__ void rmsprop(
    T* value, const T* grad, T* square, T* mean, T* velocity, size count, T lr, T alpha, T rest,
    T eps, T weight_decay, T momentum
) {
    FOR_EACH_ELEMENT {
        T p = value[i];
        T g = weight_decay ? grad[i] + weight_decay * p : grad[i];
        T v = square[i] * alpha + g * g * rest;
        square[i] = v;
        if (mean) {
            T a = mean[i] * alpha + g * rest;
            mean[i] = a;
            v -= a * a;
            v = v < 0 ? 0 : v;  // only by rounding
        }
        T step = g / (sqrt(v) + eps);
        if (velocity) {
            step += velocity[i] * momentum;
            velocity[i] = step;
        }
        value[i] = p - step * lr;
    }
}

template <typename T>
__device__ void moving_average(T* average, const T* value, size count, T decay, T rest) {
    FOR_EACH_ELEMENT average[i] = average[i] * decay + value[i] * rest;
}

#define FOR_DTYPE(NAME, T)                                                                       \
    extern "C" __global__ void adam_step_##NAME(                                                 \
        T* value, const T* grad, T* first, T* second, T* largest, size count, double beta1,      \
        double beta2, double scale, double small, double weight_decay, double decay              \
    ) {                                                                                          \
        adam<T>(value, grad, first, second, largest, count, beta1, beta2, scale, small,          \
                weight_decay, decay);                                                            \
    }                                                                                            \
    extern "C" __global__ void sgd_step_##NAME(                                                  \
        T* value, const T* grad, T* velocity, size count, double lr, double momentum,            \
        double rest, double weight_decay, int nesterov, int is_first                             \
    ) {                                                                                          \
        sgd<T>(value, grad, velocity, count, lr, momentum, rest, weight_decay, nesterov,         \
               is_first);                                                                        \
    }                                                                                            \
    extern "C" __global__ void rmsprop_step_##NAME(                                              \
        T* value, const T* grad, T* square, T* mean, T* velocity, size count, double lr,         \
        double alpha, double rest, double eps, double weight_decay, double momentum              \
    ) {                                                                                          \
        rmsprop<T>(value, grad, square, mean, velocity, count, lr, alpha, rest, eps,             \
                   weight_decay, momentum);                                                      \
    }                                                                                            \
    extern "C" __global__ void average_step_##NAME(                                              \
        T* average, const T* value, size count, double decay, double rest                        \
    ) {                                                                                          \
        moving_average<T>(average, value, count, decay, rest);                                   \
    }

FOR_DTYPE(float32, float)
FOR_DTYPE(float64, double)
